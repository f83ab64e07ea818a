# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""openssl s_client and s_server, each against a sealed program in the other role."""

import subprocess
import sys
import time
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import sealed
import wire

from sealed import sealed_only

MIB = 1 << 20
CHACHA20 = ("-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256")
KEY_UPDATE = "Handshake [length 0005], KeyUpdate"


class OpensslCase(sealed.TestCase):
    def setUp(self):
        sealed.need("openssl")
        super().setUp()
        self.address = sealed.loopback()

    def s_client(self, port, *options, **how):
        return self.run_stock("openssl", "s_client", "-connect", f"{self.address}:{port}", "-tls1_3", "-psk", self.key,
                              "-psk_identity", sealed.IDENTITY, *options, **how)

    def s_server(self, *options, **how):
        port = self.port()
        server = self.run_stock("openssl", "s_server", "-accept", f"{self.address}:{port}", "-tls1_3", "-nocert",
                                "-psk", self.key, "-psk_identity", sealed.IDENTITY, *options, **how)
        return port, self.wait_listening(port, server)

    def nc_listening(self, *options, **how):
        port = self.port()
        server = self.run_program("nc.openbsd", "-n", *options, "-l", self.address, port, **how)
        return port, self.wait_listening(port, server)

    def nc_connecting(self, port, *options, **how):
        return self.run_program("nc.openbsd", "-n", *options, self.address, port, **how)

    def exchange(self, one, other, word):
        for sender, receiver in ((one, other), (other, one)):
            sender.type(f"line {word} from {sender.pid}")
            receiver.expect(f"line {word} from {sender.pid}\n")

    def press(self, program, letter, count):
        """Types a command letter; each has to come in a read of its own, so what it does is waited for."""
        program.type(letter)
        program.err.wait(lambda output: output.data.count(b"KEYUPDATE") >= count, 5)

    def transfer(self, sender, receiver, size=32 * MIB):
        chunks = sealed.HashedStream(size, time.monotonic_ns())
        sender.feed(chunks)
        self.assertEqual(receiver.expect_length(size, 40), chunks.digest())


@sealed_only
class HybridGroup(OpensslCase):
    """X25519MLKEM768, which OpenSSL has from 3.5 on."""

    def setUp(self):
        super().setUp()
        groups = subprocess.run(["openssl", "list", "-tls-groups"], capture_output=True, text=True, check=False)
        if "X25519MLKEM768" not in groups.stdout:
            self.skipTest("OpenSSL is older than 3.5")

    def expect_group(self, port, group):
        self.assertIn(f" and {group}", self.sealed_program.expect_log(str(port), "sealed with"))

    def test_both_roles(self):
        for options, group in (((), "X25519MLKEM768"), (("-groups", "X25519"), "X25519"),
                               (("-groups", "X25519MLKEM768"), "X25519MLKEM768")):
            with self.subTest(options=options):
                port, self.sealed_program = self.nc_listening(SOCKSEAL_LOG="info")
                self.exchange(self.s_client(port, *options), self.sealed_program, "one")
                self.expect_group(port, group)
                port, server = self.s_server(*options)
                self.sealed_program = self.nc_connecting(port, SOCKSEAL_LOG="info")
                self.exchange(self.sealed_program, server, "two")
                self.expect_group(port, group)

    def test_hello_retry_request(self):
        """The stock client supports the group and sends a share of P-256 alone."""
        port, self.sealed_program = self.nc_listening(SOCKSEAL_LOG="info", SOCKSEAL_GROUPS="x25519mlkem768")
        client = self.s_client(port, "-msg", "-groups", "*P-256:X25519MLKEM768")
        client.expect("---\n")
        self.exchange(client, self.sealed_program, "after the retry")
        self.expect_group(port, "X25519MLKEM768")


@sealed_only
class KeyRenewal(OpensslCase):
    """The sealed side renews its keys by itself, here every few records, and asks a peer that keeps its own."""

    OURS, THEIRS = f"<<< TLS 1.3, {KEY_UPDATE}", f">>> TLS 1.3, {KEY_UPDATE}"

    def pairs(self, **how):
        """The sealed program listens, then connects: (sealed, stock)."""
        port, server = self.nc_listening(**how)
        yield server, self.s_client(port, "-msg")
        port, server = self.s_server("-msg")
        yield self.nc_connecting(port, **how), server

    def count(self, stock, what):
        return bytes(stock.out.data).count(what.encode())

    def test_every_record(self):
        for one, stock in self.pairs(SOCKSEAL_TEST_REKEY=1):
            for number in range(12):
                self.exchange(stock, one, number)
            self.assertGreaterEqual(self.count(stock, self.OURS), 10)
            self.assertGreaterEqual(self.count(stock, self.THEIRS), 3, "the peer was not asked")

    def test_not_before_its_time(self):
        for one, stock in self.pairs():
            for number in range(12):
                self.exchange(stock, one, number)
            self.assertEqual(self.count(stock, "KeyUpdate"), 0)

    def test_bulk(self):
        for quantity in (1, 60000):
            with self.subTest(bytes=quantity):
                port, server = self.nc_listening(SOCKSEAL_TEST_REKEY=quantity)
                self.transfer(server, self.s_client(port, "-quiet", digest_only=True), 8 * MIB)
                port, server = self.nc_listening(SOCKSEAL_TEST_REKEY=quantity, digest_only=True)
                self.transfer(self.s_client(port, "-quiet"), server, 8 * MIB)
                port, server = self.s_server("-quiet", digest_only=True)
                self.transfer(self.nc_connecting(port, SOCKSEAL_TEST_REKEY=quantity), server, 8 * MIB)

    def test_two_sealed_programs(self):
        port, server = self.nc_listening(SOCKSEAL_TEST_REKEY=1, digest_only=True)
        client = self.nc_connecting(port, SOCKSEAL_TEST_REKEY=1, digest_only=True)
        inputs = [sealed.HashedStream(8 * MIB, number) for number in range(2)]
        server.feed(inputs[0])
        client.feed(inputs[1])
        self.assertEqual(client.expect_length(8 * MIB), inputs[0].digest())
        self.assertEqual(server.expect_length(8 * MIB), inputs[1].digest())


@sealed_only
class SClient(OpensslCase):
    """The sealed program listens."""

    def test_lines_both_ways(self):
        port, server = self.nc_listening()
        client = self.s_client(port, "-quiet")
        for number in range(3):
            self.exchange(client, server, number)

    def test_suite_and_identity_negotiated(self):
        port, server = self.nc_listening()
        client = self.s_client(port)
        client.expect("TLS_CHACHA20_POLY1305_SHA256")
        self.exchange(client, server, "one")

    def test_server_that_speaks_first(self):
        port, server = self.nc_listening()
        server.type("line typed before anybody connected")
        self.s_client(port, "-quiet").expect("line typed before anybody connected\n")

    def test_32_mib_to_the_sealed_program(self):
        port, server = self.nc_listening(digest_only=True)
        self.transfer(self.s_client(port, "-quiet"), server)

    def test_32_mib_from_the_sealed_program(self):
        port, server = self.nc_listening()
        self.transfer(server, self.s_client(port, "-quiet", digest_only=True))

    def test_both_directions_at_once(self):
        port, server = self.nc_listening(digest_only=True)
        client = self.s_client(port, "-quiet", digest_only=True)
        inputs = [sealed.HashedStream(4 * MIB, number) for number in range(2)]
        server.feed(inputs[0])
        client.feed(inputs[1])
        self.assertEqual(client.expect_length(4 * MIB), inputs[0].digest())
        self.assertEqual(server.expect_length(4 * MIB), inputs[1].digest())

    def test_close_by_the_sealed_side_is_a_clean_end(self):
        port = self.port()
        server = self.run_peer("serve", self.address, port, "send:goodbye", "close")
        self.wait_listening(port, server)
        client = self.s_client(port, "-msg")
        client.expect("Alert [length 0002], warning close_notify")
        self.assertEqual(client.status(), 0)
        self.assertIn(b"goodbye", bytes(client.out.data))

    def test_close_by_the_client_is_a_clean_end(self):
        port = self.port()
        server = self.run_peer("serve", self.address, port, "recv", "recvall")
        self.wait_listening(port, server)
        client = self.s_client(port)
        client.expect("---\n")
        client.type("line before the end")
        server.expect("recv ")
        client.type("Q")
        server.expect("recv b'line before the end\\n'\nrecvall b'' EOF")

    def test_key_update(self):
        """`k` renews the client's keys, `K` asks the sealed side to renew its own too, which it answers."""
        port, server = self.nc_listening()
        client = self.s_client(port, "-msg")
        client.expect("---\n")
        self.exchange(client, server, "before")
        self.press(client, "k", 1)
        self.exchange(client, server, "after one")
        self.assertNotIn(f"<<< TLS 1.3, {KEY_UPDATE}".encode(), bytes(client.out.data))
        self.press(client, "K", 2)
        self.exchange(client, server, "after a requested one")
        client.expect(f"<<< TLS 1.3, {KEY_UPDATE}")
        for number in range(5):
            self.press(client, "K", 2 * number + 3)
            self.press(client, "k", 2 * number + 4)
            self.exchange(client, server, f"after many, {number}")

    def test_key_update_request_to_a_program_that_only_reads(self):
        """The answer waits for nothing that the program writes."""
        port = self.port()
        server = self.run_peer("serve", self.address, port, "recvn:12", "recvn:14", "sleep:0", "wait")
        self.wait_listening(port, server)
        client = self.s_client(port, "-msg")
        client.expect("---\n")
        client.type("line before")
        server.expect("recvn")
        self.press(client, "K", 1)
        client.type("line after it")
        server.expect("sleep ok", timeout=5)
        client.expect(f"<<< TLS 1.3, {KEY_UPDATE}")

    def test_hello_retry_request(self):
        """The client's only share is P-256, but it supports X25519."""
        port, server = self.nc_listening()
        client = self.s_client(port, "-msg", "-groups", "P-256:X25519")
        client.expect("---\n")
        self.exchange(client, server, "after the retry")
        hellos = [line for line in bytes(client.out.data).splitlines() if line.endswith(b", ClientHello")]
        self.assertEqual(len(hellos), 2)

    def test_client_without_x25519_is_refused(self):
        port = self.port()
        server = self.run_peer("serve", self.address, port, "recv")
        self.wait_listening(port, server)
        client = self.s_client(port, "-groups", "P-256")
        self.assertNotEqual(client.status(), 0)
        server.expect("recv EPROTO")
        client.expect("alert handshake failure", stream="err")

    def test_client_without_middlebox_compatibility(self):
        port, server = self.nc_listening()
        self.exchange(self.s_client(port, "-quiet", "-no_middlebox"), server, "one")

    def test_records_with_padding(self):
        port, server = self.nc_listening()
        client = self.s_client(port, "-quiet", "-record_padding", "512")
        self.exchange(client, server, "padded")

    def test_small_records(self):
        port, server = self.nc_listening(digest_only=True)
        self.transfer(self.s_client(port, "-quiet", "-max_send_frag", "512"), server, 4 * MIB)

    def test_wire_carries_no_plaintext(self):
        port, server = self.nc_listening()
        recorder = wire.Wire(self, self.address, self.port(), (self.address, port))
        self.exchange(self.s_client(self.ports[-1], "-quiet"), server, "that nobody else reads")
        wire.assert_sealed(self, recorder, "that nobody else reads")


@sealed_only
class SServer(OpensslCase):
    """The sealed program connects."""

    def test_lines_both_ways(self):
        port, server = self.s_server("-quiet")
        client = self.nc_connecting(port)
        for number in range(3):
            self.exchange(client, server, number)

    def test_rev(self):
        port, _ = self.s_server("-rev")
        client = self.nc_connecting(port)
        for word in ("abc", "defgh"):
            client.type(word)
            client.expect(word[::-1] + "\n")

    def test_32_mib_to_the_stock_server(self):
        port, server = self.s_server("-quiet", digest_only=True)
        self.transfer(self.nc_connecting(port), server)

    def test_32_mib_from_the_stock_server(self):
        port, server = self.s_server("-quiet")
        client = self.nc_connecting(port, digest_only=True)
        client.type("line to start with")  # s_server may hang if it has input before the handshake is done
        server.expect("line to start with\n")
        self.transfer(server, client)

    def test_tickets_are_not_delivered(self):
        """The program reads what was typed and nothing of the tickets around it."""
        port, server = self.s_server("-quiet", "-num_tickets", "16")
        client = self.run_peer("connect", self.address, port, "recv", "wait")
        self.wait_asleep(server, client)
        self.assertNotIn(b"recv", bytes(client.out.data), "a read returned although nothing was typed")
        server.type("line after the tickets")
        client.expect("recv b'line after the tickets\\n'")

    def test_key_update(self):
        port, server = self.s_server("-msg")
        client = self.nc_connecting(port)
        self.exchange(client, server, "before")
        self.press(server, "k", 1)
        self.exchange(client, server, "after one")
        self.assertNotIn(f"<<< TLS 1.3, {KEY_UPDATE}".encode(), bytes(server.out.data))
        self.press(server, "K", 2)
        self.exchange(client, server, "after a requested one")
        server.expect(f"<<< TLS 1.3, {KEY_UPDATE}")

    def test_close_by_the_stock_server_is_a_clean_end(self):
        """With -rev, s_server closes as it should after the line CLOSE."""
        port, _ = self.s_server("-rev")
        client = self.run_peer("connect", self.address, port, "send:abc\n", "recv", "send:CLOSE\n", "recvall")
        client.expect("recv b'cba\\n'\nsend ok\nrecvall b'' EOF")

    def test_stock_server_that_closes_without_close_notify(self):
        """After Q, s_server closes the socket first and can say nothing any more."""
        port, server = self.s_server()
        client = self.run_peer("connect", self.address, port, "send:line to start with", "recv", "recvall")
        server.expect("line to start with")
        server.type("line before the end")
        client.expect("recv ")
        server.type("Q")
        client.expect("recv b'line before the end\\n'\nrecvall b'' ECONNRESET")

    def test_half_close(self):
        """close_notify and FIN from the sealed side: s_server sees a clean end."""
        port, server = self.s_server("-msg")
        client = self.nc_connecting(port, "-N")
        client.type("line before the end")
        client.end_input()
        server.expect("line before the end\n")
        server.expect("Alert [length 0002], warning close_notify")
        self.assertEqual(client.status(), 0)


if __name__ == "__main__":
    unittest.main()
