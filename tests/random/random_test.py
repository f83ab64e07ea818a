# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""Five seeds of random calls, signals, timers and forks; `make random` runs more (README.md). On plain TCP each must
pass, too: then a failure is the library's."""

import sys
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import instrument

SEALED = "127.77.0.0/16:1-65535"
CALLS = 4000


class RandomCalls(unittest.TestCase):
    def check(self, seed):
        for ports in ("", SEALED):
            done = instrument.run("random", seed, CALLS, preload=True, SOCKSEAL_PORTS=ports)
            self.assertEqual(done.returncode, 0, f"ports {ports!r}: {done.stdout} {done.stderr[-2000:]}")
            self.assertIn(f"seed {seed}:", done.stdout)


for number in (1, 2, 3, 4, 5):
    setattr(RandomCalls, f"test_seed_{number}", lambda self, number=number: self.check(number))

if __name__ == "__main__":
    unittest.main()
