#!/usr/bin/python3
# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""The sockseal command: run, keygen and check."""
import os
import re
import shutil
import stat
import subprocess
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("SOCKSEAL_BUILD", os.path.join(ROOT, "build"))
LIBRARY = os.path.realpath(os.path.join(BUILD, "libsockseal.so"))
USAGE, CANNOT_INVOKE, NOT_FOUND = 125, 126, 127


class CommandTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.directory)

    def path(self, name):
        return os.path.join(self.directory, name)

    def sockseal(self, *arguments, env=None, **options):
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C.UTF-8"}
        environment.update(env or {})
        return subprocess.run([os.path.join(BUILD, "sockseal"), *arguments], env=environment, cwd=self.directory,
                              capture_output=True, text=True, timeout=30, check=False, **options)

    def copy(self, program, name, mode):
        target = self.path(name)
        shutil.copy(shutil.which(program), target)
        os.chmod(target, mode)
        return target

    def script(self, name, text):
        with open(self.path(name), "w", encoding="ascii") as file:
            file.write(text)
        os.chmod(self.path(name), 0o755)
        return self.path(name)

    def compile(self, name, *flags):
        subprocess.run(["gcc", "-o", self.path(name), *flags, "-x", "c", "-"], input="int main(void) { return 0; }",
                       text=True, check=True, timeout=60)
        return self.path(name)


class RunTest(CommandTest):
    def test_options_set_the_variables_and_the_preload(self):
        result = self.sockseal("run", "-p", "9", "-k", "keys", "-i", "me", "-s", "chacha20", "-t", "5", "-l", "error",
                               "--log-file", "log", "--plaintext", "accept", "--strict", "--", "env")
        self.assertEqual(result.returncode, 0, result.stderr)
        lines = result.stdout.splitlines()
        for line in ("SOCKSEAL_PORTS=9", "SOCKSEAL_KEY_FILE=keys", "SOCKSEAL_IDENTITY=me", "SOCKSEAL_SUITES=chacha20",
                     "SOCKSEAL_HANDSHAKE_TIMEOUT=5", "SOCKSEAL_LOG=error", "SOCKSEAL_LOG_FILE=log",
                     "SOCKSEAL_PLAINTEXT=accept", "SOCKSEAL_STRICT=1", "LD_PRELOAD=" + LIBRARY):
            self.assertIn(line, lines)

    def test_run_is_implied(self):
        self.assertEqual(self.sockseal("-p", "9", "echo", "-p").stdout, "-p\n")

    def test_the_environment_is_enough(self):
        result = self.sockseal("env", env={"SOCKSEAL_PORTS": "9"})
        self.assertIn("LD_PRELOAD=" + LIBRARY, result.stdout.splitlines())

    def test_the_library_comes_before_what_is_preloaded_already(self):
        result = self.sockseal("-p", "9", "env", env={"LD_PRELOAD": "libm.so.6"})
        self.assertIn("LD_PRELOAD=%s:libm.so.6" % LIBRARY, result.stdout.splitlines())

    def test_a_sealed_shell_may_use_it_again(self):
        result = self.sockseal("-p", "9", os.path.join(BUILD, "sockseal"), "-p", "10", "env")
        self.assertIn("LD_PRELOAD=" + LIBRARY, result.stdout.splitlines())
        self.assertIn("SOCKSEAL_PORTS=10", result.stdout.splitlines())

    def test_the_status_is_the_programs(self):
        self.assertEqual(self.sockseal("-p", "9", "sh", "-c", "exit 42").returncode, 42)

    def test_without_ports_it_refuses(self):
        result = self.sockseal("true")
        self.assertEqual(result.returncode, USAGE)
        self.assertIn("SOCKSEAL_PORTS", result.stderr)

    def test_a_rule_that_does_not_parse_ends_with_78(self):
        result = self.sockseal("-p", "http", "true")
        self.assertEqual(result.returncode, 78)
        self.assertRegex(result.stderr, r"SOCKSEAL_PORTS: 'http': expected a port")

    def test_usage_errors(self):
        for arguments in ([], ["-p"], ["-p", "9"], ["--nonsense", "true"], ["-p", "9", "-Z", "true"]):
            result = self.sockseal(*arguments)
            self.assertEqual(result.returncode, USAGE, arguments)
            self.assertNotEqual(result.stderr, "")

    def test_help_and_version(self):
        self.assertIn("usage: sockseal", self.sockseal("--help").stdout)
        self.assertRegex(self.sockseal("--version").stdout, r"^sockseal \d+\.\d+\n$")

    def test_a_program_that_is_not_there(self):
        for name in ("no-such-program", "./no-such-program", "/no/such/program", "status"):
            result = self.sockseal("-p", "9", name)
            self.assertEqual(result.returncode, NOT_FOUND, name)
            self.assertIn(name, result.stderr)


class RefusalTest(CommandTest):
    """What the shim cannot be loaded into, by run and by check."""

    def assert_refused(self, program, reason):
        result = self.sockseal("-p", "9", program)
        self.assertEqual(result.returncode, CANNOT_INVOKE, result.stderr)
        self.assertRegex(result.stderr, reason)
        result = self.sockseal("check", program)
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stdout, reason)

    def test_static(self):
        self.assert_refused(self.compile("static", "-static"), "statically")

    def test_static_position_independent(self):
        self.assert_refused(self.compile("static", "-static-pie", "-fPIE"), "statically")

    def test_set_user_id(self):
        self.assert_refused(self.copy("true", "suid", 0o4755), "set-user-ID")

    def test_set_group_id(self):
        self.assert_refused(self.copy("true", "sgid", 0o2755), "set-group-ID")

    def test_file_capabilities(self):
        program = self.copy("true", "capable", 0o755)
        # VFS_CAP_REVISION_2 with CAP_NET_BIND_SERVICE permitted (capabilities(7))
        value = bytes.fromhex("00000002" "00040000" "00000000" "00000000" "00000000")
        try:
            os.setxattr(program, "security.capability", value)
        except OSError as error:
            self.skipTest("file capabilities cannot be set here: %s" % error)
        self.assert_refused(program, "capabilities")

    def test_another_architecture(self):
        program = self.copy("true", "foreign", 0o755)
        with open(program, "r+b") as file:
            file.seek(18)  # e_machine: EM_S390
            file.write(b"\x16\x00")
        self.assert_refused(program, "architecture")

    def test_another_c_library(self):
        self.assert_refused(self.compile("musl", "-Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1"), "C library")

    def test_go(self):
        note = self.path("note.s")
        with open(note, "w", encoding="ascii") as file:
            file.write('.section .note.go.buildid, "a", %note\n.long 4, 4, 4\n.asciz "Go\\0"\n.asciz "abc"\n')
        self.assert_refused(self.compile("go", "-x", "assembler", note), "Go program")

    def test_a_script_of_a_refused_interpreter(self):
        static = self.compile("static", "-static")
        self.assert_refused(self.script("script", "#!%s -x\n" % static), "statically")

    def test_what_is_no_program(self):
        self.assert_refused(self.script("text", "just text\n"), "neither")
        self.assert_refused(self.copy("true", "plain", 0o644), "not an executable")
        self.assert_refused(self.directory, "not an executable")

    def test_a_truncated_program(self):
        program = self.copy("true", "cut", 0o755)
        os.truncate(program, 30)
        self.assert_refused(program, ".")

    def test_what_can_be_sealed(self):
        script = self.script("script", "#! /bin/sh -e\nexit 7\n")
        result = self.sockseal("check", "sh", script)
        self.assertEqual(result.returncode, 0, result.stdout)
        self.assertEqual(self.sockseal("-p", "9", script).returncode, 7)


class KeygenTest(CommandTest):
    LINE = r"^%s:[0-9a-f]{%d}\n$"

    def test_one_key_to_standard_output(self):
        self.assertRegex(self.sockseal("keygen").stdout, self.LINE % ("sockseal", 64))
        self.assertRegex(self.sockseal("keygen", "-b", "16", "me").stdout, self.LINE % ("me", 32))

    def test_keys_differ(self):
        keys = {line.split(":")[1] for line in self.sockseal("keygen", "a", "b", "c").stdout.splitlines()}
        self.assertEqual(len(keys), 3)

    def test_the_file_is_the_owners_alone(self):
        result = self.sockseal("keygen", "-o", "keys", "me", preexec_fn=lambda: os.umask(0))
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "", ""))
        self.assertEqual(stat.S_IMODE(os.stat(self.path("keys")).st_mode), 0o600)

    def test_a_file_is_not_overwritten(self):
        self.sockseal("keygen", "-o", "keys", "me")
        with open(self.path("keys"), encoding="ascii") as file:
            before = file.read()
        result = self.sockseal("keygen", "-o", "keys", "me")
        self.assertEqual(result.returncode, 1)
        self.assertIn("exists", result.stderr)
        with open(self.path("keys"), encoding="ascii") as file:
            self.assertEqual(file.read(), before)

    def test_a_pair_has_a_file_for_each_direction(self):
        result = self.sockseal("keygen", "--pair", "alice", "bob", "-o", ".")
        self.assertEqual(result.returncode, 0, result.stderr)
        lines = []
        for name in ("alice-to-bob", "bob-to-alice"):
            with open(self.path(name + ".key"), encoding="ascii") as file:
                lines.append(file.read())
            self.assertRegex(lines[-1], self.LINE % (name, 64))
        self.assertNotEqual(lines[0].split(":")[1], lines[1].split(":")[1])

    def test_bad_requests_write_nothing(self):
        for arguments in (["a:b"], ["a b"], [""], ["#a"], ["x" * 129], ["a", "a"], ["-b", "15"], ["-b", "65"],
                          ["-b", "16x"], ["--pair", "a"], ["--pair", "a", "b", "c"], ["--pair", "a", "../b"]):
            result = self.sockseal("keygen", "-o", "keys", *arguments)
            self.assertEqual(result.returncode, USAGE, arguments)
            self.assertFalse(os.path.exists(self.path("keys")), arguments)

    def test_a_full_device(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            result = subprocess.run([os.path.join(BUILD, "sockseal"), "keygen"], stdout=full, stderr=subprocess.PIPE,
                                    text=True, timeout=20, check=False)
        self.assertEqual(result.returncode, 1)
        self.assertTrue(re.search("No space", result.stderr))


if __name__ == "__main__":
    unittest.main()
