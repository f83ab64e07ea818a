# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
# packages: perl
"""Perl: a forking server, PerlIO beside sysread and syswrite, IO::Select."""

import sys
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import sealed
import services

from sealed import both_modes

PROGRAMS = {"perl": ["perl", "-e", "print $^V"]}


class Perl(services.Scenarios, sealed.TestCase):
    def setUp(self):
        sealed.need("perl")
        super().setUp()

    @staticmethod
    def command():
        return ["perl", services.PROGRAMS / "services.pl"]

    @both_modes
    def test_client(self):
        port = self.serve()
        client = self.run_program("perl", services.PROGRAMS / "client.pl", self.address, port, services.MANY, 100000)
        status, lines = client.status(services.PATIENCE), bytes(client.out.data).decode().splitlines()
        self.assertEqual(lines, ["echo 10", f"select {services.MANY}", f"file {self.sha}"], bytes(client.err.data))
        return status, lines, self.end()


if __name__ == "__main__":
    unittest.main()
