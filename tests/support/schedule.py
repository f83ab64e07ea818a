# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""In which order tests run, and what is built beside them. Two cores are busy all the time then: tests mostly wait."""
import contextlib
import json
import os
import subprocess
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NICE = 5  # a build gives way to tests, whose waits have limits


class Times:
    """How long each program took the last time, in a file of the build directory."""

    def __init__(self, path):
        self.path = path
        self.seconds = {}
        with contextlib.suppress(OSError, ValueError), open(path, encoding="utf-8") as file:
            self.seconds = json.load(file)

    def expected(self, test):
        """Nobody knows: by its kind, and what needs much has a limit of its own."""
        usual = 40 if test.wrapper or test.variant == "tsan" else 8 if test.is_python else 5 if test.is_preload else 1
        return self.seconds.get(test.name, usual + max(0, test.limit - 240) / 4)

    def longest_first(self, tests):
        return sorted(tests, key=self.expected, reverse=True)

    def keep(self, tests):
        self.seconds.update({test.name: round(test.seconds, 1) for test in tests})
        with open(self.path, "w", encoding="utf-8") as file:
            json.dump(self.seconds, file, indent=1, sort_keys=True)


class Variant:
    """A build of the tree by another compiler, or under a sanitizer, without a warning."""

    def __init__(self, name, words):
        self.name = "building " + name
        self.variant = name
        self.words = words
        self.seconds = 0.0
        self.good = False
        self.output = ""
        self.problems = []
        self.done = threading.Event()

    def build(self):
        started = time.monotonic()
        result = subprocess.run(["nice", "-n", str(NICE), "make", "--no-print-directory", "-j%d" % (os.cpu_count() or 1),
                                 "WERROR=1", *self.words], cwd=ROOT, capture_output=True, text=True, check=False)
        self.seconds = time.monotonic() - started
        self.good = result.returncode == 0
        self.output = result.stdout + result.stderr
        if not self.good:
            self.problems.append("this failed: make WERROR=1 " + " ".join(self.words))


class Builds:
    """Builds variants one after the other in a thread, while tests wait for those that they are of."""

    def __init__(self, variants, announce):
        self.variants = {variant.variant: variant for variant in variants}
        self.announce = announce
        self.changed = threading.Condition()
        self.thread = threading.Thread(target=self.build_all)
        self.thread.start()

    def build_all(self):
        for variant in self.variants.values():
            try:
                variant.build()
            finally:
                with self.changed:
                    variant.done.set()
                    self.changed.notify_all()
            self.announce(variant)

    def ready(self, test):
        return test.variant not in self.variants or self.variants[test.variant].done.is_set()

    def usable(self, test):
        return test.variant not in self.variants or self.variants[test.variant].good

    def take(self, tests):
        """Takes out of the list the first that can run; waits while there is none."""
        with self.changed:
            while True:
                for place, test in enumerate(tests):
                    if self.ready(test):
                        return tests.pop(place)
                self.changed.wait()

    def join(self):
        self.thread.join()
