# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
# packages: ruby ruby-webrick
"""Ruby: threads, buffered and unbuffered reads, IO.select, IO.copy_stream."""

import sys
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import sealed
import services

PROGRAMS = {"ruby": ["ruby", "--version"]}


class Ruby(services.Scenarios, sealed.TestCase):
    aborted = {"error ECONNRESET", "error EPIPE"}

    def setUp(self):
        sealed.need("ruby")
        super().setUp()

    @staticmethod
    def command():
        return ["ruby", services.PROGRAMS / "services.rb"]


if __name__ == "__main__":
    unittest.main()
