# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""The SOCKSEAL_* variables as a real program meets them: what does not parse ends it at load, rules choose what is
sealed, and without SOCKSEAL_PORTS nothing happens at all."""

import sys
import textwrap
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import sealed
import wire

from sealed import sealed_only

EX_CONFIG = 78


@sealed_only
class Variables(sealed.TestCase):
    def ends_at_load(self, variable, value, word):
        """The program never runs; one line names the variable and the word."""
        with self.subTest(variable=variable, value=value):
            self.ports = [5000]
            program = self.run_program("/bin/echo", "the program ran", SOCKSEAL_LOG_FILE=None, **{variable: value})
            self.assertEqual(program.status(), EX_CONFIG, program.report())
            self.assertEqual(bytes(program.out.data), b"")
            lines = bytes(program.err.data).decode().splitlines()
            self.assertEqual(len(lines), 1, lines)
            self.assertIn(variable, lines[0])
            self.assertIn(word, lines[0])
            self.assertIn("expected", lines[0])

    def runs(self, **settings):
        with self.subTest(**settings):
            self.ports = [5000]
            program = self.run_program("/bin/echo", "the program ran", **settings)
            self.assertEqual((program.status(), bytes(program.out.data)), (0, b"the program ran\n"), program.report())

    def test_ports(self):
        for value, word in (("http", "http"), ("0", "0"), ("65536", "65536"), ("20-10", "20-10"), ("80,,81", ""),
                            ("udp:53", "udp"), ("1.2.3:80", "1.2.3"), ("10.0.0.0/33:80", "33"), ("[::1:80", "[::1"),
                            ("[::/129]:80", "129"), ("80,x", "x"), ("listen:connect:80", "connect"), ("!80", "!80")):
            self.ends_at_load("SOCKSEAL_PORTS", value, word)
        for value in ("1", "1,65535", "20-30", "!22,1-100", "listen:80", "connect:[2001:db8::/32]:443",
                      "10.0.0.0/8:1-9", "[::1]:5", "!connect:192.0.2.1:80,80"):
            self.runs(SOCKSEAL_PORTS=value)

    def test_others(self):
        for variable, bad, good in (
                ("SOCKSEAL_PLAINTEXT", ("yes", "Accept"), ("accept", "refuse")),
                ("SOCKSEAL_SUITES", ("aes", "chacha20;aegis128l"), ("chacha20", "aegis128l,chacha20")),
                ("SOCKSEAL_HANDSHAKE_TIMEOUT", ("soon", "-1", "0", "10s"), ("1", "30")),
                ("SOCKSEAL_LOG", ("loud", "INFO!"), ("quiet", "error", "warn", "info", "debug")),
                ("SOCKSEAL_STRICT", ("maybe",), ("0", "1"))):
            for value in bad:
                self.ends_at_load(variable, value, value)
            for value in good:
                self.runs(**{variable: value})

    @sealed.sealed_only
    def test_too_small_a_limit_on_address_space_is_named(self):
        address, port = sealed.loopback(), self.port()
        server = self.run_stock(sealed.PYTHON, sealed.PEER, "serve", address, port, "recvall")
        self.wait_listening(port, server)
        script = textwrap.dedent(f"""
            import resource, socket
            kept = [socket.create_connection(('{address}', {port}))]
            pages = int(open("/proc/self/statm").read().split()[0])
            resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize(), resource.RLIM_INFINITY))
            while True:
                kept.append(socket.create_connection(('{address}', {port})))
        """)
        client = self.run_program(sealed.PYTHON, "-c", script)
        self.assertEqual(client.status(), 1)
        self.assertIn(b"No buffer space available", client.err.data)
        client.expect_log("error", "RLIMIT_AS")

    def test_without_ports_nothing_else_is_looked_at(self):
        for ports in (None, ""):
            self.runs(SOCKSEAL_PORTS=ports, SOCKSEAL_SUITES="rubbish", SOCKSEAL_KEY_FILE="/nonexistent")


@sealed_only
class Rules(sealed.TestCase):
    """Which connections are sealed, seen on the wire."""

    LINE = "a line that is easy to find"

    def sealed_on_the_wire(self, server_rules, client_rules, address=None):
        """Connects with these rules, in which {port} and {next} stand for the port and the one after it."""
        address = address or sealed.loopback()
        port = self.port()
        target = (address, port)
        fill = {"port": port, "before": port - 1, "after": port + 1, "address": address}
        server = self.run_program("nc.openbsd", "-n", "-l", address, port, SOCKSEAL_PORTS=server_rules.format(**fill))
        self.wait_listening(port, server)
        # The recorder listens on the same port at another address, so that both ends' rules name one port.
        entry = sealed.loopback()
        recorder = wire.Wire(self, entry, port, target)
        fill["address"] = entry
        client = self.run_program("nc.openbsd", "-n", entry, port, SOCKSEAL_PORTS=client_rules.format(**fill))
        client.type(self.LINE)
        server.expect(self.LINE + "\n")
        server.stop()
        client.stop()
        return not wire.pieces_in(recorder.to_server.data, self.LINE.encode())

    def test_rules_that_match(self):
        for rules in ("{port}", "{before}-{after}", "1-65535", "127.0.0.0/8:{port}", "listen:{port},connect:{port}",
                      "[::1]:1,{port}", "!{before},{port}", "!192.0.2.0/24:{port},{port}"):
            with self.subTest(rules=rules):
                self.assertTrue(self.sealed_on_the_wire(rules, rules))

    def test_rules_that_do_not_match(self):
        for rules in ("{after}", "1-{before}", "10.0.0.0/8:{port}", "[::/0]:{port}", "{port},!{port}",
                      "!127.0.0.0/8:{port},{port}", "!{before}-{after},1-65535"):
            with self.subTest(rules=rules):
                self.assertFalse(self.sealed_on_the_wire(rules, rules))

    def test_directions(self):
        self.assertTrue(self.sealed_on_the_wire("listen:{port}", "connect:{port}"))
        self.assertFalse(self.sealed_on_the_wire("connect:{port}", "listen:{port}"))

    def test_exact_address(self):
        self.assertTrue(self.sealed_on_the_wire("listen:127.0.0.1:{port}", "connect:{address}:{port}"))

    def test_no_variable_at_all(self):
        address, port = sealed.loopback(), self.port()
        server = self.run_program("nc.openbsd", "-n", "-l", address, port, SOCKSEAL_PORTS=None)
        self.wait_listening(port, server)
        client = self.run_stock("nc.openbsd", "-n", address, port)
        client.type(self.LINE)
        server.expect(self.LINE + "\n")
        self.assertEqual(server.log(), "")


if __name__ == "__main__":
    unittest.main()
