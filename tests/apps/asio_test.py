# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
# packages: g++ libboost-dev
# suite: full
# full-limit: 300
"""A server on Boost.Asio, compiled here: its edge-triggered epoll reactor, two threads."""

import sys
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import services

PROGRAMS = {"Boost.Asio": ["dpkg-query", "-W", "-f", "${Version}", "libboost-dev"]}


class Asio(services.Scenarios, services.Compiled):
    source = "asio.cpp"
    build = ("g++", "-std=c++17", "-O1", "-Wall", "-Wextra", "SOURCE", "-o", "OUT", "-lpthread")


if __name__ == "__main__":
    unittest.main()
