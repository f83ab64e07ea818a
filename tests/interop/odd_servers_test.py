# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""A sealed program connects to servers that no stock program plays: HelloRetryRequest with a cookie, KeyUpdates and
tickets at awkward moments, and some that break the rules."""

import socket
import sys
import threading
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import sealed
import tls13

from sealed import sealed_only

# Lifetime, age_add, nonce, ticket, no extensions (RFC 8446, 4.6.1).
TICKET = tls13.message(tls13.NEW_SESSION_TICKET, bytes.fromhex("00001c20 01020304 0100 0004deadbeef 0000"))


class Case(sealed.TestCase):
    def setUp(self):
        super().setUp()
        self.address = sealed.loopback()

    def against(self, script, *steps):
        """Runs script(server) on the first connection; gives the sealed client. finish() then checks the script."""
        port = self.port()
        listener = socket.create_server((self.address, port))
        self.addCleanup(listener.close)
        self.problem = None

        def serve():
            try:
                connection, _ = listener.accept()
                with connection:
                    connection.settimeout(10)
                    script(tls13.Server(connection, bytes.fromhex(self.key)))
            except Exception as error:  # reported by finish(), in the test's own thread
                self.problem = error
        self.thread = threading.Thread(target=serve, daemon=True)
        self.thread.start()
        return self.run_peer("connect", self.address, port, *steps)

    def finish(self):
        self.thread.join(15)
        if self.problem or self.thread.is_alive():
            self.fail_with_report(f"the server's side: {self.problem or 'does not end'}")

    def expect_data(self, server, text):
        kind, content = server.receive()
        if (kind, content) != (tls13.DATA, text):
            raise ValueError(f"got type {kind}: {content!r}")


@sealed_only
class Retry(Case):
    def echo(self, server):
        self.expect_data(server, b"question")
        server.send(tls13.DATA, b"answer")
        server.close_notify()

    def test_no_retry(self):
        """Shows that the server of these tests works."""
        def script(server):
            server.handshake()
            self.echo(server)
        self.against(script, "send:question", "recvall").expect("recvall b'answer' EOF")
        self.finish()

    def test_hello_retry_request_with_a_cookie(self):
        """The longest makes the HelloRetryRequest and the second ClientHello fill several records."""
        for size in (1, 32, 512, 5000, 16384):
            with self.subTest(cookie_length=size):
                def script(server, size=size):
                    server.handshake(cookie=(bytes(range(256)) * 64)[:size], retries=1)
                    self.echo(server)
                self.against(script, "send:question", "recvall").expect("recvall b'answer' EOF")
                self.finish()

    def refused(self, **how):
        def script(server):
            try:
                server.handshake(**how)
            except (ValueError, EOFError):
                return
            raise AssertionError("the client accepted it")
        self.against(script, "send:question", "recv").expect("recv EPROTO")
        self.finish()

    def test_second_hello_retry_request_is_refused(self):
        self.refused(cookie=b"cookie", retries=2)

    def test_hello_retry_request_that_changes_nothing_is_refused(self):
        self.refused(cookie=None, retries=1)


@sealed_only
class AfterTheHandshake(Case):
    def test_tickets_and_key_updates_between_data(self):
        def script(server):
            server.handshake()
            self.expect_data(server, b"question")
            for number in range(8):
                server.send(tls13.HANDSHAKE, TICKET)
                server.update_keys(0)
                server.send(tls13.DATA, b"part %d " % number)
            server.close_notify()
        client = self.against(script, "send:question", "recvall")
        client.expect("recvall b'" + "".join(f"part {number} " for number in range(8)) + "' EOF")
        self.finish()

    def test_requested_key_update_is_answered_before_the_next_data(self):
        def script(server):
            server.handshake()
            self.expect_data(server, b"first")
            server.update_keys(1)
            server.send(tls13.DATA, b"go on")
            if server.receive() != (tls13.HANDSHAKE, tls13.message(tls13.KEY_UPDATE, b"\0")):
                raise ValueError("a KeyUpdate was expected")
            server.receiving = server.receiving.renewed()
            self.expect_data(server, b"second")
            server.close_notify()
        client = self.against(script, "send:first", "recv", "send:second", "recv")
        client.expect("recv b'go on'\nsend ok\nrecv EOF")
        self.finish()

    def test_handshake_message_split_over_records(self):
        def script(server):
            server.handshake()
            self.expect_data(server, b"question")
            for i in range(0, len(TICKET), 5):
                server.send(tls13.HANDSHAKE, TICKET[i : i + 5])
            server.send(tls13.DATA, b"answer")
            server.close_notify()
        self.against(script, "send:question", "recvall").expect("recvall b'answer' EOF")
        self.finish()

    def test_empty_and_padded_records(self):
        def script(server):
            server.handshake()
            self.expect_data(server, b"question")
            server.send(tls13.DATA, b"")
            server.sock.sendall(server.sending.seal(b"answer" + bytes([tls13.DATA]) + bytes(300)))
            server.send(tls13.DATA, b"")
            server.close_notify()
        self.against(script, "send:question", "recvall").expect("recvall b'answer' EOF")
        self.finish()

    def broken(self, error, breaking, delivered=b"good"):
        def script(server):
            server.handshake()
            self.expect_data(server, b"question")
            server.send(tls13.DATA, b"good")
            breaking(server)
            try:
                while server.receive()[0] != tls13.ALERT:
                    pass
            except (OSError, EOFError):
                pass
        client = self.against(script, "send:question", "recvall")
        client.expect(f"recvall {delivered!r} {error}")
        self.finish()

    def test_plaintext_record_after_the_handshake(self):
        self.broken("EPROTO", lambda server: server.sock.sendall(b"\x16\x03\x03\x00\x05hello"))

    def test_data_record_that_is_too_short_for_its_tag(self):
        self.broken("EBADMSG", lambda server: server.sock.sendall(b"\x17\x03\x03\x00\x05hello"))

    def test_data_in_the_middle_of_a_handshake_message(self):
        def breaking(server):
            server.send(tls13.HANDSHAKE, TICKET[:5])
            server.send(tls13.DATA, b"bad")
        self.broken("EPROTO", breaking)

    def test_record_of_zeros_alone(self):
        self.broken("EPROTO", lambda server: server.sock.sendall(server.sending.seal(bytes(8))))

    def test_key_update_with_a_value_of_two(self):
        self.broken("EPROTO", lambda server: server.update_keys(2))

    def test_record_sealed_with_another_key(self):
        def breaking(server):
            server.sending = server.sending.renewed()
            server.send(tls13.DATA, b"bad")
        self.broken("EBADMSG", breaking)

    def test_record_that_is_replayed(self):
        def breaking(server):
            record = server.sending.seal(b" twice" + bytes([tls13.DATA]))
            server.sock.sendall(record + record)
        self.broken("EBADMSG", breaking, b"good twice")


if __name__ == "__main__":
    unittest.main()
