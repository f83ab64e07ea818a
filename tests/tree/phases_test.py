#!/usr/bin/python3
# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""The table of calls, phases and modes in tests/README.md: whole, and true of the tests that it names."""
import os
import re
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FAMILY = "connection/phases_test.c"
HEADING = "## Every call in every phase"
MODES = ("blocking", "non-blocking", "edge-triggered")


def text_of(path):
    with open(os.path.join(ROOT, "tests", path), encoding="utf-8") as file:
        return file.read()


def names_in_table(source, table):
    """The names of a C table of structs, each of which begins with its name."""
    body = re.search(r"\}\s*" + table + r"\[\] = \{(.*?)\n\};", source, re.DOTALL).group(1)
    return re.findall(r'^\s*\{"([^"]+)"', body, re.MULTILINE)


class Phases(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        section = text_of("README.md").split(HEADING + "\n")[1].split("\n## ")[0]
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line.startswith("|")]
        cls.phases, cls.rows = rows[0][1:], rows[2:]
        cls.letters = dict(re.findall(r"^- \*\*([\w-])\*\*: (.*(?:\n  .*)*)", section, re.MULTILINE))
        cls.source = text_of("preload/" + FAMILY)

    def test_the_table_has_every_phase_of_the_family(self):
        self.assertEqual(self.phases, names_in_table(self.source, "phases"))

    def test_the_table_has_every_call_of_the_family_first(self):
        calls = names_in_table(self.source, "calls")
        self.assertEqual([row[0].strip("`") for row in self.rows][:len(calls)], calls)

    def test_the_family_runs_each_phase_in_each_mode(self):
        phases = names_in_table(self.source, "phases")
        for number, phase in enumerate(phases):
            function = re.search(r"TESTS_OF\((\w+), \"" + re.escape(phase) + r"\"\)", self.source)
            self.assertIsNotNone(function, phase)
            self.assertIn(f"IN_PHASE({function.group(1)}, {number})", self.source)
        for mode in MODES:
            self.assertIn(f'text ", {mode}"', self.source)

    def test_a_call_of_the_family_is_made_in_every_phase(self):
        calls = names_in_table(self.source, "calls")
        for row in self.rows[:len(calls)]:
            for phase, cell in zip(self.phases, row[1:]):
                self.assertTrue(cell.startswith("F"), f"{row[0]}, {phase}: the family makes this call there")

    def test_every_cell_says_something_that_is_explained(self):
        for row in self.rows:
            self.assertEqual(len(row), len(self.phases) + 1, row[0])
            for phase, cell in zip(self.phases, row[1:]):
                self.assertTrue(cell, f"{row[0]}, {phase} is empty: name the test, or write E and say why")
                for letter in cell:
                    self.assertIn(letter, self.letters, f"{row[0]}, {phase}")

    def test_the_tests_that_are_named_exist(self):
        for letter, meaning in self.letters.items():
            for path, names in re.findall(r"`([\w/]+\.c)`((?: \"[^\"]+\",?)*)", meaning.replace("\n ", "")):
                source = text_of("preload/" + path)
                for name in re.findall(r'"([^"]+)"', names):
                    self.assertIn(f'"{name}"', source, f"{letter}: {path}")
            if letter not in "-E":
                self.assertRegex(meaning, r"_test\.c`", f"{letter} names no test")


if __name__ == "__main__":
    unittest.main()
