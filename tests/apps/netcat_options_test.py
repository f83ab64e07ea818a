# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""Netcat's options under the shim: -z, -w, -k, who starts first, IPv4, IPv6 and dual stack."""

import socket
import sys
import time
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import netcats
import sealed
import wire

from sealed import both_modes


class Case(netcats.Case):
    def listen(self, flavour, *options, address=None, **how):
        port = self.port()
        address = address or self.address
        program = self.run_program(*netcats.listening(flavour, address, port, *options), **how)
        return port, self.wait_listening(port, program)


class Probe(Case):
    """nc -z connects and closes without a byte."""

    @both_modes
    def test_z_to_an_open_port(self):
        port, server = self.listen("openbsd", "-k")
        statuses = [self.run_program("nc.openbsd", "-nz", self.address, port).status() for _ in range(3)]
        client = self.run_program("nc.openbsd", "-nN", self.address, port)
        client.type("still served after the probes")
        server.expect("still served after the probes\n")
        return statuses, server.runs()

    @both_modes
    def test_z_of_traditional(self):
        port, server = self.listen("openbsd", "-k")
        status = self.run_program("nc.traditional", "-n", "-z", self.address, port).status()
        return status, server.runs()

    @both_modes
    def test_z_to_a_closed_port(self):
        return self.run_program("nc.openbsd", "-nz", self.address, self.port()).status()

    @both_modes
    def test_z_of_a_range_finds_the_one_open_port(self):
        port, _ = self.listen("openbsd", "-k")
        self.ports += [port - 1, port + 1]
        client = self.run_program("nc.openbsd", "-nzv", self.address, f"{port - 1}-{port + 1}")
        status = client.status()
        return status, client.err.data.decode().count("succeeded")


class TimeLimit(Case):
    def timed(self, program):
        start = time.monotonic()
        status = program.status()
        return status, round(time.monotonic() - start)

    @both_modes
    def test_w_ends_an_idle_connection(self):
        port, _ = self.listen("openbsd")
        return self.timed(self.run_program("nc.openbsd", "-n", "-w", "1", self.address, port))

    @both_modes
    def test_w_of_traditional_ends_an_idle_connection(self):
        port, _ = self.listen("openbsd")
        client = self.run_program("nc.traditional", "-n", "-w", "1", self.address, port)
        client.end_input()  # from here on the time counts
        return self.timed(client)

    @both_modes
    def test_w_does_not_end_a_connection_that_is_used(self):
        port, server = self.listen("openbsd")
        client = self.run_program("nc.openbsd", "-n", "-w", "2", self.address, port)
        for number in range(5):
            server.type(f"tick {number}")
            client.expect(f"tick {number}\n")
            time.sleep(0.6)
        return client.runs()

    @both_modes
    def test_w_limits_connecting(self):
        """The listener's backlog is full, so that the connection is never made."""
        port = self.port()
        listener = socket.create_server((self.address, port), backlog=0)
        self.addCleanup(listener.close)
        for _ in range(2):
            filler = socket.socket()
            self.addCleanup(filler.close)
            filler.setblocking(False)
            filler.connect_ex((self.address, port))
        time.sleep(0.1)
        return self.timed(self.run_program("nc.openbsd", "-n", "-w", "1", self.address, port))

    @both_modes
    def test_connection_refused(self):
        client = self.run_program("nc.openbsd", "-nv", self.address, self.port())
        return client.status(), b"Connection refused" in client.err.data


class Order(Case):
    @both_modes
    def test_k_serves_one_client_after_another(self):
        port, server = self.listen("openbsd", "-k")
        statuses = []
        for number in range(4):
            client = self.run_program("nc.openbsd", "-nN", self.address, port)
            client.type(f"client {number}")
            server.expect(f"client {number}\n")
            client.end_input()
            statuses.append(client.status())
        return statuses, bytes(server.out.data)

    @both_modes
    def test_k_of_ncat_serves_clients_at_the_same_time(self):
        port, server = self.listen("ncat", "-k")
        clients = [self.run_program("ncat", "-n", self.address, port) for _ in range(4)]
        for number, client in enumerate(clients):
            client.type(f"client {number}")
            server.expect(f"client {number}\n")
        server.type("to all of you")
        for client in clients:
            client.expect("to all of you\n")
        return bytes(server.out.data)

    @both_modes
    def test_listening_long_before_the_connection(self):
        for flavour in netcats.FLAVOURS:
            with self.subTest(listener=flavour):
                port, server = self.listen(flavour)
                server.type("typed before anybody was there")
                self.wait_asleep(server)
                client = self.run_program("nc.openbsd", "-n", self.address, port)
                client.expect("typed before anybody was there\n")

    @both_modes
    def test_connecting_long_before_anything_is_typed(self):
        for flavour in netcats.FLAVOURS:
            with self.subTest(connector=flavour):
                port, server = self.listen("openbsd")
                client = self.run_program(*netcats.connecting(flavour, self.address, port))
                self.wait_asleep(server, client)
                client.type("late from the client")
                server.expect("late from the client\n")
                server.type("late from the server")
                client.expect("late from the server\n")

    @both_modes
    def test_connecting_again_until_somebody_listens(self):
        port = self.port()
        refused = self.run_program("nc.openbsd", "-n", self.address, port).status()
        server = self.run_program(*netcats.listening("openbsd", self.address, port))
        self.wait_listening(port, server)
        client = self.run_program("nc.openbsd", "-n", self.address, port)
        client.type("the second time")
        server.expect("the second time\n")
        return refused

    @both_modes
    def test_killed_peer_ends_the_other(self):
        port, server = self.listen("openbsd")
        client = self.run_program("nc.openbsd", "-n", self.address, port)
        client.type("hello")
        server.expect("hello\n")
        client.process.kill()
        server.end_input()
        return server.status() in (0, 1)


@unittest.skipUnless(socket.has_ipv6, "IPv6 is not available")
class Families(Case):
    """Each runs through a recorder of its own family, which also checks that the line crosses unreadable."""

    def exchange(self, connect_to, recorded_at, *listener_command):
        port = self.port()
        server = self.run_program(*(word.format(port=port) for word in listener_command))
        self.wait_listening(port, server)
        entry = self.port()
        recorder = wire.Wire(self, recorded_at, entry, (connect_to, port))
        client = self.run_program("nc.openbsd", "-n", recorded_at, entry)
        client.type("a line from the client")
        server.expect("a line from the client\n")
        server.type("a line from the server")
        client.expect("a line from the server\n")
        wire.assert_sealed(self, recorder, "a line from the client", "a line from the server")

    @both_modes
    def test_ipv4(self):
        self.exchange("127.0.0.1", "127.0.0.1", "nc.openbsd", "-n", "-4", "-l", "0.0.0.0", "{port}")

    @both_modes
    def test_ipv6(self):
        self.exchange("::1", "::1", "nc.openbsd", "-n", "-6", "-l", "::1", "{port}")

    @both_modes
    def test_ipv6_ncat(self):
        self.exchange("::1", "::1", "ncat", "-n", "-6", "-l", "::1", "{port}")

    @both_modes
    def test_dual_stack_listener_reached_over_ipv4(self):
        self.exchange("127.0.0.1", "127.0.0.1", "socat", "STDIO", "TCP6-LISTEN:{port},ipv6only=0")

    @both_modes
    def test_dual_stack_listener_reached_over_ipv6(self):
        self.exchange("::1", "::1", "socat", "STDIO", "TCP6-LISTEN:{port},ipv6only=0")

    @both_modes
    def test_ncat_listening_on_both_families(self):
        for address in ("127.0.0.1", "::1"):
            with self.subTest(address=address):
                self.exchange(address, address, "ncat", "-n", "-l", "{port}")

    def rules_exchange(self, rules, address):
        """Connects with the rules in force at both ends."""
        port = self.port()
        if self.sealed:
            self.ports = [rule.format(port=port) for rule in rules]
        server = self.run_program("socat", "STDIO", f"TCP6-LISTEN:{port},ipv6only=0")
        self.wait_listening(port, server)
        client = self.run_program("nc.openbsd", "-n", address, port)
        client.type("a line")
        server.expect("a line\n")

    @both_modes
    def test_ipv4_rule_holds_for_a_mapped_address(self):
        self.rules_exchange(("listen:127.0.0.0/8:{port}", "connect:127.0.0.1:{port}"), "127.0.0.1")

    @both_modes
    def test_ipv6_rule(self):
        self.rules_exchange(("listen:[::1]:{port}", "connect:[::/0]:{port}"), "::1")


if __name__ == "__main__":
    unittest.main()
