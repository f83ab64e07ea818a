#!/usr/bin/python3
# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""The runner of the tests: a hang is a failure that names the system call, whatever it is that hangs."""
import os
import re
import subprocess
import sys
import tempfile
import textwrap
import unittest

import hang

SUPPORT = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support")
LIMIT = "# time-" + "limit: 5\n"  # in two, or the runner would take it for this file's own
HEAD = LIMIT + """
import os, signal, subprocess, sys, threading, time, unittest
class Hanging(unittest.TestCase):
    def test_it(self):
"""


BODIES = {
    "lock": """
        lock = threading.Lock()
        lock.acquire()
        lock.acquire()
    """,
    "thread": """
        threading.Thread(target=lambda: os.read(os.pipe()[0], 1)).start()
        threading.Event().wait()
    """,
    "child": """
        subprocess.run(["cat"], stdin=subprocess.Popen(["sleep", "60"], stdout=subprocess.PIPE).stdout)
    """,
    "unmarked": """
        child = subprocess.Popen(["sleep", "61"], env={})
        print("child", child.pid, flush=True)
        child.wait()
    """,
    "stopped": """
        child = subprocess.Popen(["sleep", "62"])
        child.send_signal(signal.SIGSTOP)
        child.wait()
    """,
    "loop": """
        while True:
            pass
    """,
    "left": """
        subprocess.Popen(["sleep", "63"], start_new_session=True)
    """,
}


class Runner(unittest.TestCase):
    """All of them in one run; each test looks at what was said of its own."""

    @classmethod
    def setUpClass(cls):
        with tempfile.TemporaryDirectory() as directory:
            paths = []
            for name, body in BODIES.items():
                paths.append(os.path.join(directory, name + "_test.py"))
                with open(paths[-1], "w", encoding="ascii") as file:
                    file.write(HEAD + textwrap.indent(textwrap.dedent(body), " " * 8) +
                               "\nif __name__ == '__main__':\n    unittest.main()\n")
            command = [sys.executable, os.path.join(SUPPORT, "run-tests"), "--jobs", str(len(paths)), *paths]
            cls.result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        cls.said = {re.search(r"(\w+)_test\.py", part).group(1): part
                    for part in re.split(r"^FAILED +", cls.result.stdout, flags=re.MULTILINE)[1:]}

    def hangs(self, name, *words):
        for word in ("not finished after 5 s",) + words:
            self.assertIn(word, self.said[name])

    def test_all_of_them_are_failures(self):
        self.assertEqual(self.result.returncode, 1)
        self.assertEqual(sorted(self.said), sorted(BODIES), self.result.stdout)
        self.assertIn("%d failed" % len(BODIES), self.result.stdout.splitlines()[-1])

    def test_a_thread_in_a_lock(self):
        self.hangs("lock", "futex(")

    def test_a_thread_beside_the_main_one(self):
        self.hangs("thread", "read(", "futex(")

    def test_a_child(self):
        self.hangs("child", "cat", "read(", "nanosleep(", "wait4(")

    def test_a_child_without_our_mark(self):
        self.hangs("unmarked", "sleep 61", "nanosleep(")
        pid = int(self.said["unmarked"].split("child ")[1].split()[0])
        self.assertIn((hang.status(pid) or ["gone"])[0], ("gone", "Z"), "it was left")

    def test_a_stopped_child(self):
        self.hangs("stopped", "(stopped): sleep 62", "wait4(")

    def test_a_loop(self):
        self.hangs("loop", "(running)")

    def test_a_process_left_behind(self):
        self.assertIn("left processes behind", self.said["left"])
        self.assertIn("sleep 63", self.said["left"])
        self.assertIn("nanosleep(", self.said["left"])


if __name__ == "__main__":
    unittest.main()
