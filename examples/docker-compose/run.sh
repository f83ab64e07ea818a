#!/bin/bash
# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
. "$(dirname "$0")/../common.sh"
docker info >/dev/null 2>&1 || {
    echo "this example takes Docker, which does not run here" >&2
    exit 77
}
cp "$here/compose.yaml" .
"$sockseal" keygen -o keys redis
chown 999:999 keys

undo() {
    docker compose -f "$dir/compose.yaml" down -v >"$dir.down" 2>&1 || cat "$dir.down" >&2
    rm -f "$dir.down"
}

say "docker compose up"
docker compose up -d --wait
written() {
    [ "$(docker compose exec -T writer /sockseal/sockseal -p 6379 -k /run/secrets/sockseal-keys redis-cli -h redis get written)" -ge 10 ]
}
until_true written

say "A redis-cli that is not sealed"
fails docker compose exec -T redis redis-cli get written
cat fails.log
done_well "the services talk to each other sealed"
