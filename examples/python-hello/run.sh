#!/bin/bash
# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
. "$(dirname "$0")/../common.sh"
need python3
"$sockseal" keygen -o keys hello

say "The server and the client, as they are, on port 5000"
start server "$sockseal" -p 5000 -k keys python3 "$here/server.py"
until_true listens 5000
"$sockseal" -p 5000 -k keys python3 "$here/client.py" | tee said
[ "$(cat said)" = 'Hello, World!' ]

say "A client without the key: it reads nothing"
start server "$sockseal" -p 5000 -k keys python3 "$here/server.py"
until_true listens 5000
fails python3 -c '
import socket, sys
peer = socket.create_connection((socket.gethostname(), 5000))
peer.sendall(b"hello?\n")
sys.exit(b"Hello" not in peer.recv(1024))'
done_well "the greeting came through sealed, and not otherwise"
