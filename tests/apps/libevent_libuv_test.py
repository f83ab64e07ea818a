# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
# packages: gcc libevent-dev libuv1-dev zlib1g-dev
# full-limit: 300
"""Servers on libevent (bufferevents, evbuffer_add_file) and on libuv (streams, uv_spawn), compiled here."""

import sys
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import services

PROGRAMS = {
    "libevent": ["dpkg-query", "-W", "-f", "${Version}", "libevent-dev"],
    "libuv": ["dpkg-query", "-W", "-f", "${Version}", "libuv1-dev"],
}
GCC = ("gcc", "-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Wshadow", "-D_GNU_SOURCE", "SOURCE", "-o", "OUT")


class Libevent(services.Scenarios, services.Compiled):
    source = "libevent.c"
    build = (*GCC, "-levent", "-lz")
    aborted = {"error ECONNRESET", "error EPIPE"}


class Libuv(services.Scenarios, services.Compiled):
    source = "libuv.c"
    build = (*GCC, "-luv")


if __name__ == "__main__":
    unittest.main()
