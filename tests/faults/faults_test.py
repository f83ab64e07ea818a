# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""A few hundred cases of the wire that lies; `make faults` runs many more (README.md)."""

import sys
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import instrument


class Faults(unittest.TestCase):
    def check(self, first, count, **settings):
        done = instrument.run("faults", first, count, 4, **settings)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn(f"{count} cases, 0 broken promises", done.stdout)

    def test_at_every_offset(self):
        """Some of those that go through the offsets of the handshake."""
        for first in (0, 6000, 12000, 18000):
            self.check(first, 60)

    def test_at_random(self):
        self.check(1000000, 300)

    def test_at_random_with_a_stock_suite(self):
        self.check(2000000, 100, SOCKSEAL_SUITES="chacha20", SOCKSEAL_GROUPS="x25519")

    def test_keys_renewed_every_few_records(self):
        self.check(3000000, 100, SOCKSEAL_TEST_REKEY="1000")

    def test_deaths(self):
        """The survivor sees a right prefix, and no clean end of a cut stream."""
        self.check(0, 60, FAULTS_DEATHS="1")

    def test_shortages(self):
        """A program gets nothing more from the kernel for a while; the connection after it carries everything."""
        done = instrument.run("faults", 0, 100, 4, FAULTS_SHORTAGES="1")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout, "[1-9][0-9]* of the connections beside a shortage failed")
        self.assertIn("200 cases, 0 broken promises", done.stdout)

    def test_nothing_grows(self):
        done = instrument.run("faults", 1000000, 10000000, 2, SOAK_SECONDS="2", SOCKSEAL_HANDSHAKE_TIMEOUT="5")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(done.stdout.count("afterwards"), 4, done.stdout)
        self.assertIn(", 0 broken promises", done.stdout)


if __name__ == "__main__":
    unittest.main()
