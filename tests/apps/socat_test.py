# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""socat to socat, among them listeners that fork a child for each connection."""

import sys
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import sealed
import wire

from sealed import both_modes

MIB = 1 << 20


class Socat(sealed.TestCase):
    def setUp(self):
        sealed.need("socat")
        super().setUp()
        self.address = sealed.loopback()

    def listen(self, options="", peer="STDIO", **how):
        port = self.port()
        server = self.run_program("socat", f"TCP-LISTEN:{port},bind={self.address},reuseaddr{options}", peer, **how)
        return port, self.wait_listening(port, server)

    def connect(self, port, *options, **how):
        return self.run_program("socat", *options, "STDIO", f"TCP:{self.address}:{port}", **how)

    @both_modes
    def test_lines_both_ways(self):
        port, server = self.listen()
        recorder = wire.Wire(self, self.address, self.port(), (self.address, port))
        client = self.connect(self.ports[-1])
        for number in range(5):
            client.type(f"from the client to the server {number}")
            server.expect(f"from the client to the server {number}\n")
            server.type(f"from the server to the client {number}")
            client.expect(f"from the server to the client {number}\n")
        wire.assert_sealed(self, recorder, "from the client to the server", "from the server to the client")
        return bytes(client.out.data), bytes(server.out.data)

    @both_modes
    def test_16_mib_both_ways_at_once(self):
        port, server = self.listen(digest_only=True)
        client = self.connect(port, digest_only=True)
        inputs = {program: sealed.HashedStream(16 * MIB, seed) for seed, program in enumerate((server, client))}
        for program, chunks in inputs.items():
            program.feed(chunks)
        for sender, receiver in ((server, client), (client, server)):
            self.assertEqual(receiver.expect_length(16 * MIB), inputs[sender].digest())
        client.end_input()
        server.end_input()
        return client.status(), server.status()

    @both_modes
    def test_end_of_input_then_answer(self):
        """The client ends its direction; the answer of a program that reads to the end still arrives."""
        port, _ = self.listen(",fork", peer="EXEC:/usr/bin/sha256sum")
        client = self.connect(port, "-t", "10")
        client.feed([b"some bytes to hash"]).join(5)
        client.end_input()
        return client.status(), bytes(client.out.data)

    @both_modes
    def test_fork_for_each_connection(self):
        port, server = self.listen(",fork", peer="PIPE")
        clients = [self.connect(port) for _ in range(4)]
        for turn in range(2):
            for number, client in enumerate(clients):
                client.type(f"client {number} turn {turn}")
                client.expect(f"client {number} turn {turn}\n")
        for client in clients:
            client.end_input()
        return [client.status() for client in clients], server.runs()

    @both_modes
    def test_relay_that_is_sealed_on_both_sides(self):
        """client - sealed - relay - sealed - server: one process that accepts and connects."""
        port, server = self.listen()
        entry, relay = self.listen(peer=f"TCP:{self.address}:{port}")
        client = self.connect(entry)
        client.type("through the relay")
        server.expect("through the relay\n")
        server.type("and back")
        client.expect("and back\n")
        client.end_input()
        server.end_input()
        return client.status(), relay.status(), server.status()


if __name__ == "__main__":
    unittest.main()
