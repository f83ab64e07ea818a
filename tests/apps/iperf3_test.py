# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
# packages: iperf3
"""iperf3 in both directions: its control connection and its streams share one port. No speed is asserted here."""

import json
import sys
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import sealed

from sealed import both_modes, full_only

PROGRAMS = {"iperf3": ["iperf3", "--version"]}


class Iperf3(sealed.TestCase):
    def setUp(self):
        sealed.need("iperf3")
        super().setUp()
        self.address = sealed.loopback()

    def measure(self, *options):
        port = self.port()
        server = self.run_program("iperf3", "-s", "-1", "-B", self.address, "-p", port)
        self.wait_listening(port, server)
        limit = [] if "-n" in options or "-k" in options else ["-t", "1"]
        client = self.run_program("iperf3", "-J", "-c", self.address, "-p", port, *limit, *options)
        status = client.status()
        try:
            result = json.loads(bytes(client.out.data))
        except ValueError:
            self.fail_with_report("iperf3 gave no JSON")
        if "error" in result:
            self.fail_with_report(f"iperf3 says: {result['error']}")
        self.end = result["end"]
        for side in ("sum", "sum") if "-u" in options else ("sum_sent", "sum_received"):
            self.assertGreater(self.end[side]["bytes"], 1 << 19, side)
        return status, server.status()

    def exactly(self, count, *options):
        """Whether what was sent is what was asked for; the server stops reading when the client says it is done."""
        seen = self.measure(*options)
        self.assertLessEqual(self.end["sum_received"]["bytes"], count)
        return seen, self.end["sum_sent"]["bytes"] == count

    @both_modes
    def test_from_client_to_server(self):
        return self.measure()

    @both_modes
    def test_from_server_to_client(self):
        return self.measure("-R")

    @both_modes
    def test_both_directions_at_once(self):
        return self.measure("--bidir")

    @both_modes
    def test_four_streams(self):
        return self.measure("-P", "4")

    @both_modes
    def test_small_writes(self):
        return self.measure("-l", "1000")

    @both_modes
    def test_eight_streams_in_both_directions(self):
        return self.measure("-P", "8", "--bidir")

    @full_only
    @both_modes
    def test_eight_streams_from_server_to_client(self):
        return self.measure("-P", "8", "-R")

    @both_modes
    def test_small_windows(self):
        """Buffers of a few KiB: the kernel takes every record in pieces."""
        return self.measure("-w", "4K", "--bidir")

    @both_modes
    def test_an_exact_count_of_bytes(self):
        seen = self.exactly(50 << 20, "-n", "50M", "-l", "128K")
        self.assertTrue(seen[1])
        return seen

    @full_only
    @both_modes
    def test_an_exact_count_of_odd_writes(self):
        seen = self.exactly(20000 * 777, "-k", "20000", "-l", "777", "-N")
        self.assertTrue(seen[1])
        return seen

    @both_modes
    def test_datagrams(self):
        """The control connection is sealed; UDP on the same port passes as it is (README, Limits)."""
        return self.measure("-u", "-b", "20M")


if __name__ == "__main__":
    unittest.main()
