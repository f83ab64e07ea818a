# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""Peers that a sealed program must not talk to: other keys, TLS 1.2, HTTP, random bytes. Each gives the errno of the
design's section 9 in both roles, a log line that says who and what, and no byte in the clear."""

import random
import socket
import sys
import threading
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import sealed
import wire

from sealed import sealed_only

SECRET = "what the program says to its peer"


class Case(sealed.TestCase):
    def setUp(self):
        sealed.need("openssl")
        super().setUp()
        self.address = sealed.loopback()

    def expect_failure(self, program, errors, port, *words):
        """The errno at the program, one of these, and a line in its log with the addresses."""
        program.expect("recv ")
        lines = bytes(program.out.data).decode().splitlines()
        seen = [line for line in lines if line.startswith("recv ")]
        if seen not in [[f"recv {error}"] for error in errors.split()]:
            self.fail_with_report(f"expected recv {errors}")
        return program.expect_log(self.address, str(port), *words)


@sealed_only
class Listening(Case):
    """The sealed program listens; it reads before it writes."""

    def serve(self, *steps, **how):
        port = self.port()
        server = self.run_peer("serve", self.address, port, *(steps or ("recv", f"send:{SECRET}", "wait")), **how)
        return port, self.wait_listening(port, server)

    def s_client(self, port, *options, key=None, identity=sealed.IDENTITY):
        return self.run_stock("openssl", "s_client", "-connect", f"{self.address}:{port}", "-psk", key or self.key,
                              "-psk_identity", identity, *options)

    def stranger_says(self, data):
        """Says something that is no ClientHello; gives what was answered."""
        port, server = self.serve(SOCKSEAL_HANDSHAKE_TIMEOUT=3)
        with socket.create_connection((self.address, port), timeout=10) as stranger:
            stranger.sendall(data)
            self.expect_failure(server, "EPROTO", port)
            answer = b""
            try:
                while chunk := stranger.recv(4096):
                    answer += chunk
            except ConnectionResetError:
                pass
        self.assertNotIn(SECRET.encode(), answer)
        self.assertLess(len(answer), 16, "at most an alert goes back")

    def test_wrong_key(self):
        port, server = self.serve()
        client = self.s_client(port, "-tls1_3", key="33" * 32)
        self.expect_failure(server, "EKEYREJECTED", port, sealed.IDENTITY)
        self.assertNotEqual(client.status(), 0)
        client.expect("alert decrypt error", stream="err")

    def test_unknown_identity(self):
        port, server = self.serve()
        client = self.s_client(port, "-tls1_3", identity="somebody-else")
        self.expect_failure(server, "EKEYREJECTED", port)
        self.assertNotEqual(client.status(), 0)
        client.expect("alert", stream="err")

    def test_what_a_peer_calls_itself_is_escaped_in_the_log(self):
        """Quotes would end the quotation, a right-to-left override (U+202E) would turn the rest of the line."""
        port, server = self.serve()
        self.s_client(port, "-tls1_3", identity="it's \"\u202enobody")
        self.expect_failure(server, "EKEYREJECTED", port, r"(identity 'it\x27s \x22\xe2\x80\xaenobody')")

    def test_client_without_a_psk(self):
        port, server = self.serve()
        client = self.run_stock("openssl", "s_client", "-connect", f"{self.address}:{port}", "-tls1_3")
        server.expect("recv E")
        self.assertRegex(bytes(server.out.data).decode(), "recv (EKEYREJECTED|EPROTO)")
        self.assertNotEqual(client.status(), 0)

    def test_tls_1_2_client(self):
        port, server = self.serve()
        client = self.s_client(port, "-tls1_2")
        self.expect_failure(server, "EPROTO", port)
        self.assertNotEqual(client.status(), 0)
        client.expect("alert protocol version", stream="err")

    def test_client_that_offers_only_other_suites(self):
        port, server = self.serve()
        client = self.s_client(port, "-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256")
        self.expect_failure(server, "EPROTO", port)
        client.expect("alert handshake failure", stream="err")

    def test_http_client(self):
        sealed.need("curl")
        port, server = self.serve()
        client = self.run_stock("curl", "-sS", "--noproxy", "*", "--max-time", "10", f"http://{self.address}:{port}/")
        self.expect_failure(server, "EPROTO", port)
        self.assertNotEqual(client.status(), 0)
        self.assertNotIn(SECRET.encode(), bytes(client.out.data))

    def test_http_request_is_answered_by_nothing_in_the_clear(self):
        self.stranger_says(b"GET / HTTP/1.1\r\nHost: example\r\n\r\n")

    def test_random_bytes(self):
        for seed in range(4):
            with self.subTest(seed=seed):
                content = random.Random(seed).randbytes(2000)
                self.stranger_says(bytes([0x80 | content[0]]) + content)

    def test_record_header_and_then_random_bytes(self):
        for seed in range(4):
            with self.subTest(seed=seed):
                self.stranger_says(b"\x16\x03\x01\x00\xf0" + random.Random(seed).randbytes(0xF0))

    def test_record_that_is_too_long(self):
        self.stranger_says(b"\x16\x03\x01\xff\xff" + bytes(64))

    def test_after_a_stranger_the_next_client_is_served(self):
        port, server = self.serve("recv", "accept", "recv")
        with socket.create_connection((self.address, port), timeout=10) as stranger:
            stranger.sendall(b"HELO example\r\n")
            server.expect("recv EPROTO")
        client = self.s_client(port, "-tls1_3", "-quiet")
        client.type("line of a friend")
        server.expect("recv b'line of a friend\\n'")

    def test_two_connections_of_which_one_has_the_wrong_key(self):
        port = self.port()
        server = self.run_program("nc.openbsd", "-n", "-k", "-l", self.address, port)
        self.wait_listening(port, server)
        self.s_client(port, "-tls1_3", key="33" * 32).status()
        client = self.s_client(port, "-tls1_3", "-quiet")
        client.type("line of a friend")
        server.expect("line of a friend\n")
        self.assertEqual(bytes(server.out.data), b"line of a friend\n")


@sealed_only
class Connecting(Case):
    """The sealed program connects, and writes at once."""

    def connect(self, port, *steps, **how):
        """Connects through a recorder, which must see nothing that the program said."""
        entry = self.port()
        self.recorder = wire.Wire(self, self.address, entry, (self.address, port))
        return entry, self.run_peer("connect", self.address, entry, *(steps or (f"send:{SECRET}", "recv")), **how)

    def expect_refused(self, error, port, **how):
        entry, client = self.connect(port, **how)
        line = self.expect_failure(client, error, entry)
        wire.assert_sealed(self, self.recorder, SECRET)
        return line

    def s_server(self, *options, key=None, identity=sealed.IDENTITY):
        port = self.port()
        server = self.run_stock("openssl", "s_server", "-accept", f"{self.address}:{port}", "-nocert", "-psk",
                                key or self.key, "-psk_identity", identity, *options)
        self.wait_listening(port, server)
        return port

    def stranger_answering(self, data):
        port = self.port()
        listener = socket.create_server((self.address, port))
        self.addCleanup(listener.close)

        def answer():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(4096)
                connection.sendall(data)
                connection.settimeout(5)
                try:
                    while connection.recv(4096):
                        pass
                except OSError:
                    pass
        threading.Thread(target=answer, daemon=True).start()
        return port

    def test_wrong_key(self):
        """openssl s_server answers with illegal_parameter, which says nothing of keys: the log line names both. From
        OpenSSL 3.5 on it is decrypt_error, as RFC 8446, 4.2.11.2 asks."""
        line = self.expect_refused("EPROTO EKEYREJECTED", self.s_server("-tls1_3", key="33" * 32))
        self.assertIn(sealed.IDENTITY, line)
        self.assertRegex(line, r"another key|alert decrypt_error")

    def test_no_suite_in_common_is_not_another_key(self):
        line = self.expect_refused("EPROTO", self.s_server("-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256"))
        self.assertIn("no suite in common", line)

    def test_unknown_identity(self):
        """The server is sealed, too: openssl s_server answers an unknown identity with a mere handshake_failure."""
        port = self.port()
        other = self.write_keys("other", ("somebody-else", self.key))
        server = self.run_peer("serve", self.address, port, "recv", SOCKSEAL_KEY_FILE=other)
        self.wait_listening(port, server)
        self.expect_refused("EKEYREJECTED", port)
        server.expect("recv EKEYREJECTED")
        server.expect_log(self.address, str(port), sealed.IDENTITY)

    def test_tls_1_2_server(self):
        self.expect_refused("EPROTO", self.s_server("-tls1_2"))

    def test_http_server(self):
        port = self.port()
        server = self.run_stock(sealed.PYTHON, "-m", "http.server", "--bind", self.address, str(port))
        self.wait_listening(port, server)
        self.expect_refused("EPROTO", port)

    def test_server_that_greets_in_the_clear(self):
        self.expect_refused("EPROTO", self.stranger_answering(b"220 mail.example ESMTP\r\n"))

    def test_random_bytes(self):
        for seed in range(4):
            with self.subTest(seed=seed):
                content = random.Random(seed).randbytes(2000)
                self.expect_refused("EPROTO", self.stranger_answering(bytes([0x80 | content[0]]) + content))

    def test_record_header_and_then_random_bytes(self):
        content = random.Random(1).randbytes(0x7A)
        self.expect_refused("EPROTO", self.stranger_answering(b"\x16\x03\x03\x00\x7a" + content))

    def test_silent_server(self):
        port = self.port()
        listener = socket.create_server((self.address, port))
        self.addCleanup(listener.close)
        self.expect_refused("ETIMEDOUT", port, SOCKSEAL_CONNECT_TIMEOUT=1)

    def test_server_that_closes_at_once(self):
        """A reset or an end in the middle of the handshake is no clean end of the stream."""
        port = self.port()
        listener = socket.create_server((self.address, port))
        self.addCleanup(listener.close)
        _, client = self.connect(port)
        listener.accept()[0].close()
        client.expect("recv ECONNRESET")


if __name__ == "__main__":
    unittest.main()
