# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
# packages: gcc libjemalloc-dev libgoogle-perftools-dev zlib1g-dev
# full-limit: 300
"""A threaded server linked with jemalloc or tcmalloc, whose constructors run before the library's; with jemalloc's
background threads, and under the profiler of gperftools, whose SIGPROF interrupts every call.
"""

import sys
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import sealed
import services

PROGRAMS = {
    "jemalloc": ["dpkg-query", "-W", "-f", "${Version}", "libjemalloc-dev"],
    "gperftools": ["dpkg-query", "-W", "-f", "${Version}", "libgoogle-perftools-dev"],
}
GCC = ("gcc", "-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Wshadow", "-D_GNU_SOURCE", "SOURCE", "-o", "OUT", "-lz")


class Threads(services.Scenarios, services.Compiled):
    source = "threads.c"
    aborted = {"error ECONNRESET", "error EPIPE"}


class Jemalloc(Threads):
    build = (*GCC, "-ljemalloc")

    def command(self):
        return ["env", "MALLOC_CONF=background_thread:true,dirty_decay_ms:0,junk:true", self.program]


@sealed.full_only
class Tcmalloc(Threads):
    build = (*GCC, "-Wl,--no-as-needed", "-ltcmalloc_and_profiler")

    def command(self):
        profile = self.directory / "profile"
        return ["env", f"CPUPROFILE={profile}", "CPUPROFILE_FREQUENCY=1000", self.program]

    def end(self):
        status = super().end()
        self.assertGreater((self.directory / "profile").stat().st_size, 0)
        return status


@sealed.full_only
class TcmallocAlone(Threads):
    build = (*GCC, "-ltcmalloc")


del Threads


if __name__ == "__main__":
    unittest.main()
