# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""The three netcats in every pairing: typed lines, both directions at once, bulk, half-close."""

import sys
import time
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import netcats
import sealed
import wire

from sealed import both_modes, sealed_only

MIB = 1 << 20


class NetcatCase(netcats.Case):
    def pair(self, listener, connector, options=netcats.UNTIL_EOF, through_wire=False, **how):
        """A listening and a connecting netcat, connected; and the wire between them, if asked for."""
        port = self.port()
        server = self.run_program(*netcats.listening(listener, self.address, port, *options[listener]), **how)
        self.wait_listening(port, server)
        recorder = None
        if through_wire:
            target, port = (self.address, port), self.port()
            recorder = wire.Wire(self, self.address, port, target)
        client = self.run_program(*netcats.connecting(connector, self.address, port, *options[connector]), **how)
        return server, client, recorder


def for_every_pair(scenario):
    """Adds a test for every pairing of netcats to the class."""
    def install(cls):
        for listener, connector in netcats.PAIRS:
            def test(self, pair=(listener, connector)):
                scenario(self, *pair)
            test.__doc__ = scenario.__doc__
            setattr(cls, f"test_{scenario.__name__}_{connector}_to_{listener}", test)
        return cls
    return install


@both_modes
def typed_lines(self, listener, connector):
    """Lines typed at either terminal arrive at the other, at once and in order, and cross the wire unreadable."""
    server, client, recorder = self.pair(listener, connector, through_wire=True, on_pty=True)
    slowest = 0.0
    for number in range(12):
        sender, receiver = (client, server) if number % 3 else (server, client)
        line = f"line {number:02} typed at the {'client' if sender is client else 'server'}"
        start = time.monotonic()
        sender.type(line)
        receiver.expect(line + "\n")
        slowest = max(slowest, time.monotonic() - start)
        wire.assert_sealed(self, recorder, line)
    self.assertLess(slowest, 1.5, "typed lines must arrive at once")
    return bytes(server.out.data), bytes(client.out.data)


@both_modes
def both_directions_at_once(self, listener, connector):
    """8 MiB each way at the same time arrive unchanged, and both programs end as on plain TCP."""
    server, client, _ = self.pair(listener, connector, digest_only=True)
    inputs = {program: sealed.HashedStream(8 * MIB, seed) for seed, program in enumerate((server, client))}
    for program, chunks in inputs.items():
        program.feed(chunks)
    for sender, receiver in ((server, client), (client, server)):
        digest = receiver.expect_length(8 * MIB)
        self.assertEqual(digest, inputs[sender].digest())
    client.end_input()
    server.end_input()
    return server.status(), client.status()


@for_every_pair(typed_lines)
@for_every_pair(both_directions_at_once)
class EveryPairing(NetcatCase):
    pass


class Bulk(NetcatCase):
    def one_way(self, flavour, size):
        """Sends `size` bytes from a connecting to a listening netcat, which end by themselves at the end of input."""
        server, client, _ = self.pair(flavour, flavour, digest_only=True)
        chunks = sealed.HashedStream(size)
        client.feed(chunks).join(120)
        client.end_input()
        self.assertEqual(server.expect_length(size, 60), chunks.digest())
        server.end_input()
        return server.status(), client.status()

    @sealed_only
    def test_one_gibibyte(self):
        self.assertEqual(self.one_way("openbsd", 1024 * MIB), (0, 0))

    @both_modes
    def test_32_mib_traditional_that_exits_after_its_last_write(self):
        return self.one_way("traditional", 32 * MIB)

    @both_modes
    def test_32_mib_ncat(self):
        return self.one_way("ncat", 32 * MIB)

    @both_modes
    def test_32_mib_from_listener_to_connector(self):
        server, client, _ = self.pair("openbsd", "openbsd", digest_only=True)
        chunks = sealed.HashedStream(32 * MIB)
        server.feed(chunks).join(60)
        server.end_input()
        self.assertEqual(client.expect_length(32 * MIB), chunks.digest())
        client.end_input()
        return server.status(), client.status()

    @both_modes
    def test_bulk_crosses_the_wire_unreadable(self):
        server, client, recorder = self.pair("openbsd", "openbsd", through_wire=True)
        data = b"".join(sealed.stream(MIB))
        client.feed([data]).join(30)
        client.end_input()
        server.expect_length(MIB)
        wire.assert_sealed(self, recorder, data)
        self.assertGreaterEqual(len(recorder.to_server.data), MIB)
        return bytes(server.out.data) == data


class HalfClose(NetcatCase):
    """The end of one direction leaves the other open."""

    def connect_and_end_input(self, flavour):
        port = self.port()
        server = self.run_peer("serve", self.address, port, "recvall", "sleep:0.2", "send:answer after the end",
                               "close")
        self.wait_listening(port, server)
        client = self.run_program(*netcats.connecting(flavour, self.address, port, *netcats.UNTIL_EOF[flavour]))
        client.type("question")
        client.end_input()
        server.expect("close ok")
        return client.status(), bytes(client.out.data), server.status(), bytes(server.out.data)

    @both_modes
    def test_openbsd_connecting(self):
        seen = self.connect_and_end_input("openbsd")
        self.assertEqual(seen[1], b"answer after the end")
        return seen

    @both_modes
    def test_ncat_connecting(self):
        return self.connect_and_end_input("ncat")

    def listen_and_be_ended(self, flavour):
        port = self.port()
        server = self.run_program(*netcats.listening(flavour, self.address, port, *netcats.UNTIL_EOF[flavour]))
        self.wait_listening(port, server)
        client = self.run_peer("connect", self.address, port, "send:question", "shutdown", "recvall")
        server.expect("question")
        self.wait_asleep(server, client)  # the end of the client's direction has arrived
        if server.runs():
            server.feed([b"answer after the end"]).join(5)
            server.end_input()
        client_status = client.status()
        return server.status(), bytes(server.out.data), client_status, bytes(client.out.data)

    @both_modes
    def test_openbsd_listening(self):
        return self.listen_and_be_ended("openbsd")

    @both_modes
    def test_traditional_listening(self):
        return self.listen_and_be_ended("traditional")

    @both_modes
    def test_ncat_listening(self):
        return self.listen_and_be_ended("ncat")

    @both_modes
    def test_netcat_without_N_keeps_the_connection_after_its_input_ended(self):
        server, client, _ = self.pair("openbsd", "openbsd", options={"openbsd": ()})
        client.type("from the client")
        client.end_input()
        server.expect("from the client\n")
        self.wait_asleep(server, client)
        server.type("from the server")
        client.expect("from the server\n")
        return client.runs(), server.runs()

    @both_modes
    def test_end_of_file_typed_at_a_terminal(self):
        server, client, _ = self.pair("openbsd", "openbsd", on_pty=True)
        client.type("last words")
        server.expect("last words\n")
        client.end_input()
        server.end_input()
        return client.status(), server.status()


if __name__ == "__main__":
    unittest.main()
