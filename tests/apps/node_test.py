# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
# packages: nodejs
# suite: full
"""Node: streams and pipes with backpressure. HTTP and Upgrade are in node_http_test.py."""

import sys
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import sealed
import services

PROGRAMS = {"node": ["node", "--version"]}


class Node(services.Scenarios, sealed.TestCase):
    def setUp(self):
        sealed.need("node")
        super().setUp()

    @staticmethod
    def command():
        return ["node", services.PROGRAMS / "services.js"]


if __name__ == "__main__":
    unittest.main()
