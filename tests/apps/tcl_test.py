# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
# packages: tcl
"""Tcl: channels, fileevent, fcopy."""

import sys
import unittest
import zlib

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import sealed
import services

from sealed import both_modes

PROGRAMS = {"tclsh": ["sh", "-c", "echo 'puts [info patchlevel]' | tclsh"]}


class Tcl(services.Scenarios, sealed.TestCase):
    can_reset = False

    def setUp(self):
        sealed.need("tclsh")
        super().setUp()

    def end(self):
        """Tcl has no signal handlers."""
        self.server.end_input()
        return self.server.status(services.PATIENCE)

    @staticmethod
    def command():
        return ["tclsh", services.PROGRAMS / "services.tcl"]

    @both_modes
    def test_client(self):
        port = self.serve()
        client = self.run_program("tclsh", services.PROGRAMS / "client.tcl", self.address, port, services.MANY, 100000)
        status, lines = client.status(services.PATIENCE), bytes(client.out.data).decode().splitlines()
        self.assertEqual(lines, [f"echo {services.MANY}", f"file {zlib.crc32(self.file.read_bytes()):08x}", "turns"], bytes(client.err.data))
        return status, lines, self.end()


if __name__ == "__main__":
    unittest.main()
