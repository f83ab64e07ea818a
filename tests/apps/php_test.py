# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
# packages: php-cli php-curl
"""PHP: stream_select, stream buffers; extensions that are bound deeply (RTLD_DEEPBIND): sockets, curl."""

import sys
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import sealed
import services

PROGRAMS = {"php": ["php", "--version"]}


class Php(services.Scenarios, sealed.TestCase):
    def setUp(self):
        sealed.need("php")
        super().setUp()

    @staticmethod
    def command():
        return ["php", services.PROGRAMS / "services.php"]


if __name__ == "__main__":
    unittest.main()
