# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
import socket

client = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
client.connect((socket.gethostname(), 5000))
message = client.recv(1024)
client.close()

print(message.decode())
