# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""HAProxy, which moves what it forwards with splice(2), between sealed and plain sides; and busybox's server of files,
which uses sendfile(2)."""

# packages: haproxy busybox curl

import hashlib
import socket
import sys
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import sealed

from sealed import both_modes

PROGRAMS = {"haproxy": ["haproxy", "-v"], "busybox": ["busybox"]}

MIB = 1 << 20
SIZE = 100 * MIB if sealed.FULL else 8 * MIB

CONFIGURATION = """
global
    stats socket {socket}
    nbthread 2
defaults
    mode tcp
    timeout connect 10s
    timeout client 60s
    timeout server 60s
    option splice-request
    option splice-response
listen proxy
    bind {address}:{front}
    server back {address}:{back}
"""


class HAProxy(sealed.TestCase):
    def setUp(self):
        for program in ("haproxy", "busybox", "curl"):
            sealed.need(program)
        super().setUp()
        self.address = sealed.loopback()

    def side(self, is_sealed):
        """A port that is sealed, or one that no rule names."""
        return self.port() if is_sealed else sealed.free_port()

    def start_proxy(self, front, back):
        self.control = self.directory / "control"
        configuration = self.directory / "haproxy.cfg"
        configuration.write_text(CONFIGURATION.format(
            socket=self.control, address=self.address, front=front, back=back))
        return self.wait_listening(front, self.run_program("haproxy", "-db", "-f", configuration))

    def ask(self, question):
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(sealed.DEADLINE)
            control.connect(str(self.control))
            control.sendall(question.encode() + b"\n")
            return b"".join(iter(lambda: control.recv(65536), b"")).decode()

    def spliced(self):
        """Whether HAProxy has made pipes: it does so for splice(2) alone."""
        facts = dict(line.split(": ", 1) for line in self.ask("show info").splitlines() if ": " in line)
        return int(facts["PipesUsed"]) + int(facts["PipesFree"]) > 0

    def bulk_both_ways(self, front_sealed, back_sealed):
        front, back = self.side(front_sealed), self.side(back_sealed)
        server = self.run_peer("serve", self.address, back, f"sendn:{SIZE}", f"recvn:{SIZE}", "recvall", "send:bye")
        self.wait_listening(back, server)
        self.start_proxy(front, back)
        client = self.run_peer("connect", self.address, front, f"recvn:{SIZE}", f"sendn:{SIZE}", "shutdown", "recvall")
        self.assertEqual((client.status(90), server.status(90)), (0, 0))
        given, taken = (dict(line.split(" ", 1) for line in program.out.data.decode().splitlines())
                        for program in (server, client))
        self.assertEqual((given["sendn"], given["recvn"]), (taken["recvn"], taken["sendn"]))
        self.assertTrue(self.spliced())
        return given["recvall"], taken["recvall"]

    @both_modes
    def test_both_sides_sealed(self):
        return self.bulk_both_ways(True, True)

    @both_modes
    def test_the_front_sealed(self):
        return self.bulk_both_ways(True, False)

    @both_modes
    def test_the_back_sealed(self):
        return self.bulk_both_ways(False, True)

    @both_modes
    def test_files_of_busybox_for_many_at_once(self):
        content = b"".join(sealed.stream(MIB + 777))
        (self.directory / "file").write_bytes(content)
        front, back = self.port(), self.port()
        server = self.run_program("busybox", "httpd", "-f", "-p", f"{self.address}:{back}", "-h", self.directory)
        self.wait_listening(back, server)
        self.start_proxy(front, back)
        count = 200 if sealed.FULL else 20
        clients = [self.run_program("curl", "-sS", f"http://{self.address}:{front}/file", digest_only=True)
                   for _ in range(count)]
        expected = hashlib.sha256(content).hexdigest()
        ends = [(client.status(60), client.out.digest() == expected) for client in clients]
        self.assertTrue(self.spliced())
        return ends


if __name__ == "__main__":
    unittest.main()
