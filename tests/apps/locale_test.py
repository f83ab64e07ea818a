# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""Programs in a locale with a comma for the decimal point, and in Turkish, where i and I are two letters: what the
library and the command read and print is the same as in C's."""
# packages: locales

import json
import re
import subprocess
import sys
import tempfile
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import sealed

from sealed import sealed_only

SOURCE = Path(__file__).resolve().with_name("programs") / "locale.c"
# The one-byte character sets are those in which toupper('i') is not 'I' in Turkish.
LOCALES = (("de_DE", "UTF-8"), ("tr_TR", "UTF-8"), ("tr_TR", "ISO-8859-9"))


def told(log):
    """What the lines say, but for numbers, in no order: two ends write them, and a thread of the library's."""
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    return sorted(re.sub(r"[0-9]+", "N", " ".join(f"{name}={value}" for name, value in line.items()
                                                  if name not in ("time", "pid"))) for line in lines)


@sealed_only
class Locales(sealed.TestCase):
    log_level = "debug"

    @classmethod
    def setUpClass(cls):
        sealed.need("/usr/bin/localedef")
        cls.made = tempfile.TemporaryDirectory(prefix="sockseal-test-")
        cls.addClassCleanup(cls.made.cleanup)
        cls.names = [f"{language}.{charset}" for language, charset in LOCALES]
        for name, (language, charset) in zip(cls.names, LOCALES):
            subprocess.run(["localedef", "--no-archive", "-i", language, "-f", charset, f"{cls.made.name}/{name}"],
                           check=True, timeout=120, stdout=subprocess.DEVNULL)

    def in_locale(self, name):
        return ["env", f"LC_ALL={name}", f"LOCPATH={self.made.name}"]

    def command(self, name, *words):
        return subprocess.run([*self.in_locale(name), sealed.BUILD / "sockseal", *words], capture_output=True, check=False,
                              timeout=60, env=self.plain_env())

    def counts(self, name, pid):
        (process,) = json.loads(self.command(name, "status", "--json", str(pid)).stdout)["processes"]
        return {**process["counts"], "id": None}

    def connections(self, program, name, point):
        """What is told of connections under one key, then under another that has replaced it in the file."""
        address, port = sealed.loopback(), self.port()
        self.write_keys("keys", ("Irmak-ilk", "abcdefABCDEF" + self.key[12:]))
        run = self.run_program(*self.in_locale(name), program, address, str(port), point, SOCKSEAL_LOG_FORMAT="json")
        run.expect(f"0{point}5\n".encode())
        counts = self.counts(name, run.pid)
        self.write_keys("keys", ("Irmak-iki", "FEDCBAfedcba" + self.key[12:]))
        run.feed([b"go\n"])
        self.assertEqual(run.status(), 0, run.report())
        for identity in ("Irmak-ilk", "Irmak-iki"):
            run.expect_log(identity)
        return counts, told(run.log_file)

    def test_connections_and_their_log(self):
        program = self.directory / "locale"
        subprocess.run(["gcc", "-o", program, SOURCE], check=True, timeout=60)
        expected = self.connections(program, "C", ".")
        for name in self.names:
            with self.subTest(locale=name):
                self.assertEqual(self.connections(program, name, ","), expected)

    def test_the_command(self):
        config = self.directory / "config"
        config.write_text(f"ports = 1-65535\nKEY_FILE = {self.key_file}\nidentity = tester\nHANDSHAKE_TIMEOUT = 7\n"
                          "keylog-file = none\n")
        for words in (("run", "-f", config, "--", "/bin/true"), ("check", "-f", config, "/bin/ls"),
                      ("keys", self.key_file), ("check", "-p", "0.5", "/bin/ls")):
            said = {}
            for name in ("C", *self.names):
                result = self.command(name, *words)
                said[name] = (result.returncode, result.stdout, result.stderr)
            with self.subTest(words=words):
                self.assertEqual(set(said.values()), {said["C"]})


if __name__ == "__main__":
    unittest.main()
