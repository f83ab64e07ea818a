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


def run(name, *arguments, timeout=200, program=None, preload=False, **settings):
    """tests/NAME/PROGRAM (by default of its folder's name) with these arguments: under the library, or with it and a key
    file as the first two."""
    with tempfile.TemporaryDirectory() as directory:
        env = {key: value for key, value in os.environ.items() if not key.startswith("SOCKSEAL_") and key != "LD_PRELOAD"}
        env["SOCKSEAL_TEST_RUN"] = os.environ.get("SOCKSEAL_TEST_RUN", "")
        env.update(settings)
        library, keys = str(BUILD / "libsockseal.so"), str(key_file(directory))
        if preload:
            env.update(LD_PRELOAD=library, SOCKSEAL_KEY_FILE=keys)
        command = [BUILD / "tests" / name / (program or name), *([] if preload else [library, keys]), *arguments]
        return subprocess.run([str(word) for word in command], env=env, capture_output=True, text=True, timeout=timeout,
                              stdin=subprocess.DEVNULL, check=False)
