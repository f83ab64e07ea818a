#!/usr/bin/python3
# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
# time-limit: 400
"""Instructions and system calls of single operations against counts.json: none grows by more than a tenth unnoticed.

When one grew for a good reason: make bench BENCH=counts UPDATE=1, and say in the commit why. On a machine that differs
in what instruction counts depend on, only system calls are compared.
"""
import os
import sys
import unittest

from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import counts  # noqa: E402  (the path first)
import peers as p  # noqa: E402
from procs import Workshop  # noqa: E402

BUILD = Path(os.environ.get("SOCKSEAL_BUILD", p.ROOT / "build")).resolve()


class Counts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.shop = Workshop()
        cls.addClassCleanup(cls.shop.__exit__)
        cls.counter = counts.Counter(p.Peers(cls.shop, BUILD))
        cls.table = counts.read_table()
        cls.differs = counts.comparable(cls.table)
        if cls.differs:
            print(f"only system calls are compared: {cls.differs}", file=sys.stderr)

    def compare(self, operation):
        """A count that grew is taken once more, in case the machine was too busy."""
        for peer in p.SEALED:
            known = self.table["counts"][operation.name][peer]
            for last in (False, True):
                seen = self.counter.count(operation, peer)
                grown = counts.grown(known, seen, instructions=self.differs is None)
                if not grown:
                    break
                if last:
                    self.fail(f"{operation.name}, {p.LABELS[peer]}: " + "; ".join(grown))

    def test_the_table_has_every_operation(self):
        self.assertEqual(set(self.table["counts"]), {operation.name for operation in counts.OPERATIONS})


def test_of(operation):
    def test(self):
        self.compare(operation)
    return test


for each in counts.OPERATIONS:
    name = "test_" + "".join(letter if letter.isalnum() else "_" for letter in each.name)
    setattr(Counts, name, test_of(each))


class Comparison(unittest.TestCase):
    known = {"instructions": {"send": 1000}, "calls": {"sendto": 2, "recvfrom": 8}}

    def grown(self, number, calls, **options):
        return counts.grown(self.known, {"instructions": {"send": number}, "calls": calls}, **options)

    def test_a_tenth_passes(self):
        self.assertEqual(self.grown(1100, {"sendto": 3, "recvfrom": 8}), [])

    def test_more_instructions_fail(self):
        self.assertEqual(len(self.grown(1101, {"sendto": 2})), 1)
        self.assertEqual(self.grown(1101, {"sendto": 2}, instructions=False), [])

    def test_more_system_calls_fail(self):
        self.assertEqual(len(self.grown(1000, {"sendto": 2, "recvfrom": 8, "fcntl": 2}, instructions=False)), 1)

    def test_the_operation_with_the_fewest_calls_counts(self):
        log = ("brk(NULL) = 0\ngetppid() = 1\nread(3, 1) = 1\npoll([], 1) = 0\ngetppid() = 1\nread(3) = 1\n"
               "clock_nanosleep(0) = 0\ngetppid() = 1\nread(3) = 1\nread(3) = 1\ngetppid() = 1\nexit_group(0) = ?\n")
        self.assertEqual(counts.fewest_calls(log), {"read": 1})

    def test_inclusive_costs_are_read_from_callgrind_s_format(self):
        text = ("fn=(1) main\n10 3\ncfn=(2) op_send\ncalls=2 5\n11 40\n12 1\ncfn=(3) other\ncalls=1 9\n13 7\n"
                "fn=(2)\n5 20\ncfn=(3)\ncalls=1 9\n6 5\nfn=(4) more\ncfn=(2)\ncalls=1 5\n30 2\n")
        self.assertEqual(counts.inclusive_costs(text), {"op_send": 42, "other": 12})


if __name__ == "__main__":
    unittest.main()
