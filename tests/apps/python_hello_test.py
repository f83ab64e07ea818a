# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""The pair of programs in examples/python-hello, unmodified."""

import sys
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import namespace
import sealed
import wire

from sealed import both_modes, sealed_only

EXAMPLE = sealed.ROOT / "examples" / "python-hello"
PORT = 5000


class PythonHello(sealed.TestCase):
    def run_in(self, network, script, **how):
        return self.run_program(*network.enter, sealed.PYTHON, EXAMPLE / script, **how)

    def start_server(self, network, **how):
        self.ports = [PORT]
        server = self.run_in(network, "server.py", **how)
        return self.wait_listening(PORT, server)

    @both_modes
    def test_client_prints_the_message_and_the_wire_does_not_carry_it(self):
        network = namespace.Namespace(self)
        server = self.start_server(network)
        client = self.run_in(network, "client.py")
        seen = client.status(), bytes(client.out.data), server.status(), bytes(server.out.data)
        self.assertEqual(seen, (0, b"Hello, World!\n", 0, b""))
        recorded = network.payloads()
        wire.assert_sealed(self, recorded, b"Hello, World!")
        return seen

    @sealed_only
    def test_client_that_is_not_sealed_gets_nothing(self):
        network = namespace.Namespace(self)
        server = self.start_server(network, SOCKSEAL_HANDSHAKE_TIMEOUT=1)
        client = self.run_in(network, "client.py", sealed=False)
        client.status()
        server.status()
        self.assertNotIn(b"Hello", bytes(client.out.data))
        wire.assert_sealed(self, network.payloads(), b"Hello, World!")

    @sealed_only
    def test_client_with_another_key_gets_nothing(self):
        network = namespace.Namespace(self)
        server = self.start_server(network)
        other = self.write_keys("other", (sealed.IDENTITY, "11" * 32))
        client = self.run_in(network, "client.py", SOCKSEAL_KEY_FILE=other)
        self.assertNotEqual(client.status(), 0)
        self.assertIn(b"Key was rejected", bytes(client.err.data))
        server.status()
        wire.assert_sealed(self, network.payloads(), b"Hello, World!")

    def test_programs_do_not_know_of_the_shim(self):
        for script in ("server.py", "client.py"):
            code = (EXAMPLE / script).read_text().split("\n", 2)[2].lower()
            for word in ("sockseal", "ssl", "crypt"):
                self.assertNotIn(word, code)


if __name__ == "__main__":
    unittest.main()
