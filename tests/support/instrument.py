# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""Running the instruments of tests/faults, tests/random and tests/endurance: programs that get the library and a key file."""

import os
import subprocess
import tempfile

from pathlib import Path

BUILD = Path(os.environ.get("SOCKSEAL_BUILD", Path(__file__).resolve().parents[2] / "build")).resolve()
KEYS = "alpha:" + "a1" * 32 + "\n"


def key_file(directory):
    path = Path(directory) / "keys"
    path.touch(0o600)
    path.write_text(KEYS, encoding="ascii")
    return path


def run(name, *arguments, timeout=200, program=None, **settings):
    """tests/NAME/PROGRAM (by default of its folder's name) with the library, a key file and these arguments."""
    with tempfile.TemporaryDirectory() as directory:
        env = {key: value for key, value in os.environ.items() if not key.startswith("SOCKSEAL_") and key != "LD_PRELOAD"}
        env["SOCKSEAL_TEST_RUN"] = os.environ.get("SOCKSEAL_TEST_RUN", "")
        env.update(settings)
        command = [BUILD / "tests" / name / (program or name), BUILD / "libsockseal.so", key_file(directory), *arguments]
        return subprocess.run([str(word) for word in command], env=env, capture_output=True, text=True, timeout=timeout,
                              stdin=subprocess.DEVNULL, check=False)
