#!/usr/bin/python3
# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""The sockseal command: keygen and keys."""
import hmac
import os
import re
import stat
import subprocess
import sys
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from command import BUILD, USAGE, CommandTest


class KeygenTest(CommandTest):
    LINE = r"^%s:[0-9a-f]{%d}\n$"

    def test_one_key_to_standard_output(self):
        self.assertRegex(self.sockseal("keygen").stdout, self.LINE % ("sockseal", 64))
        self.assertRegex(self.sockseal("keygen", "-b", "16", "me").stdout, self.LINE % ("me", 32))

    def test_keys_differ(self):
        keys = {line.split(":")[1] for line in self.sockseal("keygen", "a", "b", "c").stdout.splitlines()}
        self.assertEqual(len(keys), 3)

    def test_the_file_is_the_owners_alone(self):
        result = self.sockseal("keygen", "-o", "new", "me", preexec_fn=lambda: os.umask(0))
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertEqual(stat.S_IMODE(os.stat(self.path("new")).st_mode), 0o600)

    def test_a_file_is_not_overwritten(self):
        self.sockseal("keygen", "-o", "new", "me")
        with open(self.path("new"), encoding="ascii") as file:
            before = file.read()
        result = self.sockseal("keygen", "-o", "new", "me")
        self.assertEqual(result.returncode, 1)
        self.assertIn("exists", result.stderr)
        with open(self.path("new"), encoding="ascii") as file:
            self.assertEqual(file.read(), before)

    def lines(self, name):
        with open(self.path(name), encoding="ascii") as file:
            return file.read().splitlines()

    def test_it_says_what_to_do_next(self):
        result = self.sockseal("keygen", "-o", "new", "me")
        self.assertRegex(result.stdout, r"\Ame: fingerprint (\d{4} ?){5}\n")
        self.assertIn("sockseal -p PORT -k new PROGRAM", result.stdout)
        self.assertNotIn(self.lines("new")[0].split(":")[1][:8], result.stdout)

    def test_a_file_is_added_to(self):
        self.write("new", "one:" + "a1" * 32)  # without its end
        result = self.sockseal("keygen", "-o", "new", "--append", "two")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual([line.split(":")[0] for line in self.lines("new")], ["one", "two"])
        self.assertEqual(self.sockseal("keys", "new").returncode, 0)
        result = self.sockseal("keygen", "-o", "new", "--append", "one")
        self.assertEqual(result.returncode, 1)
        self.assertIn("it has a key for 'one' already", result.stderr)
        self.assertEqual(len(self.lines("new")), 2)
        self.assertEqual(self.sockseal("keygen", "-o", "fresh", "--append", "one").returncode, 0)

    def run_into(self, name, mode, *arguments):
        with open(self.path(name), mode, encoding="ascii") as file:
            return subprocess.run([os.path.join(BUILD, "sockseal"), "keygen", *arguments], stdout=file,
                                  stderr=subprocess.PIPE, text=True, timeout=20, check=False)

    def test_a_redirection_that_makes_a_file_for_everybody(self):
        self.write("new", "", 0o644)
        self.assertIn("file that others may read (mode 0644)", self.run_into("new", "w").stderr)
        os.chmod(self.path("new"), 0o600)
        self.assertEqual(self.run_into("new", "w").stderr, "")

    def test_a_redirection_behind_other_keys(self):
        self.write("new", "one:" + "a1" * 32)
        self.assertEqual(self.run_into("new", "a", "two").returncode, 0)
        self.assertEqual([line.split(":")[0] for line in self.lines("new")], ["one", "two"])
        self.assertEqual(self.run_into("new", "a", "two").returncode, 1)
        self.assertEqual(len(self.lines("new")), 2)

    def test_a_pair_has_a_file_for_each_machine(self):
        result = self.sockseal("keygen", "--pair", "alice", "bob", "-o", "pair", preexec_fn=lambda: os.umask(0))
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(stat.S_IMODE(os.stat(self.path("pair")).st_mode), 0o700)
        keys = {}
        for machine, directions in (("alice", "connect listen"), ("bob", "listen connect")):
            lines = sorted(self.lines("pair/%s.keys" % machine))
            self.assertEqual([line.split(":")[0] for line in lines], ["alice-to-bob", "bob-to-alice"])
            self.assertEqual([line.split()[1] for line in lines], directions.split())
            keys[machine] = [re.sub(" .*", "", line) for line in lines]
            self.assertEqual(self.sockseal("keys", "pair/%s.keys" % machine).returncode, 0)
            self.assertEqual(stat.S_IMODE(os.stat(self.path("pair/%s.keys" % machine)).st_mode), 0o600)
        self.assertEqual(keys["alice"], keys["bob"])
        self.assertNotEqual(*(line.split(":")[1] for line in keys["alice"]))

    def test_a_pair_with_addresses(self):
        result = self.sockseal("keygen", "--pair", "a=10.0.0.1", "b=fd00::2", "-o", "pair")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual([line.split(" ")[1] for line in self.lines("pair/a.keys")],
                         ["connect:[fd00::2]", "listen:[fd00::2]"])
        self.assertEqual([line.split(" ")[1] for line in self.lines("pair/b.keys")],
                         ["connect:10.0.0.1", "listen:10.0.0.1"])
        self.assertEqual(self.sockseal("keys", "pair/a.keys").returncode, 0)

    def test_bad_requests_write_nothing(self):
        for arguments in (["a:b"], ["a b"], [""], ["#a"], ["x" * 129], ["a", "a"], ["-b", "15"], ["-b", "65"],
                          ["-b", "16x"], ["--pair", "a"], ["--pair", "a", "b", "c"], ["--pair", "a", "../b"], ["--pair", "a", "a"],
                          ["--pair", "a=host", "b"], ["--pair", "a=10.0.0.1:80", "b"], ["a,b"]):
            result = self.sockseal("keygen", "-o", "new", *arguments)
            self.assertEqual(result.returncode, USAGE, arguments)
            self.assertFalse(os.path.exists(self.path("new")), arguments)

    def test_a_full_device(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            result = subprocess.run([os.path.join(BUILD, "sockseal"), "keygen"], stdout=full, stderr=subprocess.PIPE,
                                    text=True, timeout=20, check=False)
        self.assertEqual(result.returncode, 1)
        self.assertTrue(re.search("No space", result.stderr))


class KeysTest(CommandTest):
    """keys lists what a file holds without showing it."""

    def fingerprints(self, name):
        result = self.sockseal("keys", name)
        self.assertEqual(result.returncode, 0, result.stderr)
        return re.findall(r"^(\S+) +(\d+)  (\d{4} \d{4} \d{4} \d{4} \d{4})  (.*)$", result.stdout, re.MULTILINE)

    def test_the_list(self):
        self.write("new", "a:%s connect:10.0.0.2\n# comment\nb:%s\n" % ("a1" * 32, "b2" * 16))
        lines = self.fingerprints("new")
        self.assertEqual([(line[0], line[1], line[3]) for line in lines],
                         [("a", "32", "connect:10.0.0.2"), ("b", "16", "every connection")])

    def test_a_fingerprint_is_the_keys_whatever_its_name(self):
        self.write("new", "a:%s\nb:%s\nc:%s\n" % ("a1" * 32, "A1" * 32, "a1" * 31 + "a2"))
        first, second, third = (line[2] for line in self.fingerprints("new"))
        self.assertEqual(first, second)
        self.assertNotEqual(first, third)
        # HMAC-SHA-256 under the key of "sockseal key fingerprint 1": it must stay the same between versions.
        digest = hmac.new(b"\xa1" * 32, b"sockseal key fingerprint 1", "sha256").digest()
        words = [int.from_bytes(digest[at:at + 4], "little") % 10000 for at in range(0, 20, 4)]
        self.assertEqual(first, " ".join("%04d" % word for word in words))

    def test_what_is_wrong(self):
        for text, mode, reason in (("a:%s\n" % ("a1" * 32), 0o644, "others may read"), ("", 0o600, "holds no key"),
                                   ("a:12\n", 0o600, "line 1: the key is too short")):
            self.write("new", text, mode)
            result = self.sockseal("keys", "new")
            self.assertEqual((result.returncode, result.stdout), (1, ""))
            self.assertIn(reason, result.stderr)
        self.assertEqual(self.sockseal("keys", "nothing").returncode, 1)
        self.assertEqual(self.sockseal("keys", "one", "two").returncode, USAGE)

    def test_without_a_name_it_is_the_configured_file(self):
        self.assertIn("me ", self.sockseal("keys").stdout)


if __name__ == "__main__":
    unittest.main()
