#!/usr/bin/python3
# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""In which order the runner takes tests, and what it does while variants are built."""
import os
import tempfile
import threading
import unittest

import schedule


class Test:
    def __init__(self, name, variant=None, limit=240, seconds=0.0):
        self.name, self.variant, self.limit, self.seconds = name, variant, limit, seconds
        self.wrapper, self.is_python, self.is_preload = [], False, False


class Variant(schedule.Variant):
    """One whose build ends when the test says so."""

    def __init__(self, name, good=True):
        super().__init__(name, [])
        self.end, self.will_be_good = threading.Event(), good

    def build(self):
        self.end.wait(20)
        self.good = self.will_be_good


class Order(unittest.TestCase):
    def times(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        return schedule.Times(os.path.join(directory.name, "times.json"))

    def test_what_took_longest_is_first_the_next_time(self):
        times = self.times()
        times.keep([Test("short", seconds=1), Test("long", seconds=50), Test("middle", seconds=7)])
        again = schedule.Times(times.path)
        found = [test.name for test in again.longest_first([Test("middle"), Test("short"), Test("new"), Test("long")])]
        self.assertEqual(found, ["long", "middle", "short", "new"])

    def test_without_times_what_may_take_long_is_first(self):
        names = [test.name for test in self.times().longest_first([Test("usual"), Test("long", limit=600)])]
        self.assertEqual(names, ["long", "usual"])

    def test_a_damaged_file_is_none(self):
        times = self.times()
        with open(times.path, "w", encoding="ascii") as file:
            file.write("{\"half")
        self.assertEqual(schedule.Times(times.path).seconds, {})


class Building(unittest.TestCase):
    def setUp(self):
        self.first, self.second = Variant("first"), Variant("second", good=False)
        self.announced = []
        self.builds = schedule.Builds([self.first, self.second], lambda variant: self.announced.append(variant.variant))

    def tearDown(self):
        self.first.end.set()
        self.second.end.set()
        self.builds.join()
        self.assertEqual(self.announced, ["first", "second"])

    def test_tests_of_no_variant_do_not_wait(self):
        tests = [Test("a", "second"), Test("b"), Test("c", "first"), Test("d")]
        self.assertEqual([self.builds.take(tests).name for _ in range(2)], ["b", "d"])
        self.assertEqual(len(tests), 2)

    def test_a_test_of_a_variant_waits_for_it(self):
        tests, taken, first = [Test("a", "second"), Test("c", "first")], [], threading.Event()

        def take():
            taken.append(self.builds.take(tests).name)
            first.set()
            taken.append(self.builds.take(tests).name)

        taker = threading.Thread(target=take)
        taker.start()
        taker.join(0.1)
        self.assertEqual(taken, [])
        self.first.end.set()
        self.assertTrue(first.wait(20))
        self.second.end.set()
        taker.join(20)
        self.assertEqual(taken, ["c", "a"])

    def test_a_variant_that_was_not_built_has_no_tests(self):
        self.first.end.set()
        self.second.end.set()
        self.builds.join()
        self.assertTrue(self.builds.usable(Test("c", "first")))
        self.assertFalse(self.builds.usable(Test("a", "second")))


if __name__ == "__main__":
    unittest.main()
