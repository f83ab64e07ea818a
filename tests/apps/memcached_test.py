# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
#
# packages: memcached netcat-openbsd
# full-limit: 300
"""Text and binary protocol, pipelined, on 300 connections and four threads; values of 20 MB; restart. As root it
becomes nobody, who may not read the keys."""

import hashlib
import signal
import struct
import sys
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import sealed

from sealed import both_modes

PROGRAMS = {"memcached": ["memcached", "-V"]}
MIB = 1 << 20


def packet(opcode, key=b"", value=b"", extras=b"", magic=0x80):
    """A packet of the binary protocol: a header of 24 bytes, extras, key, value."""
    body = len(extras) + len(key) + len(value)
    return struct.pack("!BBHBBHIIQ", magic, opcode, len(key), len(extras), 0, 0, body, 7, 0) + extras + key + value


class Memcached(sealed.TestCase):
    COUNT = 2000 if sealed.FULL else 200

    def setUp(self):
        sealed.need("memcached")
        super().setUp()
        self.address = sealed.loopback()

    def serve(self, *options, port=None):
        port = port or self.port()
        server = self.run_program("memcached", "-u", "nobody", "-l", self.address, "-p", port, "-U", "0", "-t", "4",
                                  "-c", "1024", *options)
        return self.wait_listening(port, server), port

    def talk(self, port, *requests, end=b"quit\r\n", timeout=60, digest_only=False):
        """Sends the requests by netcat; gives it once the server has ended the connection."""
        client = self.run_program("nc", self.address, port, digest_only=digest_only)
        client.feed([*requests, end]).join(timeout)
        client.end_input()
        client.status(timeout)
        return client

    def ask(self, port, *requests, **how):
        return bytes(self.talk(port, *requests, **how).out.data)

    def crowd(self, port, request, reply, *steps):
        """Many connections send the request, and expect a reply of this length."""
        path = self.directory / "request"
        path.write_bytes(request)
        program = Path(sealed.__file__).with_name("crowd.py")
        return self.run_program(sealed.PYTHON, program, self.address, port, 300, path, reply, *steps)

    @both_modes
    def test_text_protocol(self):
        _, port = self.serve()
        return self.ask(port, b"set a 5 0 3\r\nabc\r\n", b"get a\r\nget b\r\n", b"append a 0 0 2\r\nde\r\ngets a\r\n",
                        b"incr a 1\r\nset n 0 0 1\r\n7\r\nincr n 35\r\n", b"delete a\r\nget a n\r\n", b"nonsense\r\n",
                        b"mg n v t\r\nms m 2\r\nhi\r\nmg m v\r\nmn\r\n")

    @both_modes
    def test_binary_protocol(self):
        _, port = self.serve("-B", "auto")
        flags = struct.pack("!II", 0xdeadbeef, 0)
        counter = struct.pack("!QQI", 5, 100, 0)
        return self.ask(port, packet(0x01, b"key", b"value", flags), packet(0x00, b"key"), packet(0x0c, b"key"),
                        packet(0x05, b"count", extras=counter) * 3, packet(0x00, b"missing"), packet(0x0b),
                        packet(0x09, b"nothing") * 10, packet(0x0a), end=packet(0x07))

    @both_modes
    def test_300_connections_of_text(self):
        server, port = self.serve()
        self.ask(port, b"set value 0 0 100\r\n" + b"v" * 100 + b"\r\n")
        reply = len(b"VALUE value 0 100\r\n" + b"v" * 100 + b"\r\nEND\r\n") * self.COUNT
        crowd = self.crowd(port, b"get value\r\n" * self.COUNT, reply, "round", "round", "wait", "ends")
        crowd.out.wait(lambda out: out.data.count(b"\n") == 2 or out.ended, 60)
        server.process.send_signal(signal.SIGTERM)
        crowd.type("go")
        return crowd.status(60), bytes(crowd.out.data), server.status()

    @both_modes
    def test_300_connections_of_binary(self):
        """Each increments one counter that all share: no request is lost, and none comes twice."""
        _, port = self.serve()
        count = self.COUNT
        self.ask(port, b"set count 0 0 1\r\n0\r\n")
        increment = packet(0x15, b"count", extras=struct.pack("!QQI", 1, 0, 0))  # quiet: no reply
        crowd = self.crowd(port, increment * count + packet(0x0a), 24, "round", "round", "close")
        status, said = crowd.status(60), bytes(crowd.out.data)
        return status, said, self.ask(port, b"get count\r\n")

    @both_modes
    def test_large_values(self):
        _, port = self.serve("-I", "32m", "-m", "256")
        content = b"".join(sealed.stream((20 if sealed.FULL else 4) * MIB))
        stored = self.ask(port, b"set big 0 0 %d\r\n" % len(content), content, b"\r\n")
        readers = [self.talk(port, b"get big\r\n" * 2, digest_only=True) for _ in range(2)]
        wanted = b"VALUE big 0 %d\r\n" % len(content) + content + b"\r\nEND\r\n"
        digest = hashlib.sha256(wanted * 2).hexdigest()
        self.assertEqual([(reader.out.length, reader.out.digest()) for reader in readers],
                         [(len(wanted) * 2, digest)] * 2)
        too_large = self.ask(port, b"set huge 0 0 40000000\r\n", timeout=5, end=b"x" * 40_000_000 + b"\r\nquit\r\n")
        return stored, too_large

    @both_modes
    def test_restart(self):
        server, port = self.serve()
        self.ask(port, b"set a 0 0 1\r\nb\r\n")
        idle = self.run_program("nc", self.address, port)
        idle.type(b"version\r\n")
        idle.expect("VERSION")
        server.process.kill()
        server.status()
        idle.end_input()
        ended = idle.status()
        self.serve(port=port)
        return ended, self.ask(port, b"get a\r\nset a 0 0 1\r\nc\r\nget a\r\n")


if __name__ == "__main__":
    unittest.main()
