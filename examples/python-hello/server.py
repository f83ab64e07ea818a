# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
import socket

server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind((socket.gethostname(), 5000))
server.listen(5)

connection, address = server.accept()
connection.send(b"Hello, World!")
connection.close()
server.close()
