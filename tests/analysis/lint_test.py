# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""cppcheck over the rooms that parse what others send, gcc -fanalyzer over two files; `make lint` does all of shim/."""

import subprocess
import sys
import tempfile
import unittest

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))

import sealed


class Lint(unittest.TestCase):
    def check(self, *paths):
        sealed.need("cppcheck")
        return subprocess.run([ROOT / "tests" / "analysis" / "lint", *paths], capture_output=True, text=True, timeout=200,
                              check=False)

    def test_nothing_is_found(self):
        done = self.check("shim/tls", "shim/config", "shim/diag")
        self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)

    def test_a_fault_is_found(self):
        with tempfile.NamedTemporaryFile("w", suffix=".c") as file:
            file.write("int main(void) { int row[4]; row[4] = 1; return row[0]; }\n")
            file.flush()
            done = self.check(file.name)
        self.assertEqual(done.returncode, 1)
        self.assertIn("arrayIndexOutOfBounds", done.stderr)

    def analyze(self, *paths):
        return subprocess.run([ROOT / "tests" / "analysis" / "gcc", *paths], capture_output=True, text=True, timeout=200,
                              check=False)

    def test_the_analyzer_finds_nothing(self):
        done = self.analyze("shim/config/rules.c", "shim/record/rx_record.c")
        self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)

    def test_the_analyzer_finds_a_fault(self):
        with tempfile.NamedTemporaryFile("w", suffix=".c") as file:
            file.write("#include <stdlib.h>\nvoid twice(char *one); void twice(char *one) { free(one); free(one); }\n")
            file.flush()
            done = self.analyze(file.name)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("double-free", done.stderr)


if __name__ == "__main__":
    unittest.main()
