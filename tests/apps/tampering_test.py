# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""What somebody on the wire can do to a connection between two sealed programs: change a byte, cut, go silent."""

import sys
import time
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import sealed
import wire

from sealed import both_modes, sealed_only


class Case(sealed.TestCase):
    def setUp(self):
        super().setUp()
        self.address = sealed.loopback()

    def pair(self, server_steps, client_steps, alter=None, **settings):
        """A server and a client through a recorder, which `alter` may prepare before they connect."""
        port, entry = self.port(), self.port()
        server = self.run_peer("serve", self.address, port, *server_steps, **settings)
        self.wait_listening(port, server)
        self.recorder = wire.Wire(self, self.address, entry, (self.address, port))
        if alter:
            alter(self.recorder)
        client = self.run_peer("connect", self.address, entry, *client_steps, **settings)
        return server, client


@sealed_only
class Tampering(Case):
    def test_changed_byte_of_a_record(self):
        """The program gets EBADMSG and nothing of the record; the other side learns of it."""
        server, client = self.pair(("recv", "recv", "recv", "send:x", "wait"),
                                   ("send:first", "wait", "send:second", "recv", "wait"))
        server.expect("recv b'first'")
        self.recorder.to_server.flip_at = len(self.recorder.to_server.data) + 8
        client.type("now")
        server.expect("send")
        self.assertEqual(bytes(server.out.data).decode().splitlines()[2:4], ["recv EBADMSG", "recv EBADMSG"])
        server.expect_log("error", str(self.ports[0]))
        client.expect("recv E")
        self.assertNotIn(b"recv EOF", bytes(client.out.data))

    def test_changed_length_in_a_record_header(self):
        server, client = self.pair(("recv", "recv"), ("send:first", "wait", "send:second", "close"))
        server.expect("recv b'first'")
        self.recorder.to_server.flip_at = len(self.recorder.to_server.data) + 4
        client.type("now")
        server.expect("recv E")
        self.assertNotIn(b"second", bytes(server.out.data))
        self.assertNotIn(b"recv EOF", bytes(server.out.data))

    def test_changed_byte_anywhere_in_the_handshake(self):
        """Neither side ever delivers a byte after that."""
        for name, offsets in (("to_server", (0, 5, 11, 40, 100, 150)), ("to_client", (0, 5, 11, 50, 100, 140))):
            for offset in offsets:
                with self.subTest(direction=name, offset=offset):
                    def alter(recorder, name=name, offset=offset):
                        getattr(recorder, name).flip_at = offset
                    server, client = self.pair(("recv",), ("send:question", "recv"), alter,
                                               SOCKSEAL_HANDSHAKE_TIMEOUT=1)
                    server.expect("recv ")
                    client.expect("recv ")
                    for program in (server, client):
                        if b"question" in program.out.data or b"EOF" in program.out.data:
                            self.fail_with_report("data or a clean end after a changed handshake")

    def test_cut_between_records(self):
        """The end of the stream without close_notify is an error, after the data that did arrive."""
        server, client = self.pair(("recv", "recv", "recvall", "recv"),
                                   ("send:first", "wait", "send:second", "wait", "send:third"))
        for word in ("first", "second"):
            server.expect(f"recv b'{word}'")
            self.recorder.to_server.cut_at = self.recorder.to_server.passed if word == "second" else None
            client.type("now")
        server.expect("recvall b'' ECONNRESET")
        server.expect("recv ECONNRESET")

    def test_cut_in_the_middle_of_a_record(self):
        server, client = self.pair(("recv", "recvall"), ("send:first", "wait", "sendn:3000", "close"))
        server.expect("recv b'first'")
        self.recorder.to_server.cut_at = len(self.recorder.to_server.data) + 1000
        client.type("now")
        server.expect("recvall b'' ECONNRESET")

    def test_killed_program_is_no_clean_end(self):
        """A program that is killed says no close_notify, and its peer must not take that for the end of the data."""
        server, client = self.pair(("recvall",), ("send:half of the data", "wait"))
        self.recorder.to_server.wait_passed(100)
        self.wait_asleep(server, client)
        client.process.kill()
        server.expect("recvall b'half of the data' ECONNRESET")

    def test_handshake_that_is_held_up_times_out_at_both_ends(self):
        server, client = self.pair(("recv",), ("recv",), lambda recorder: recorder.to_client.hold_after(20),
                                   SOCKSEAL_HANDSHAKE_TIMEOUT=1)
        client.expect("recv ETIMEDOUT")
        client.expect_log(self.address, "in time")
        server.expect("recv E")  # whoever gives up first resets the other
        self.assertRegex(bytes(server.out.data), b"recv (ETIMEDOUT|ECONNRESET)")


class CleanEnds(Case):
    @both_modes
    def test_close_is_a_clean_end(self):
        server, client = self.pair(("recvall",), ("send:all of it", "close"))
        server.status()
        client.status()
        return bytes(server.out.data), bytes(client.out.data)

    @both_modes
    def test_exit_without_close_is_a_clean_end(self):
        server, client = self.pair(("recvall",), ("send:all of it",))
        server.status()
        return bytes(server.out.data), client.status()

    @both_modes
    def test_shutdown_closes_one_direction(self):
        server, client = self.pair(("recvall", "send:answer", "close"), ("send:question", "shutdown", "recvall"))
        return server.status(), client.status(), bytes(server.out.data), bytes(client.out.data)

    @both_modes
    def test_close_with_unread_data_resets(self):
        """As the kernel resets a connection that is closed over data that nobody read."""
        port = self.port()
        server = self.run_peer("serve", self.address, port, "sleep:0.3", "close")
        self.wait_listening(port, server)
        client = self.run_peer("connect", self.address, port, "send:never read", "sleep:0.6", "recv")
        return client.status(), bytes(client.out.data)

    @both_modes
    def test_close_of_a_connection_on_which_nothing_was_said(self):
        server, client = self.pair(("recv",), ("close",))
        return server.status(), bytes(server.out.data), client.status()


if __name__ == "__main__":
    unittest.main()
