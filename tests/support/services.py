# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""Scenarios for servers that were written in many languages and libraries, each with its own idioms, to one contract.

A server of tests/apps/programs is started with ADDRESS PORT FILE. It greets each connection with "ready\\n", reads a
line, and then serves what it names:

    echo            sends back what comes until the end of it, then closes
    sink            reads to the end, sends "COUNT DIGEST\\n" (SHA-256 or CRC-32, in hex), closes
    file            sends FILE, by sendfile(2) or what else is idiomatic, closes
    tick COUNT MS   sends "tick N\\n" from a timer while it sends back the lines that come; closes after both
    reset           sends "last words\\n" and aborts the connection

It prints "error NAME" when a connection fails (the errno's name, or what the language has), goes on serving, and exits
with status 0 on SIGTERM (Tcl, which has no signals: at the end of standard input). services_load.py is the client. A
class of tests derives from Scenarios and sealed.TestCase and has `command`.
"""

import hashlib
import shutil
import signal
import tempfile

from pathlib import Path

import sealed

from sealed import both_modes

PROGRAMS = Path(__file__).resolve().parents[1] / "apps" / "programs"
LOAD = Path(__file__).resolve().with_name("services_load.py")
MIB = 1 << 20
MANY = 300 if sealed.FULL else 100
LARGE = 64 * MIB if sealed.FULL else 8 * MIB
PATIENCE = 100  # seconds, for what takes a few when nothing else runs


class Scenarios:
    """command() gives the server's argv without ADDRESS PORT FILE."""

    can_reset = True  # not every language can abort a connection
    aborted = {"error ECONNRESET"}  # what the server may say when its client does: after sendfile(2), also EPIPE
    large = LARGE
    many = MANY

    def setUp(self):
        super().setUp()
        self.address = sealed.loopback()
        content = b"".join(sealed.stream(self.large))
        self.sha = hashlib.sha256(content).hexdigest()
        self.file = self.directory / "file"
        self.file.write_bytes(content)

    def serve(self, port=None):
        port = port or self.port()
        self.server = self.run_program(*self.command(), self.address, port, self.file)
        self.wait_listening(port, self.server)
        return port

    def load(self, port, *steps):
        """Runs the steps to their end; gives what the client printed."""
        client = self.run_program(sealed.PYTHON, LOAD, self.address, port, *steps)
        status = client.status(PATIENCE)
        if status != 0:
            self.fail_with_report(f"the client ended with status {status}")
        return bytes(client.out.data).decode().splitlines()

    def end(self):
        """Ends the server as an administrator would."""
        self.server.process.send_signal(signal.SIGTERM)
        return self.server.status(PATIENCE)

    @both_modes
    def test_many_connections_echo_at_once(self):
        port = self.serve()
        seen = self.load(port, f"echo:{self.many}:5000", "echo:8:1000000", f"echo:{self.many}:1")
        self.assertEqual(seen, [f"echo ok: {self.many}", "echo ok: 8", f"echo ok: {self.many}"])
        return seen, self.end()

    @both_modes
    def test_large_uploads_and_downloads(self):
        port = self.serve()
        seen = self.load(port, f"sink:2:{self.large}", f"file:3:{self.sha}", f"slow:2:{self.sha}", "sink:5:0")
        self.assertEqual(seen, ["sink ok: 2", "file ok: 3", "slow ok: 2", "sink ok: 5"])
        return seen, self.end()

    @both_modes
    def test_timers_beside_traffic(self):
        port = self.serve()
        seen = self.load(port, "tick:20:10:20")
        self.assertEqual(seen, ["tick ok: 20"])
        return seen, self.end()

    @both_modes
    def test_aborted_connections(self):
        """The other side learns of the abort by the same error, and serves on."""
        port = self.serve()
        seen = self.load(port, *(["reset:20"] if self.can_reset else []), "abort:10", "echo:10:1000")
        if self.can_reset:
            self.assertEqual(seen[0], "reset b'last words\\n', then ECONNRESET: 20")
        self.assertEqual(seen[-1], "echo ok: 10")
        self.server.out.wait(lambda o: o.data.count(b"\n") >= 10, sealed.DEADLINE)
        errors = bytes(self.server.out.data).decode().splitlines()
        self.assertEqual(len(errors), 10, errors)
        self.assertLessEqual(set(errors), self.aborted)
        return seen, self.end()

    @both_modes
    def test_restart(self):
        """The server ends with connections open and starts again on its port."""
        port = self.serve()
        client = self.run_program(sealed.PYTHON, LOAD, self.address, port, "hold:50", "echo:50:100")
        client.expect("holding\n")
        self.load(port, f"echo:{self.many}:100")
        # The process must not accept the second round before the new one listens: it is not asked for until then.
        client.process.send_signal(signal.SIGSTOP)
        first = self.end()
        self.serve(port)
        client.process.send_signal(signal.SIGCONT)
        seen = client.status(PATIENCE), bytes(client.out.data).decode().splitlines()
        self.assertEqual(seen, (0, ["holding", "hold end: 50", "echo ok: 50"]))
        return seen, first, self.end()


class Compiled(sealed.TestCase):
    """Tests of a program of tests/apps/programs that is compiled once for the class."""

    build = ()  # the compiler and its options; SOURCE and OUT stand for the two files
    source = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.bin = Path(tempfile.mkdtemp(prefix="sockseal-test-"))
        cls.addClassCleanup(shutil.rmtree, cls.bin)
        cls.program = cls.bin / "program"
        words = {"SOURCE": str(PROGRAMS / cls.source), "OUT": str(cls.program)}
        result = sealed.subprocess.run([words.get(word, word) for word in cls.build], capture_output=True, text=True)
        if result.returncode != 0:
            raise AssertionError(f"{cls.source} does not compile: {result.stderr[-2000:]}")

    def command(self):
        return [self.program]
