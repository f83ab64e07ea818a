# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""gnutls-cli and gnutls-serv, each against a sealed program in the other role."""

import sys
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import sealed
import wire

from sealed import sealed_only

PRIORITY = "NONE:+VERS-TLS1.3:+CHACHA20-POLY1305:+AEAD:+GROUP-X25519:+ECDHE-PSK:+SIGN-ALL"
P256_FIRST = PRIORITY.replace("+GROUP-X25519", "+GROUP-SECP256R1:+GROUP-X25519")
MIB = 1 << 20


class GnutlsCase(sealed.TestCase):
    def setUp(self):
        for program in ("gnutls-cli", "gnutls-serv"):
            sealed.need(program)
        super().setUp()
        self.address = sealed.loopback()

    def transfer(self, sender, receiver, size):
        chunks = sealed.HashedStream(size)
        sender.feed(chunks)
        self.assertEqual(receiver.expect_length(size, 40), chunks.digest())


@sealed_only
class GnutlsCli(GnutlsCase):
    """The sealed program listens."""

    def nc_listening(self, *options, **how):
        port = self.port()
        server = self.run_program("nc.openbsd", "-n", *options, "-l", self.address, port, **how)
        return port, self.wait_listening(port, server)

    def gnutls_cli(self, port, *options, priority=PRIORITY, key=None, **how):
        return self.run_stock("gnutls-cli", "-p", port, self.address, "--pskusername", sealed.IDENTITY, "--pskkey",
                              key or self.key, "--priority", priority, *options, **how)

    def connected(self, *options, **how):
        port, server = self.nc_listening()
        client = self.gnutls_cli(port, *options, **how)
        client.expect("Handshake was completed")
        return server, client

    def exchange(self, server, client, word):
        client.type(f"line to the server {word}")
        server.expect(f"line to the server {word}\n")
        server.type(f"line to the client {word}")
        client.expect(f"line to the client {word}\n")

    def test_lines_both_ways(self):
        server, client = self.connected()
        for number in range(3):
            self.exchange(server, client, number)

    def test_authenticated_by_the_key(self):
        _, client = self.connected()
        client.expect(f"PSK authentication. Connected as '{sealed.IDENTITY}'")

    def test_key_update(self):
        """`^rekey1^` renews the client's keys; `^rekey^` asks the sealed side to renew its own as well."""
        server, client = self.connected("--inline-commands")
        self.exchange(server, client, "before")
        for command in ("^rekey^", "^rekey1^", "^rekey^"):
            client.type(command)
            client.expect("Rekey was completed")
            self.exchange(server, client, f"after {command.strip('^')}")

    def test_keys_renewed_with_every_record(self):
        """GnuTLS takes eight KeyUpdates a second."""
        port, server = self.nc_listening(SOCKSEAL_TEST_REKEY=1)
        client = self.gnutls_cli(port, "-d", "4")
        client.expect("Handshake was completed")
        for number in range(6):
            self.exchange(server, client, number)
        self.assertGreaterEqual(bytes(client.err.data).count(b"KEY_UPDATE (24) was received"), 4, client.report())

    def test_hello_retry_request(self):
        """The client sends a share of its first group alone, P-256, and supports X25519."""
        server, client = self.connected("--single-key-share", priority=P256_FIRST)
        self.exchange(server, client, "after the retry")

    def test_two_key_shares(self):
        server, client = self.connected(priority=P256_FIRST)
        self.exchange(server, client, "with two shares")

    def test_bulk_to_the_sealed_program(self):
        port, server = self.nc_listening(digest_only=True)
        client = self.gnutls_cli(port)
        client.expect("Simple Client Mode")
        self.transfer(client, server, 16 * MIB)

    def test_other_key(self):
        port = self.port()
        server = self.run_peer("serve", self.address, port, "recv")
        self.wait_listening(port, server)
        client = self.gnutls_cli(port, key="22" * 32)
        server.expect("recv EKEYREJECTED")
        self.assertNotEqual(client.status(), 0)
        server.expect_log(str(port), sealed.IDENTITY)


@sealed_only
class GnutlsServ(GnutlsCase):
    """The sealed program connects. gnutls-serv chooses no address to listen on: it takes all."""

    def gnutls_serv(self, *options, priority=PRIORITY, key=None):
        port = self.port()
        keys = self.write_keys("gnutls-keys", (sealed.IDENTITY, key or self.key))
        server = self.run_stock("gnutls-serv", "-p", port, "--pskpasswd", keys, "--priority", priority, *options)
        return port, self.wait_listening(port, server)

    def nc_connecting(self, port, *options, **how):
        return self.run_program("nc.openbsd", "-n", *options, "127.0.0.1", port, **how)

    def test_echo(self):
        port, _ = self.gnutls_serv("--echo")
        client = self.nc_connecting(port)
        for number in range(3):
            client.type(f"a line {number}")
            client.expect(f"a line {number}\n")

    def test_keys_renewed_with_every_record(self):
        port, server = self.gnutls_serv("--echo", "-d", "4")
        client = self.nc_connecting(port, SOCKSEAL_TEST_REKEY=1)
        for number in range(6):
            client.type(f"a line {number}")
            client.expect(f"a line {number}\n")
        self.assertGreaterEqual(bytes(server.err.data).count(b"KEY_UPDATE (24) was received"), 4, server.report())

    def test_many_lines_both_ways(self):
        """gnutls-serv echoes text, so that as much comes back."""
        port, _ = self.gnutls_serv("--echo")
        client = self.nc_connecting(port)
        text = b"".join(b"%060d\n" % number for number in range(4000))
        client.feed([text])
        client.expect_length(len(text))
        self.assertEqual(bytes(client.out.data), text)

    def test_http_page_by_curl(self):
        sealed.need("curl")
        page = self.directory / "page"
        page.write_bytes(b"".join(sealed.stream(2 * MIB)))
        port, _ = self.gnutls_serv("--http", "--httpdata", page)
        client = self.run_program("curl", "-sS", "--noproxy", "*", "--max-time", "15", f"http://127.0.0.1:{port}/")
        self.assertEqual(client.status(), 0, client.report())
        self.assertEqual(bytes(client.out.data), page.read_bytes())

    def test_wire_carries_no_plaintext(self):
        port, _ = self.gnutls_serv("--echo")
        recorder = wire.Wire(self, self.address, self.port(), ("127.0.0.1", port))
        client = self.run_program("nc.openbsd", "-n", self.address, self.ports[-1])
        client.type("a line that nobody else reads")
        client.expect("a line that nobody else reads\n")
        wire.assert_sealed(self, recorder, "a line that nobody else reads")

    def test_other_key(self):
        """gnutls-serv answers with an alert that says nothing of keys: the log line names both possibilities."""
        port, _ = self.gnutls_serv("--echo", key="22" * 32)
        client = self.run_peer("connect", "127.0.0.1", port, "recv")
        client.expect("recv EPROTO")
        client.expect_log(str(port), sealed.IDENTITY, "another key")


if __name__ == "__main__":
    unittest.main()
