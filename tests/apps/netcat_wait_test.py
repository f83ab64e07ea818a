# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""A netcat keeps serving its standard input whatever arrives from the network: half records, handshake messages that
trickle in, session tickets. A blocking descriptor that poll or select calls readable must not block then."""

import sys
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import netcats
import sealed
import wire

from sealed import both_modes, sealed_only


class Case(netcats.Case):
    def through_wire(self, listener, connector, dribble=None, **how):
        port, entry = self.port(), self.port()
        server = self.run_program(*netcats.listening(listener, self.address, port), **how)
        self.wait_listening(port, server)
        recorder = wire.Wire(self, self.address, entry, (self.address, port), dribble)
        client = self.run_program(*netcats.connecting(connector, self.address, entry), **how)
        return server, client, recorder

    def serves_input_during_half_a_record(self, waiting, talking, direction):
        """`waiting` gets the first 7 bytes of what `talking` sends and nothing more for a while."""
        talking.type("first line")
        waiting.expect("first line\n")
        waiting.type("greeting")  # so that whatever belongs to the handshake has passed in both directions
        talking.expect("greeting\n")
        passed = direction.passed
        direction.hold_after(7)
        talking.type("this line is cut in two")
        direction.wait_passed(passed + 7)
        self.wait_asleep(waiting)
        for number in range(3):
            waiting.type(f"typed meanwhile {number}")
            talking.expect(f"typed meanwhile {number}\n", timeout=5)
        direction.release()
        waiting.expect("this line is cut in two\n")


class HalfRecord(Case):
    def connector_waits(self, flavour):
        server, client, recorder = self.through_wire("openbsd", flavour, on_pty=True)
        self.serves_input_during_half_a_record(client, server, recorder.to_client)

    def listener_waits(self, flavour):
        server, client, recorder = self.through_wire(flavour, "openbsd", on_pty=True)
        self.serves_input_during_half_a_record(server, client, recorder.to_server)

    test_openbsd_connecting = both_modes(lambda self: self.connector_waits("openbsd"))
    test_traditional_connecting = both_modes(lambda self: self.connector_waits("traditional"))
    test_ncat_connecting = both_modes(lambda self: self.connector_waits("ncat"))
    test_openbsd_listening = both_modes(lambda self: self.listener_waits("openbsd"))
    test_traditional_listening = both_modes(lambda self: self.listener_waits("traditional"))
    test_ncat_listening = both_modes(lambda self: self.listener_waits("ncat"))

    @both_modes
    def test_socat_waits(self):
        """socat waits with select and has blocking descriptors, too."""
        port, entry = self.port(), self.port()
        server = self.run_program("nc.openbsd", "-n", "-l", self.address, port)
        self.wait_listening(port, server)
        recorder = wire.Wire(self, self.address, entry, (self.address, port))
        client = self.run_program("socat", "STDIO", f"TCP:{self.address}:{entry}")
        self.serves_input_during_half_a_record(client, server, recorder.to_client)


class Dribble(Case):
    """Everything arrives in small pieces, the handshake too."""

    def exchange_lines(self, listener, connector, dribble):
        server, client, recorder = self.through_wire(listener, connector, dribble)
        for number in range(4):
            for sender, receiver in ((client, server), (server, client)):
                sender.type(f"a line for the {receiver.name()[:2]} numbered {number}")
                receiver.expect(f"numbered {number}\n")
        wire.assert_sealed(self, recorder, f"a line for the {server.name()[:2]} numbered")

    @both_modes
    def test_every_flavour_with_single_bytes(self):
        for flavour in netcats.FLAVOURS:
            with self.subTest(flavour=flavour):
                self.exchange_lines(flavour, flavour, (1, 0.0005))

    @both_modes
    def test_bulk_in_odd_pieces(self):
        server, client, _ = self.through_wire("openbsd", "traditional", (1021, 0), digest_only=True)
        chunks = sealed.HashedStream(2 << 20)
        client.feed(chunks)
        return server.expect_length(2 << 20) == chunks.digest()

    @sealed_only
    def test_handshake_that_trickles_does_not_hold_up_standard_input(self):
        """The ServerHello stops in its middle; what is typed meanwhile goes out as soon as the rest is there."""
        port, entry = self.port(), self.port()
        server = self.run_program("nc.openbsd", "-n", "-l", self.address, port)
        self.wait_listening(port, server)
        recorder = wire.Wire(self, self.address, entry, (self.address, port))
        recorder.to_client.hold_after(40)
        client = self.run_program("nc.openbsd", "-n", self.address, entry)
        recorder.to_client.wait_passed(40)
        client.type("typed before the handshake was done")
        self.wait_asleep(client)
        recorder.to_client.release()
        server.expect("typed before the handshake was done\n")
        wire.assert_sealed(self, recorder, "typed before the handshake was done")


@sealed_only
class Tickets(Case):
    """openssl s_server sends two session tickets once the handshake is done, and another at each KeyUpdate request."""

    def setUp(self):
        sealed.need("openssl")
        super().setUp()

    def ticket_giving_server(self, *options):
        port = self.port()
        server = self.run_stock("openssl", "s_server", "-accept", f"{self.address}:{port}", "-tls1_3", "-nocert",
                                "-psk", self.key, "-psk_identity", sealed.IDENTITY, *options)
        return port, self.wait_listening(port, server)

    def test_every_flavour_serves_its_input(self):
        for flavour in netcats.FLAVOURS:
            with self.subTest(flavour=flavour):
                port, server = self.ticket_giving_server("-quiet", "-num_tickets", "8")
                client = self.run_program(*netcats.connecting(flavour, self.address, port), on_pty=True)
                self.wait_asleep(server, client)  # the tickets have arrived, and nothing else has
                for number in range(3):
                    client.type(f"typed after the tickets {number}")
                    server.expect(f"typed after the tickets {number}\n", timeout=5)
                server.type("the answer")
                client.expect("the answer\n")

    def test_half_a_ticket(self):
        port, server = self.ticket_giving_server("-quiet", "-num_tickets", "8")
        entry = self.port()
        recorder = wire.Wire(self, self.address, entry, (self.address, port))
        client = self.run_program("nc.openbsd", "-n", self.address, entry)
        client.type("first")
        server.expect("first\n")
        self.wait_asleep(server, client)
        passed = recorder.to_client.passed
        recorder.to_client.hold_after(9)
        server.type("cut in two")
        recorder.to_client.wait_passed(passed + 9)
        self.wait_asleep(client)
        client.type("meanwhile")
        server.expect("meanwhile\n", timeout=5)
        recorder.to_client.release()
        client.expect("cut in two\n")


if __name__ == "__main__":
    unittest.main()
