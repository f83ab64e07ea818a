# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""inetd: programs that are given a connection as their standard input, output and error, and know nothing of
sockets: a shell script, one in Perl, one in C with stdio, one in C++ with iostreams in each of their modes."""
# packages: openbsd-inetd socat g++ perl

import os
import re
import socket
import subprocess
import sys
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import sealed
import wire

from sealed import both_modes

PROGRAMS = {"openbsd-inetd": ["dpkg-query", "-W", "openbsd-inetd"]}
INETD = "/usr/sbin/inetd"
SOURCES = Path(__file__).resolve().with_name("programs")

SHELL = """#!/bin/sh
echo "welcome"
while read -r line; do
    [ "$line" = quit ] && break
    echo "you said: $line"
    echo "$line" | tr a-z A-Z
done
echo "a complaint" >&2
exec echo "goodbye"
"""

PERL = """#!/usr/bin/perl
$| = 0;
print "welcome\\n";
$| = 1;
while (my $line = <STDIN>) {
    chomp $line;
    last if $line eq "quit";
    print "you said: $line\\n";
    print `echo "$line" | tr a-z A-Z`;
}
print STDERR "a complaint\\n";
exec "echo", "goodbye";
"""

TALK = b"first words\nsecond words\n" + b"x" * 5000 + b"\nquit\n"
ANSWER = (b"welcome\nyou said: first words\nFIRST WORDS\nyou said: second words\nSECOND WORDS\nyou said: " +
          b"x" * 5000 + b"\n" + b"X" * 5000 + b"\na complaint\ngoodbye\n")


class Inetd(sealed.TestCase):
    def setUp(self):
        sealed.need(INETD)
        super().setUp()
        self.address = sealed.loopback()

    def script(self, text):
        path = self.directory / "service"
        path.write_text(text)
        path.chmod(0o755)
        return path

    def compiled(self, source, *options):
        """The program, compiled once a test."""
        sealed.need("g++")
        path = self.directory / f"service-{'-'.join(options).replace('/', '-')}"
        if not path.exists():
            compiler = "gcc" if source.endswith(".c") else "g++"
            subprocess.run([compiler, "-O1", "-Wall", "-Werror", "-o", path, SOURCES / source, *options], check=True)
        return path

    def start(self, program, *words):
        """Starts inetd with the program for its one service. Gives the port in front of it, and the recorder."""
        port, front = self.port(), self.port()
        config = self.directory / f"inetd.conf.{port}"
        config.write_text(f"{self.address}:{port} stream tcp nowait root {program} {' '.join(('service',) + words)}\n")
        server = self.run_program(INETD, "-d", config)
        self.wait_listening(port, server)
        return front, wire.Wire(self, self.address, front, (self.address, port)), server

    def talk(self, front, talk=TALK):
        client = self.run_program("socat", "-t", "10", "STDIO", f"TCP:{self.address}:{front}")
        client.feed([talk]).join()
        client.end_input()
        return client.status(), bytes(client.out.data)

    def serve(self, program):
        front, recorder, _ = self.start(program)
        results = [self.talk(front) for _ in range(3)]
        wire.assert_sealed(self, recorder, "you said: first", "a complaint", "goodbye", "second words")
        self.assertEqual(results[0], (0, ANSWER))
        return results

    @both_modes
    def test_a_shell_script(self):
        return self.serve(self.script(SHELL))

    @both_modes
    def test_a_perl_script(self):
        return self.serve(self.script(PERL))

    @both_modes
    def test_a_c_program(self):
        return self.serve(self.compiled("inetd_service.c"))

    @both_modes
    def test_a_cxx_program(self):
        return self.serve(self.compiled("inetd_service.cpp"))

    @both_modes
    def test_a_cxx_program_without_stdio(self):
        return self.serve(self.compiled("inetd_service.cpp", "-DWITHOUT_STDIO"))

    @both_modes
    def test_a_cxx_program_with_a_filebuf(self):
        return self.serve(self.compiled("inetd_service.cpp", "-DWITH_FILEBUF"))

    @both_modes
    def test_a_program_that_echoes_megabytes(self):
        front, _, _ = self.start("/bin/cat")
        stream = sealed.HashedStream(4 << 20)
        client = self.run_program("socat", "-t", "10", "STDIO", f"TCP:{self.address}:{front}", digest_only=True)
        client.feed(stream)
        digest = client.expect_length(4 << 20)
        client.end_input()
        self.assertEqual(digest, stream.digest())
        return client.status()

    @sealed.sealed_only
    def test_an_inetd_without_the_shim(self):
        """The service itself runs under sockseal: the connection that it was given is sealed from its beginning on."""
        port = self.port()
        program = self.script(SHELL)
        command = self.script_of_sockseal(program, port)
        config = self.directory / "inetd.conf"
        config.write_text(f"{self.address}:{port} stream tcp nowait root {command} wrapper\n")
        self.wait_listening(port, self.run_stock(INETD, "-d", config))
        recorder = wire.Wire(self, self.address, self.port(), (self.address, port))
        self.assertEqual(self.talk(self.ports[-1]), (0, ANSWER))
        wire.assert_sealed(self, recorder, "you said: first", "a complaint", "goodbye")
        with socket.create_connection((self.address, port), timeout=10) as stranger:
            stranger.sendall(b"hello\n")
            got = b""
            try:
                while chunk := stranger.recv(4096):
                    got += chunk
            except ConnectionResetError:
                pass
        self.assertIsNone(re.search(rb"[a-z]{4}", got), got)

    def script_of_sockseal(self, program, port):
        path = self.directory / "wrapper"
        path.write_text(f"#!/bin/sh\nexec {sealed.BUILD}/sockseal -p {port} -k {self.key_file} {program}\n")
        path.chmod(0o755)
        return path

    @sealed.sealed_only
    def test_a_service_that_cannot_be_sealed(self):
        """A static program: no service, no byte in the clear, and a line that says why."""
        if not os.access("/sbin/ldconfig", os.X_OK):
            sealed.missing("/sbin/ldconfig")
        front, recorder, server = self.start("/sbin/ldconfig", "--version")
        client = self.run_program("socat", "-t", "10", "STDIO", f"TCP:{self.address}:{front}")
        client.end_input()
        self.assertEqual((client.status(), bytes(client.out.data).count(b"ldconfig")), (0, 0))
        server.expect_log("exec is refused", "statically")
        wire.assert_sealed(self, recorder, "ldconfig")


if __name__ == "__main__":
    unittest.main()
