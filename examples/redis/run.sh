#!/bin/bash
# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
. "$(dirname "$0")/../common.sh"
need redis-server redis-cli
"$sockseal" keygen -o keys redis

server() {
    local name=$1 port=$2
    shift 2
    mkdir "$name"
    start "$name" "$sockseal" -p 6401,6402 -k keys redis-server --bind 127.0.0.1 --port "$port" --save '' \
        --dir "$dir/$name" "$@"
    until_true cli "$port" ping
}

cli() {
    local port=$1
    shift
    "$sockseal" -p 6401,6402 -k keys redis-cli -p "$port" "$@"
}

replica_has() {
    [ "$(cli 6402 get "$1")" = "$2" ]
}

say "A server and its replica, both sealed"
server primary 6401
server replica 6402 --replicaof 127.0.0.1 6401
cli 6401 set greeting hello
until_true replica_has greeting hello
cli 6402 info replication | grep -E 'role|master_link_status'

say "redis-cli without the key"
fails redis-cli -p 6401 get greeting
cat fails.log

say "The key is rotated; nothing is restarted, and no connection ends"
"$sockseal" rotate keys redis
"$sockseal" rotate --finish keys redis
"$sockseal" keys keys
cli 6401 set greeting again
until_true replica_has greeting again
done_well "the replica has what was written to the primary, under the old key and the new one"
