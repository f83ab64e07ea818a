#!/bin/bash
# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
. "$(dirname "$0")/../common.sh"
nc=$(command -v nc.openbsd || command -v nc) || need nc

say "A key, once; the other machine gets a copy of the file"
"$sockseal" keygen -o keys chat

chat() {
    mkfifo alice.types bob.types
    exec 7<>alice.types 8<>bob.types
    "$sockseal" -p 7000 -k keys "$nc" -l 127.0.0.1 7000 <alice.types >alice.reads 2>alice.log &
    pids+=($!)
    until_true listens 7000
    "$sockseal" -p 7000 -k keys -l info "$nc" 127.0.0.1 7000 <bob.types >bob.reads 2>bob.log &
    pids+=($!)
    echo 'hello, Bob' >&7
    until_true grep -q 'hello, Bob' bob.reads
    echo 'hello, Alice' >&8
    until_true grep -q 'hello, Alice' alice.reads
    echo "alice reads: $(cat alice.reads)"
    echo "bob reads:   $(cat bob.reads)"
    grep -m 1 sealed bob.log
    kill "${pids[@]}"
    wait
    pids=()
}

stranger() {
    "$sockseal" -p 7001 -k keys "$nc" -l 127.0.0.1 7001 </dev/null >stranger.reads 2>stranger.log &
    pids+=($!)
    until_true listens 7001
    echo 'let me in' | timeout 20 "$nc" -N 127.0.0.1 7001 >stranger.got || :
    until_true grep -q error stranger.log
    cat stranger.log
    [ ! -s stranger.reads ] # nothing of it was delivered
    lacks '[[:print:]]{8}' stranger.got
}

file() {
    head -c 20000000 /dev/urandom >sent
    "$sockseal" -p 7002 -k keys "$nc" -l 127.0.0.1 7002 </dev/null >received 2>file.log &
    pids+=($!)
    local receiver=$!
    until_true listens 7002
    "$sockseal" -p 7002 -k keys "$nc" -N 127.0.0.1 7002 <sent
    wait "$receiver"
    cmp sent received
}

say "They type"
chat
say "A netcat without the key"
stranger
say "A file of 20 MB"
file
done_well "both have read what the other typed, the stranger nothing, and the file is whole"
