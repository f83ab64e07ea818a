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

PROGRAMS = {"perl": ["perl", "-e", "print $^V"]}


class Perl(services.Scenarios, sealed.TestCase):
    def setUp(self):
        sealed.need("perl")
        super().setUp()

    @staticmethod
    def command():
        return ["perl", services.PROGRAMS / "services.pl"]


if __name__ == "__main__":
    unittest.main()
