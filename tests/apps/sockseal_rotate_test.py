# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""sockseal rotate: a key is changed on two machines while they talk."""

# packages: redis-server redis-tools

import os
import secrets
import stat
import subprocess
import sys
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import sealed

from sealed import sealed_only


class Case(sealed.TestCase):
    def rotate(self, *arguments, status=0, **options):
        result = subprocess.run([sealed.BUILD / "sockseal", "rotate", *arguments], env=self.plain_env(), capture_output=True,
                                text=True, timeout=30, check=False, **options)
        self.assertEqual(result.returncode, status, result.stdout + result.stderr)
        return result.stdout + result.stderr

    def identities(self, file):
        return [line.split(":")[0] for line in file.read_text().splitlines() if line and not line.startswith("#")]


@sealed_only
class Files(Case):
    """What becomes of a key file."""

    def setUp(self):
        super().setUp()
        self.text = f"# keys of db\nother:{'a1' * 32}\noffice:{'b2' * 32} listen:10.0.0.2\n"
        self.file = self.directory / "mine"
        self.file.write_text(self.text)
        self.file.chmod(0o600)

    def test_the_new_key_stands_before_the_old_one_with_its_rules(self):
        self.rotate(self.file, "office")
        lines = self.file.read_text().splitlines()
        self.assertEqual(self.identities(self.file), ["other", "office+2", "office"])
        self.assertRegex(lines[2], r"^office\+2:[0-9a-f]{64} listen:10\.0\.0\.2$")
        self.assertEqual([lines[0], lines[1], lines[3]], self.text.splitlines())
        self.assertEqual(stat.S_IMODE(self.file.stat().st_mode), 0o600)
        self.assertEqual(sorted(path.name for path in self.directory.iterdir() if path.name.startswith("mine")), ["mine"])

    def test_a_second_time_nothing_is_changed(self):
        self.rotate(self.file, "office")
        before = self.file.read_text()
        self.assertIn("has the new key of office+2 already", self.rotate(self.file, "office"))
        self.assertEqual(self.file.read_text(), before)

    def test_the_other_machine_takes_the_key_with_rules_of_its_own(self):
        theirs = self.directory / "theirs"
        theirs.write_text(f"office:{'b2' * 32} connect:10.0.0.1")  # without its end
        theirs.chmod(0o600)
        self.assertIn("has no end", self.rotate("--take", theirs, status=1, input=""))
        theirs.write_text(f"office:{'b2' * 32} connect:10.0.0.1\n")
        self.assertIn("no line of 'office+2'", self.rotate("--take", theirs, status=1, input="office:12\n"))
        self.rotate(self.file, "office")
        line = next(line for line in self.file.read_text().splitlines() if line.startswith("office+2"))
        self.rotate("--take", theirs, input=line + "\n")
        self.assertEqual(theirs.read_text().splitlines()[0], line.split()[0] + " connect:10.0.0.1")

    def test_the_old_key_goes_when_the_new_one_is_there(self):
        self.assertIn("no key of 'office+2'", self.rotate("--finish", self.file, "office", status=1))
        self.assertEqual(self.file.read_text(), self.text)
        self.rotate(self.file, "office")
        self.rotate("--finish", self.file, "office")
        self.assertEqual(self.identities(self.file), ["other", "office+2"])
        self.assertIn("finished here", self.rotate("--finish", self.file, "office", status=1))
        self.rotate(self.file, "office+2")
        self.assertEqual(self.identities(self.file), ["other", "office+3", "office+2"])

    def test_which_key(self):
        self.assertIn("more than one key", self.rotate(self.file, status=125))
        self.assertIn("no key of 'nobody'", self.rotate(self.file, "nobody", status=1))
        self.file.write_text(f"only:{'b2' * 32}\n")
        self.rotate(self.file)
        self.assertEqual(self.identities(self.file), ["only+2", "only"])

    def test_a_file_that_cannot_be_used_is_left_alone(self):
        self.file.chmod(0o644)
        self.assertIn("others may read", self.rotate(self.file, "office", status=1))
        self.assertEqual(self.file.read_text(), self.text)
        self.rotate(self.directory / "nothing", status=1)

    def test_a_link_stays_a_link(self):
        link = self.directory / "link"
        link.symlink_to(self.file)
        self.rotate(link, "office")
        self.assertTrue(link.is_symlink())
        self.assertIn("office+2", self.identities(self.file))

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_the_owner_stays(self):
        os.chown(self.file, 65534, 65534)
        self.rotate(self.file, "office")
        self.assertEqual(self.file.stat().st_uid, 65534)


@sealed_only
class UnderLoad(Case):
    def test_redis_loses_no_request(self):
        """A new connection for every request, while the key changes on both sides."""
        sealed.need("redis-server")
        sealed.need("redis-benchmark")
        key, address, port = secrets.token_hex(32), sealed.loopback(), self.port()
        ours, theirs = self.write_keys("ours", ("office", key)), self.write_keys("theirs", ("office", key))
        server = self.run_program("redis-server", "--port", port, "--bind", address, "--save", "", "--dir", self.directory,
                                  SOCKSEAL_KEY_FILE=ours)
        self.wait_listening(port, server)
        load = self.run_program("redis-benchmark", "-h", address, "-p", port, "-k", "0", "-c", "8", "-t", "set", "-n",
                                200000 if sealed.FULL else 12000, "-q", SOCKSEAL_KEY_FILE=theirs)
        load.expect_log("info", "'office')", "sealed with")
        self.rotate(ours)
        line = next(line for line in ours.read_text().splitlines() if line.startswith("office+2"))
        self.rotate("--take", theirs, input=line + "\n")
        load.expect_log("info", "'office+2'", "sealed with")
        self.rotate("--finish", ours, "office")
        self.rotate("--finish", theirs, "office")
        self.assertTrue(load.runs(), "the load ended before the key was changed")
        self.assertEqual(load.status(120), 0, load.report())
        for program in (server, load):
            # At its end the benchmark closes connections that it has just made.
            bad = [line for line in program.log().splitlines() if "error" in line or "warning" in line
                   and "the connection ended during the handshake" not in line]
            self.assertEqual(bad, [], program.report())


if __name__ == "__main__":
    unittest.main()
