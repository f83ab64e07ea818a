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
                ("SOCKSEAL_SUITES", ("aes", "chacha20;aegis128l"), ("chacha20", "aegis128x4,aegis128l,chacha20")),
                ("SOCKSEAL_HANDSHAKE_TIMEOUT", ("soon", "-1", "0", "10s"), ("1", "30")),
                ("SOCKSEAL_CONNECT_TIMEOUT", ("soon", "-1", "0", "10s"), ("1", "30")),
                ("SOCKSEAL_CLOSE_TIMEOUT", ("soon", "-1", "0", "10s"), ("1", "30")),
                ("SOCKSEAL_LOG", ("loud", "INFO!"), ("quiet", "error", "warn", "info", "debug")),
                ("SOCKSEAL_LOG_FORMAT", ("xml", "JSON"), ("text", "json")),
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
class Start(sealed.TestCase):
    """What the library alone says when it is loaded, and what it does to the environment."""

    def errors(self, *argv, **settings):
        self.ports = [5000]
        program = self.run_program(*(argv or ("/bin/true",)), **settings)
        self.assertEqual(program.status(), 0, program.report())
        text = program.log() + bytes(program.err.data).decode()
        return [line for line in text.splitlines() if "error:" in line]

    def test_nothing_is_said_when_nothing_is_wrong(self):
        self.assertEqual(self.errors(), [])

    def test_a_key_file_that_cannot_be_used(self):
        for settings, reason in (({"SOCKSEAL_KEY_FILE": None}, "SOCKSEAL_KEY_FILE names no key file"),
                                 ({"SOCKSEAL_KEY_FILE": "/nonexistent/keys"}, "there is no such file"),
                                 ({"SOCKSEAL_KEY_FILE": self.write_keys("open", ("a", "a1" * 32), mode=0o644)},
                                  "others may read")):
            with self.subTest(reason=reason):
                errors = self.errors(**settings)
                self.assertEqual(len(errors), 1, errors)
                self.assertIn(reason, errors[0])

    def test_log_files_that_cannot_be_written(self):
        for variable, what in (("SOCKSEAL_LOG_FILE", "the log file"), ("SOCKSEAL_KEYLOG_FILE", "the key log file")):
            with self.subTest(variable=variable):
                errors = self.errors(**{variable: "/nonexistent/log"})
                self.assertEqual(len(errors), 1, errors)
                self.assertIn(f"{what} ({variable}) /nonexistent/log cannot be written", errors[0])

    def test_a_look_whether_the_port_is_open_is_no_warning(self):
        address, port = sealed.loopback(), self.port()
        server = self.run_peer("serve", address, port, "recv", "accept", "recv")
        self.wait_listening(port, server)
        self.run_stock("nc.openbsd", "-z", address, port).status()
        server.expect_log("info", "without sending anything")
        client = self.run_stock("nc.openbsd", "-N", address, port)  # whoever sends something is another matter
        client.type(b"\x16\x03\x01")
        client.end_input()
        server.expect_log("warning", "ended during the handshake")

    def test_the_children_do_not_say_it_again(self):
        errors = self.errors("/bin/sh", "-c", "/bin/true; /bin/true; exit 0", SOCKSEAL_KEY_FILE="/nonexistent/keys")
        self.assertEqual(len(errors), 1, errors)

    def test_a_typo_does_not_let_a_program_run_unsealed(self):
        program = self.run_program("/bin/echo", "it ran", SOCKSEAL_PORTS=None, SOCKSEAL_PORT="5000",
                                   SOCKSEAL_LOG_FILE=None)
        self.assertEqual(program.status(), EX_CONFIG, program.report())
        self.assertIn(b"did you mean SOCKSEAL_PORTS?", program.err.data)
        self.assertEqual(bytes(program.out.data), b"")

    def environment_in(self, directory, **settings):
        """The environment of a program that another one has started in this directory."""
        self.ports = [5000]
        program = self.run_program("/bin/sh", "-c", f"cd {directory}; env", **settings)
        self.assertEqual(program.status(), 0, program.report())
        self.assertEqual(bytes(program.err.data), b"")
        return dict(line.split("=", 1) for line in bytes(program.out.data).decode().splitlines() if "=" in line)

    def test_relative_names_hold_after_a_change_of_directory(self):
        (self.directory / "lib.so").symlink_to(sealed.LIBRARY)
        found = self.environment_in("/", LD_PRELOAD="libm.so.6:./lib.so", SOCKSEAL_KEY_FILE="keys",
                                    SOCKSEAL_LOG_FILE="log", SOCKSEAL_KEYLOG_FILE="secrets")
        self.assertEqual(found["LD_PRELOAD"], f"libm.so.6:{self.directory}/./lib.so")
        for variable, name in (("KEY_FILE", "keys"), ("LOG_FILE", "log"), ("KEYLOG_FILE", "secrets")):
            self.assertEqual(found["SOCKSEAL_" + variable], f"{self.directory}/{name}")
        self.assertIn(b"SOCKSEAL_KEYLOG_FILE is set", (self.directory / "log").read_bytes())
        self.assertFalse(Path("/log").exists())


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

    def test_why_a_connection_is_not_sealed_is_logged_at_debug(self):
        address, port = sealed.loopback(), self.port()
        settings = {"SOCKSEAL_PORTS": str(port + 1), "SOCKSEAL_LOG": "debug"}
        server = self.run_program("nc.openbsd", "-n", "-l", address, port, **settings)
        self.wait_listening(port, server)
        client = self.run_program("nc.openbsd", "-n", address, port, **settings)
        client.type(self.LINE)
        server.expect(self.LINE + "\n")
        client.expect_log("debug", f"the connection to {address}:{port} is not sealed: no rule matches")
        server.expect_log("debug", "the connection from 127.0.0.1:", f"no rule matches it and port {port}")

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
