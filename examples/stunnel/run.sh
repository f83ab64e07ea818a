#!/bin/bash
# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
. "$(dirname "$0")/../common.sh"
need stunnel redis-server redis-cli
"$sockseal" keygen -o keys office

conf() {
    printf '%s\n' "pid = $dir/$1.pid" 'foreground = yes' 'debug = notice' "[$1]" 'sslVersionMin = TLSv1.3' \
        "PSKsecrets = $dir/keys"
}

conf client >client.conf
cat >>client.conf <<'END'
client = yes
accept = 127.0.0.1:6411
connect = 127.0.0.1:6410
PSKidentity = office
END
conf server >server.conf
cat >>server.conf <<'END'
accept = 127.0.0.1:6413
connect = 127.0.0.1:6412
END

say "redis is sealed; redis-cli is not, and goes through its stunnel"
start redis "$sockseal" -p listen:6410 -k keys redis-server --bind 127.0.0.1 --port 6410 --save ''
start stunnel-client stunnel client.conf
until_true listens 6410
until_true listens 6411
redis-cli -p 6411 set greeting hello
[ "$(redis-cli -p 6411 get greeting)" = hello ]
"$sockseal" ping -k keys 127.0.0.1 6410

say "redis is not sealed and has a stunnel before it; redis-cli is sealed"
start plain-redis redis-server --bind 127.0.0.1 --port 6412 --save ''
start stunnel-server stunnel server.conf
until_true listens 6412
until_true listens 6413
"$sockseal" -p connect:6413 -k keys redis-cli -p 6413 set greeting hello
[ "$("$sockseal" -p connect:6413 -k keys redis-cli -p 6413 get greeting)" = hello ]

say "redis-cli without a key, to both"
fails redis-cli -p 6410 get greeting
fails redis-cli -p 6413 get greeting
done_well "stunnel and sockseal understood each other in both roles"
