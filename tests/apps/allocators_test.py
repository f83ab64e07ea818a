# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
# packages: gcc libjemalloc-dev libgoogle-perftools-dev zlib1g-dev libjemalloc2 libtcmalloc-minimal4 netcat-openbsd
# full-limit: 300
"""A threaded server linked with jemalloc or tcmalloc, whose constructors run before the library's; with jemalloc's
background threads, and under the profiler of gperftools, whose SIGPROF interrupts every call. The same allocators
preloaded before and behind the library.
"""

import glob
import sys
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import sealed
import services

from sealed import both_modes

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


def library(name):
    found = glob.glob(f"/usr/lib/*-linux-gnu/{name}")
    return found[0] if found else sealed.missing(name)


class Preloaded(sealed.TestCase):
    def transfer(self, allocator, first):
        """A netcat sends to another, each with the allocator before or after the shim."""
        port, data = self.port(), b"".join(sealed.stream(300000))
        preload = [library(allocator)]
        if self.sealed:
            preload.insert(1 if first else 0, str(sealed.LIBRARY))
        def command(*words):
            return ("env", "LD_PRELOAD=" + ":".join(preload)) + words
        server = self.run_program(*command("nc", "-l", "127.0.0.1", str(port)))
        self.wait_listening(port, server)
        loaded = Path(f"/proc/{server.pid}/maps").read_text()
        self.assertTrue(all(Path(path).resolve().name in loaded for path in preload), loaded)
        client = self.run_program(*command("nc", "-N", "127.0.0.1", str(port)))
        client.feed([data]).join()
        client.end_input()
        same = client.status() == 0 and server.status() == 0 and bytes(server.out.data) == data
        if not same:
            self.fail_with_report("the data did not come")
        return same

    @both_modes
    def test_complaint_10_jemalloc_before_the_shim(self):
        return self.transfer("libjemalloc.so.2", True)

    @both_modes
    def test_complaint_10_jemalloc_behind_the_shim(self):
        return self.transfer("libjemalloc.so.2", False)

    @both_modes
    def test_complaint_10_tcmalloc_before_the_shim(self):
        return self.transfer("libtcmalloc_minimal.so.4", True)

    @both_modes
    def test_complaint_10_tcmalloc_behind_the_shim(self):
        return self.transfer("libtcmalloc_minimal.so.4", False)

    @both_modes
    def test_complaint_10_threads_and_forks_under_an_allocator(self):
        script = ("import os, threading\n"
                  "threads = [threading.Thread(target=lambda: [bytearray(5000) for _ in range(2000)]) for _ in range(4)]\n"
                  "[thread.start() for thread in threads]\n"
                  "[os.waitpid(os.fork() or os._exit(0), 0) for _ in range(20)]\n"
                  "[thread.join() for thread in threads]\nprint('done')\n")
        seen = []
        for name in ("libjemalloc.so.2", "libtcmalloc_minimal.so.4"):
            preload = ([str(sealed.LIBRARY)] if self.sealed else []) + [library(name)]
            self.port()
            program = self.run_program("env", "LD_PRELOAD=" + ":".join(preload), sealed.PYTHON, "-c", script)
            seen.append((program.status(), bytes(program.out.data)))
        self.assertEqual(seen, [(0, b"done\n")] * 2)
        return seen


if __name__ == "__main__":
    unittest.main()
