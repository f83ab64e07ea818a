#!/bin/bash
# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
. "$(dirname "$0")/../common.sh"
bin=$(find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1)
[ -n "$bin" ] || need postgres

# PostgreSQL does not run as root.
user=()
if [ "$(id -u)" = 0 ]; then
    chown postgres "$dir"
    user=(setpriv --reuid postgres --regid postgres --clear-groups env "HOME=$dir")
fi
"${user[@]}" "$sockseal" keygen -o keys db

sql() {
    "${user[@]}" "$sockseal" -p connect:5433 -k keys psql -h 127.0.0.1 -p 5433 -U postgres -X -q -A -t "$@"
}

say "A server whose port 5433 is sealed"
"${user[@]}" "$bin/initdb" -D "$dir/data" -U postgres -A trust --no-sync >initdb.log
start server "${user[@]}" "$sockseal" -p listen:5433 -k keys "$bin/postgres" -D "$dir/data" -p 5433 -c fsync=off \
    -c listen_addresses=127.0.0.1 -c unix_socket_directories="$dir"
until_true sql -c 'select 1'

say "A table, filled by COPY and read again"
sql -c 'create table greetings (number int, words text)'
seq 1 10000 | sed 's/$/\thello/' | sql -c 'copy greetings from stdin'
sql -c "select count(*), max(number) from greetings" | tee counted
[ "$(cat counted)" = '10000|10000' ]

say "The server sees the address of its client"
sql -c 'select inet_client_addr()'

say "psql without the key"
fails "${user[@]}" psql -h 127.0.0.1 -p 5433 -U postgres -X -c 'select 1'
cat fails.log
done_well "what was written came back, and psql without the key was refused"
