# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
# packages: tcl
"""Tcl: channels, fileevent, fcopy."""

import sys
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import sealed
import services

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


if __name__ == "__main__":
    unittest.main()
