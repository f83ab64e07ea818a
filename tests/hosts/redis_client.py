# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""A client of a Redis Cluster, for the tests: redis_client.py write|read NAME HOST:PORT...

write: sets NAME:0, NAME:1 and so on until standard input ends; prints those that a replica has too, one a line. A write
       that gets no answer in time is tried again at another node.
read:  takes a JSON list of keys on standard input and prints those that are lost, as a JSON list.
"""

import json
import select
import socket
import sys
import time

LIMIT = 1.0  # seconds, for an answer


class Node:
    def __init__(self, address):
        host, port = address.split(":")
        self.socket = socket.create_connection((host, int(port)), LIMIT)
        self.file = self.socket.makefile("rb")

    def ask(self, *words):
        """One command; gives str, int or None, or an Exception that Redis has answered."""
        self.send(*words)
        return self.answer()

    def send(self, *words):
        self.socket.sendall(b"".join([b"*%d\r\n" % len(words)] +
                                     [b"$%d\r\n%s\r\n" % (len(word), word.encode()) for word in map(str, words)]))

    def answer(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the node has gone")
        kind, rest = line[:1], line[1:-2].decode()
        if kind == b"$":
            return None if rest == "-1" else self.file.read(int(rest) + 2)[:-2].decode()
        if kind == b"-":
            return RuntimeError(rest)
        return int(rest) if kind == b":" else rest

    def close(self):
        self.file.close()
        self.socket.close()


class Client:
    def __init__(self, seeds):
        self.seeds, self.nodes, self.turn = seeds, {}, 0

    def node(self, address):
        if address not in self.nodes:
            self.nodes[address] = Node(address)
        return self.nodes[address]

    def forget(self, address):
        if node := self.nodes.pop(address, None):
            node.close()

    def next_seed(self):
        self.turn += 1
        return self.seeds[self.turn % len(self.seeds)]

    def command(self, *words):
        """Asks until the node that serves the key answers; gives its address and the answer."""
        address = self.next_seed()
        while True:
            try:
                said = self.node(address).ask(*words)
            except OSError:
                self.forget(address)
                address = self.next_seed()
                continue
            if not isinstance(said, RuntimeError):
                return address, said
            kind, _, rest = str(said).partition(" ")
            address = rest.split()[-1] if kind == "MOVED" else self.next_seed()
            time.sleep(0 if kind == "MOVED" else 0.05)


def write(client):
    number = 0
    while not select.select([sys.stdin], [], [], 0)[0]:
        key = f"{sys.argv[2]}:{number}"
        number += 1
        address, _ = client.command("SET", key, number)
        try:
            copies = client.node(address).ask("WAIT", 1, 100)
        except OSError:
            client.forget(address)
            continue
        if copies == 1:
            print(key, flush=True)


def read(client):
    keys = json.loads(sys.stdin.readline())
    lost = [key for key in keys if client.command("GET", key)[1] != str(int(key.split(":")[1]) + 1)]
    print(json.dumps(lost), flush=True)


{"write": write, "read": read}[sys.argv[1]](Client(sys.argv[3:]))
