#!/usr/bin/python3
# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""Three hosts with a key for each pair: a key counts between its two hosts, and one host can be shut out alone."""

import itertools
import secrets
import sys
import time
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import hosts
import sealed

# packages: iproute2 util-linux python3
PORT = 7100

# Answers each line with itself, on as many connections as there are.
ECHO = """
import socketserver, sys
class Echo(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(line)
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    def handle_error(self, request, address):
        pass
Server((sys.argv[1], int(sys.argv[2])), Echo).serve_forever()
"""

# Sends each line of its input and prints what comes back, or the errno.
ASK = """
import errno, socket, sys
def attempt(function):
    try:
        return function()
    except OSError as error:
        return errno.errorcode[error.errno]
peer = socket.socket()
peer.settimeout(20)
said = attempt(lambda: peer.connect((sys.argv[1], int(sys.argv[2]))))
print(said or "connected", flush=True)
for line in sys.stdin:
    def ask():
        peer.sendall(line.encode())
        return peer.recv(1000).decode().strip() or "end"
    print(attempt(ask), flush=True)
"""


class Pairs(sealed.TestCase):
    def setUp(self):
        super().setUp()
        self.hosts = dict(zip("abc", hosts.make(self, 3)))
        self.keys = {pair: secrets.token_hex(32) for pair in map("".join, itertools.combinations("abc", 2))}
        self.files = {name: self.directory / f"{name}.keys" for name in self.hosts}
        for name in self.hosts:
            self.write(name)
        self.servers = {name: self.start(name, ECHO, host.address) for name, host in self.hosts.items()}
        for server in self.servers.values():
            self.wait_listening(PORT, server)

    def write(self, name, without=""):
        """The key file of a host: a line for each other one, with rules for that one's address."""
        lines = []
        for pair, key in self.keys.items():
            if name in pair and not set(pair) & set(without):
                other = self.hosts[pair.replace(name, "")].address
                lines.append(f"{pair}:{key} connect:{other},listen:{other}\n")
        fresh = self.files[name].with_suffix(".new")
        fresh.write_text("# of this host\n" + "".join(lines))
        fresh.chmod(0o600)
        fresh.rename(self.files[name])

    def start(self, name, program, address, **settings):
        settings = {"SOCKSEAL_KEY_FILE": self.files[name], "SOCKSEAL_PORTS": PORT, "SOCKSEAL_REMOVED_KEYS": "close",
                    **settings}
        return self.run_program(*self.hosts[name].enter, sealed.PYTHON, "-c", program, address, PORT, sealed=True,
                                **settings)

    def ask(self, name, other, **settings):
        client = self.start(name, ASK, self.hosts[other].address, **settings)
        client.lines = 0
        self.assertEqual(self.answer(client), "connected")
        return client

    def answer(self, client):
        client.lines += 1
        if not client.out.wait(lambda out: out.data.count(b"\n") >= client.lines or out.ended, sealed.DEADLINE):
            self.fail_with_report(f"{client.name()} prints nothing")
        return client.out.data.decode().splitlines()[client.lines - 1]

    def says(self, client, line="hello"):
        client.type(line)
        return self.answer(client)

    def outcome(self, client):
        """What a client gets, by connect() or by the first use of the connection: either may be told of a refusal."""
        client.lines = 0
        connected = self.answer(client)
        return self.says(client) if connected == "connected" else connected

    def test_each_pair_has_its_key(self):
        for name, other in itertools.permutations("abc", 2):
            self.assertEqual(self.says(self.ask(name, other)), "hello")
            self.servers[other].expect_log("identity '" + "".join(sorted(name + other)) + "'", self.hosts[name].address)

    def test_a_key_does_not_count_for_another_host(self):
        """Host c poses as a: it has stolen the key of a and b, but not a's address."""
        stolen = self.write_keys("stolen", ("ab", self.keys["ab"]))
        client = self.start("c", ASK, self.hosts["b"].address, SOCKSEAL_KEY_FILE=stolen)
        self.assertEqual(self.outcome(client), "EKEYREJECTED")

    def test_one_host_is_revoked_and_the_others_go_on(self):
        between = [self.ask("a", "b"), self.ask("b", "a")]
        with_c = [self.ask("c", "a"), self.ask("c", "b"), self.ask("a", "c")]
        for client in between + with_c:
            self.assertEqual(self.says(client), "hello")
        for name in "ab":
            self.write(name, without="c")
        for client in with_c:  # each ends, whichever side of it looked at the file
            self.until_ended(client)
        for client in between:
            self.assertEqual(self.says(client, "still here"), "still here")
        for other in "ab":
            refused = self.start("c", ASK, self.hosts[other].address)
            self.assertEqual(self.outcome(refused), "EKEYREJECTED")
        self.assertEqual(self.says(self.ask("a", "b")), "hello")

    def until_ended(self, client):
        end = time.monotonic() + sealed.DEADLINE
        while (said := self.says(client)) == "hello":
            if time.monotonic() > end:
                self.fail_with_report("a connection of the revoked host goes on")
            time.sleep(0.1)
        self.assertIn(said, ("EKEYREVOKED", "ECONNRESET", "EPIPE", "EKEYREJECTED"))


if __name__ == "__main__":
    unittest.main()
