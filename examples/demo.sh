#!/bin/bash
# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
#
# make demo: two netcats, sealed, and what crosses the wire between them. Usage: demo.sh [BUILD]
#
# Without a build directory it takes the sockseal that is installed.
# Everything is on the loopback interface and in a temporary directory. Recording needs root, as tcpdump
# always does.
set -u
here=$(cd "$(dirname "$0")" && pwd) || exit
sockseal=$(readlink -f "${1:+$1/sockseal}" || command -v sockseal) || exit
nc=$(command -v nc.openbsd || command -v nc)
dir=$(mktemp -d /tmp/sockseal-demo-XXXXXX)
pids=()
limit=30 # seconds, for anything that is waited for

cleanup() {
    for pid in "${pids[@]}"; do
        kill "$pid" 2>/dev/null
    done
    wait 2>/dev/null
    rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM

level=warn # of messages

step=0
say() {
    step=$((step + 1))
    printf '\n%d. %s\n' $step "$*"
}

# Indents what comes in.
show() {
    sed 's/^/     /'
}

fail() {
    printf '\ndemo FAILED: %s\n' "$*" >&2
    for log in "$dir"/*.err; do
        [ -s "$log" ] && sed "s|^|  $(basename "$log" .err): |" "$log" >&2
    done
    exit 1
}

# wait_for COMMAND...: until it succeeds
wait_for() {
    local end=$((SECONDS + limit))
    until "$@"; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.05
    done
}

# Whether somebody listens on this port of 127.0.0.1; a connection to find out would be served in place of the
# real one.
listening() {
    grep -q "^ *[0-9]*: 0100007F:$(printf %04X "$1") 00000000:0000 0A" /proc/net/tcp
}

free_port() {
    local port
    while :; do
        port=$((20000 + RANDOM % 10000))
        grep -q ":$(printf %04X $port) " /proc/net/tcp /proc/net/tcp6 2>/dev/null || break
    done
    echo $port
}

# sealed NAME KEYS PORT ARGUMENT...: netcat under the shim, its messages in NAME.err
sealed() {
    local name=$1 keys=$2 port=$3
    shift 3
    timeout $limit "$sockseal" -l "$level" -p "$port" -k "$keys" -- "$nc" "$@" 2>"$dir/$name.err"
}

# listen NAME KEYS PORT: a listening netcat in the background, from NAME.in (if it is there) to NAME.out
listen() {
    local input=/dev/null
    [ -e "$dir/$1.in" ] && input=$dir/$1.in
    sealed "$1" "$2" "$3" -l 127.0.0.1 "$3" <"$input" >"$dir/$1.out" &
    pids+=($!)
    wait_for listening "$3" || fail "netcat does not listen on port $3"
}

# finish PID WHAT: waits for a background process, whatever its status
finish() {
    wait_for gone "$1" || fail "$2 does not end"
    wait "$1" 2>/dev/null
}

gone() {
    ! kill -0 "$1" 2>/dev/null
}

holds() {
    grep -q -- "$2" "$1" 2>/dev/null
}

record() {
    tcpdump -i lo -U --immediate-mode -s 0 -B 65536 -w "$dir/wire.pcap" "tcp port $1" 2>"$dir/tcpdump.err" &
    recorder=$!
    pids+=("$recorder")
    wait_for holds "$dir/tcpdump.err" 'listening on' || fail "tcpdump cannot record"
}

stop_recording() {
    local before=-1 now=0
    while [ "$before" != "$now" ]; do # the last packets are still on their way to tcpdump
        before=$now
        sleep 0.3
        now=$(stat -c %s "$dir/wire.pcap")
    done
    kill -INT $recorder
    finish $recorder tcpdump
}

# A real file of some megabytes.
choose_file() {
    find -L /usr/lib/*-linux-gnu* /usr/bin /usr/lib -xdev -type f \
        \( -name 'libcrypto.so.*' -o -name 'libc.so.*' -o -name 'perl' -o -name 'bash' -o -name 'python3*' \) \
        -size +2M -size -64M 2>/dev/null | head -n 1
}

transfer() {
    local file=$1 port before after level=info
    port=$(free_port)
    say "Two netcats under sockseal, port $port, while tcpdump records the loopback interface"
    record "$port"
    listen receiver "$dir/keys" "$port"
    local receiver=${pids[-1]}
    sealed sender "$dir/keys" "$port" -N 127.0.0.1 "$port" <"$file" >/dev/null || fail "the sending netcat failed"
    finish "$receiver" "the receiving netcat"
    stop_recording
    echo "     on one side:    sockseal -p $port -k keys -- nc -l 127.0.0.1 $port > received"
    echo "     on the other:   sockseal -p $port -k keys -- nc -N 127.0.0.1 $port < $file"

    grep -h 'sealed with' "$dir/sender.err" | show

    say "The same file at both ends?"
    before=$(sha256sum <"$file" | cut -d' ' -f1)
    after=$(sha256sum <"$dir/receiver.out" | cut -d' ' -f1)
    echo "     sent      $before  $(stat -L -c %s "$file") bytes"
    echo "     received  $after  $(stat -c %s "$dir/receiver.out") bytes"
    [ "$before" = "$after" ] || fail "the file did not arrive as it was sent"

    say "What crossed the wire: no 16 bytes of the file in a row?"
    python3 "$here/demo-wire.py" "$dir/wire.pcap" "$port" "$file" || fail "plaintext on the wire"
}

wrong_key() {
    local port
    port=$(free_port)
    say "The same with a wrong key on the connecting side: refused, and this is what the user reads"
    "$sockseal" keygen -o "$dir/wrong-keys" demo >/dev/null || fail "keygen"
    listen receiver "$dir/keys" "$port"
    local receiver=${pids[-1]}
    sealed sender "$dir/wrong-keys" "$port" -N 127.0.0.1 "$port" <"$1" >/dev/null
    echo "     the connecting side:"
    grep sockseal "$dir/sender.err" | show
    echo "     the listening side:"
    wait_for holds "$dir/receiver.err" sockseal
    grep sockseal "$dir/receiver.err" | show
    kill "$receiver" 2>/dev/null
    finish "$receiver" "the receiving netcat"
    grep -qi key "$dir/sender.err" || fail "the connecting side does not say that the key is wrong"
    grep -qi key "$dir/receiver.err" || fail "the listening side does not say that the key is wrong"
    [ ! -s "$dir/receiver.out" ] || fail "something arrived in spite of the wrong key"
}

stock_peer() {
    local port key
    port=$(free_port)
    key=$(cut -d: -f2 "$dir/keys")
    say "openssl s_client, unsealed and unmodified, with the same key types into the sealed netcat"
    mkfifo "$dir/receiver.in" "$dir/typed"
    exec 8<>"$dir/receiver.in" 9<>"$dir/typed" # hold both open: a reader that sees the end stops
    listen receiver "$dir/keys" "$port"
    local receiver=${pids[-1]}
    timeout $limit openssl s_client -quiet -connect "127.0.0.1:$port" -tls1_3 -psk "$key" -psk_identity demo \
        <"$dir/typed" >"$dir/openssl.out" 2>"$dir/openssl.err" &
    local client=$!
    pids+=("$client")
    echo 'typed into openssl' >&9
    wait_for holds "$dir/receiver.out" 'typed into openssl' || fail "the line did not reach the sealed netcat"
    echo "     netcat reads:   $(cat "$dir/receiver.out")"
    echo 'typed into netcat' >&8
    wait_for holds "$dir/openssl.out" 'typed into netcat' || fail "the answer did not reach openssl"
    echo "     openssl reads:  $(cat "$dir/openssl.out")"
    kill "$client" "$receiver" 2>/dev/null
    finish "$client" openssl
    finish "$receiver" "the receiving netcat"
    exec 8>&- 9>&-
}

file=$(choose_file)
[ -n "$file" ] || fail "no file of some megabytes to send"
say "A key: sockseal keygen -o keys demo"
"$sockseal" keygen -o "$dir/keys" demo >/dev/null || fail "keygen"
"$sockseal" keys "$dir/keys" | show
transfer "$file"
wrong_key "$file"
stock_peer
printf '\nThe demo is through: all of it held.\n'
