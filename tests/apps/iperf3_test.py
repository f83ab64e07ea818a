# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""iperf3 in both directions: its control connection and its streams share one port. No speed is asserted here."""

import json
import sys
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import sealed

from sealed import both_modes


class Iperf3(sealed.TestCase):
    def setUp(self):
        sealed.need("iperf3")
        super().setUp()
        self.address = sealed.loopback()

    def measure(self, *options):
        port = self.port()
        server = self.run_program("iperf3", "-s", "-1", "-B", self.address, "-p", port)
        self.wait_listening(port, server)
        client = self.run_program("iperf3", "-J", "-c", self.address, "-p", port, "-t", "1", *options)
        status = client.status()
        try:
            result = json.loads(bytes(client.out.data))
        except ValueError:
            self.fail_with_report("iperf3 gave no JSON")
        if "error" in result:
            self.fail_with_report(f"iperf3 says: {result['error']}")
        for side in ("sum_sent", "sum_received"):
            self.assertGreater(result["end"][side]["bytes"], 1 << 20, side)
        return status, server.status()

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


if __name__ == "__main__":
    unittest.main()
