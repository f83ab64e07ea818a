#!/usr/bin/python3
# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""The sockseal command: run, shell and check."""
import os
import re
import shutil
import subprocess
import sys
import time
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from command import BUILD, CANNOT_INVOKE, CONFIGURATION, FAILED, LIBRARY, NOT_FOUND, ROOT, USAGE, CommandTest


class RunTest(CommandTest):
    def test_options_set_the_variables_and_the_preload(self):
        result = self.sockseal("run", "-p", "9", "-k", "keys", "-i", "me", "-s", "chacha20", "-t", "5", "-l", "error",
                               "--log-file", "log", "--log-format", "json", "--plaintext", "accept", "--connect-timeout", "60", "--close-timeout", "3", "--strict", "--", "env")
        self.assertEqual(result.returncode, 0, result.stderr)
        lines = result.stdout.splitlines()
        for line in ("SOCKSEAL_PORTS=9", "SOCKSEAL_KEY_FILE=" + self.path("keys"), "SOCKSEAL_IDENTITY=me", "SOCKSEAL_SUITES=chacha20",
                     "SOCKSEAL_HANDSHAKE_TIMEOUT=5", "SOCKSEAL_LOG=error", "SOCKSEAL_LOG_FILE=" + self.path("log"),
                     "SOCKSEAL_LOG_FORMAT=json", "SOCKSEAL_CONNECT_TIMEOUT=60", "SOCKSEAL_CLOSE_TIMEOUT=3", "SOCKSEAL_PLAINTEXT=accept", "SOCKSEAL_STRICT=1", "LD_PRELOAD=" + LIBRARY):
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
        for words in (["true"], ["run", "true"], ["shell"], ["check"]):
            result = self.sockseal(*words)
            self.assertEqual(result.returncode, CONFIGURATION, words)
            self.assertIn("SOCKSEAL_PORTS", result.stderr)

    def test_a_misspelt_variable_is_named_where_no_port_is(self):
        for words in (["true"], ["check"]):
            result = self.sockseal(*words, env={"SOCKSEAL_PORT": "5000"})
            self.assertIn("SOCKSEAL_PORT is no variable of sockseal's; did you mean SOCKSEAL_PORTS?", result.stderr)
            self.assertNotEqual(result.returncode, 0)

    def test_a_rule_that_does_not_parse_ends_with_78(self):
        result = self.sockseal("-p", "http", "true")
        self.assertEqual(result.returncode, 78)
        self.assertRegex(result.stderr, r"SOCKSEAL_PORTS: 'http': expected a port")

    def test_usage_errors(self):
        for arguments in ([], ["-p"], ["-p", "9"], ["--nonsense", "true"], ["-p", "9", "-Z", "true"]):
            result = self.sockseal(*arguments)
            self.assertEqual(result.returncode, USAGE, arguments)
            self.assertNotEqual(result.stderr, "")

    def test_a_wrong_option_is_named_with_the_verb_and_its_help(self):
        for verb in ("run", "shell", "check", "keygen", "ping", "rotate", "status"):
            for word in ("--nonsense", "-Z", "--help=now"):
                result = self.sockseal(verb, word)
                self.assertEqual((result.returncode, result.stdout, result.stderr), (
                    USAGE, "", f"sockseal: {verb}: there is no option '{word}'; see 'sockseal {verb} --help'\n"))
        for verb, word in (("run", "-p"), ("check", "--key-file"), ("keygen", "-o"), ("ping", "-i"), ("status", "-o")):
            result = self.sockseal(verb, word)
            self.assertEqual((result.returncode, result.stderr), (
                USAGE, f"sockseal: {verb}: option '{word}' lacks its argument; see 'sockseal {verb} --help'\n"))
        self.assertIn("sockseal: run: there is no option '-Z'", self.sockseal("-Z", "true").stderr)

    def test_help_and_version(self):
        self.assertIn("usage: sockseal", self.sockseal("--help").stdout)
        self.assertRegex(self.sockseal("--version").stdout, r"^sockseal \d+(\.\d+)+\n$")

    def test_a_program_that_is_not_there(self):
        for name in ("no-such-program", "./no-such-program", "/no/such/program", "statuses"):
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

    def of_nobody(self, name, mode):
        """A program that belongs to another user and group."""
        if os.geteuid() != 0:
            self.skipTest("only root can give a file away")
        program = self.copy("true", name, 0o755)
        os.chown(program, 65534, 65534)
        os.chmod(program, mode)
        return program

    def test_set_user_id(self):
        self.assert_refused(self.of_nobody("suid", 0o4755), "set-user-ID")

    def test_set_group_id(self):
        self.assert_refused(self.of_nobody("sgid", 0o2755), "set-group-ID")

    def test_rights_that_the_caller_has_already(self):
        """As root's su and sudo, for root: exec(2) changes no rights, so the library is loaded."""
        for name, mode in (("suid", 0o4755), ("sgid", 0o2755)):
            result = self.sockseal("-p", "9", self.copy("env", name, mode))
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn("SOCKSEAL_PORTS=9", result.stdout.splitlines())
            self.assertIn("can be sealed", self.sockseal("check", self.path(name)).stdout)

    @unittest.skipUnless(os.geteuid() == 0 and shutil.which("su"), "root's su")
    def test_su_as_root(self):
        os.chmod(self.directory, 0o711)
        script = "cat /proc/self/maps | grep -c libsockseal; id -u"
        result = self.sockseal("-p", "9", "su", "nobody", "-s", "/bin/sh", "-c", script)
        if result.stdout[:1] == "0":
            self.skipTest("the user cannot read the library where it was built")
        self.assertRegex(result.stdout, r"^[1-9][0-9]*\n65534\n$", result.stderr)

    def test_file_capabilities(self):
        program = self.copy("grep", "capable", 0o755)
        # VFS_CAP_REVISION_2 with CAP_NET_BIND_SERVICE permitted (capabilities(7))
        value = bytes.fromhex("00000002" "00040000" "00000000" "00000000" "00000000")
        try:
            os.setxattr(program, "security.capability", value)
        except OSError as error:
            self.skipTest("file capabilities cannot be set here: %s" % error)
        if os.geteuid() != 0:
            self.assert_refused(program, "capabilities")
            return
        # They give root no rights that it does not have, so the library is loaded, and proves it.
        self.assertGreater(int(self.sockseal("-p", "9", program, "-c", "libsockseal", "/proc/self/maps").stdout), 0)
        os.chmod(self.directory, 0o755)
        command = shutil.copy(os.path.join(BUILD, "sockseal"), self.path("sockseal"))
        shutil.copy(LIBRARY, self.path("libsockseal.so"))
        result = subprocess.run([command, "check", program], user=65534, group=65534, env={}, capture_output=True,
                                text=True, timeout=30, check=False)
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn("capabilities", result.stdout)

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


class PreloadTest(CommandTest):
    """Where the library stands in LD_PRELOAD."""

    def preload(self, value):
        result = self.sockseal("-p", "9", "env", env={"LD_PRELOAD": value})
        self.assertEqual(result.returncode, 0, result.stderr)
        return re.search("^LD_PRELOAD=(.*)$", result.stdout, re.MULTILINE).group(1)

    def library(self, name, source):
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", self.path(name), "-x", "c", "-"], input=source, text=True,
                       check=True, timeout=60)
        return self.path(name)

    def test_behind_a_library_that_makes_connections_itself(self):
        """As proxychains4 does: what it sends to its proxy must pass through the doors."""
        proxy = self.library("libproxy.so", "int connect(int fd, const void *a, unsigned l) { return -1; }")
        other = self.library("libother.so", "int nothing_special(void) { return 1; }")
        self.assertEqual(self.preload("%s %s" % (proxy, other)), "%s:%s:%s" % (proxy, LIBRARY, other))
        self.assertEqual(self.preload("%s:%s" % (other, proxy)), "%s:%s:%s" % (other, proxy, LIBRARY))
        self.assertEqual(self.preload(other), "%s:%s" % (LIBRARY, other))

    def test_each_file_once_whatever_it_is_called(self):
        os.symlink(LIBRARY, self.path("another-name.so"))
        self.assertEqual(self.preload(self.path("another-name.so")), LIBRARY)
        self.assertEqual(self.preload("libm.so.6:" + LIBRARY), "%s:libm.so.6" % LIBRARY)

    def test_a_file_that_is_not_there_does_not_count(self):
        self.assertEqual(self.preload("/nonexistent/libsockseal.so"), LIBRARY)


class UnloadableTest(CommandTest):
    """`run` and `check` find out that the library does not get into the program, before it starts."""

    def assert_refused(self, reason, *command, env=None):
        command = command or (os.path.join(self.directory, "bin", "sockseal"),)
        marker = self.path("started")
        program = self.script("program", "#!/bin/sh\ntouch %s\n" % marker)
        for verb, status in (["run", CANNOT_INVOKE], ["check", FAILED]):
            environment = {"PATH": "/usr/bin:/bin", "SOCKSEAL_PORTS": "9", "SOCKSEAL_KEY_FILE": self.path("keys")}
            environment.update(env or {})
            result = subprocess.run([*command, verb, program], env=environment, capture_output=True, text=True,
                                    timeout=30, check=False)
            self.assertEqual(result.returncode, status, result.stdout + result.stderr)
            self.assertRegex(result.stdout + result.stderr, reason)
            self.assertFalse(os.path.exists(marker))

    def install(self, library=None):
        for name in ("bin", "lib"):
            os.mkdir(self.path(name))
        shutil.copy(os.path.join(BUILD, "sockseal"), self.path("bin/sockseal"))
        if library is None:
            shutil.copy(LIBRARY, self.path("lib/libsockseal.so"))
        else:
            shutil.copy(library, self.path("lib/libsockseal.so"))

    def test_an_empty_library(self):
        self.install(library="/dev/null")
        self.assert_refused("libsockseal.so cannot be loaded into .*: .*too short")

    def test_a_library_that_is_none(self):
        self.install(library=__file__)
        self.assert_refused("libsockseal.so cannot be loaded into .*: .*invalid ELF header")

    def test_a_library_for_another_c_library(self):
        self.install(library="/dev/null")
        source = 'int f(void); __asm__(".symver f,f@GLIBC_9.99"); int g(void) { return f(); }'
        stub = 'int f(void) { return 0; }'
        script = "GLIBC_9.99 { f; };"
        self.write("versions", script)
        subprocess.run(["gcc", "-shared", "-fPIC", "-Wl,--version-script=" + self.path("versions"),
                        "-Wl,-soname,libc.so.6", "-o", self.path("libstub.so"), "-x", "c", "-"], input=stub, text=True,
                       check=True, timeout=60)
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", self.path("lib/libsockseal.so"), "-x", "c", "-", "-x", "none",
                        self.path("libstub.so"), "-nostdlib"], input=source, text=True, check=True, timeout=60)
        self.assert_refused("libsockseal.so cannot be loaded into .*: .*GLIBC_9.99. not found")

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_a_library_that_the_user_may_not_read(self):
        self.install()
        os.chmod(self.path("lib/libsockseal.so"), 0o600)
        os.chmod(self.directory, 0o755)
        os.chown(self.path("keys"), 65534, -1)
        self.assert_refused("libsockseal.so cannot be loaded into .*may not read it", "setpriv", "--reuid", "65534",
                            "--clear-groups", self.path("bin/sockseal"))

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_a_library_where_nothing_may_be_executed(self):
        """As NoExecPaths= of systemd has it."""
        self.install()
        mount = "mount -t tmpfs -o noexec none {0} && cp {1} {0} && exec {2} \"$@\"".format(
            self.path("lib"), LIBRARY, self.path("bin/sockseal"))
        self.assert_refused("libsockseal.so cannot be loaded into .*mounted noexec.*ExecPaths", "unshare", "--mount",
                            "sh", "-c", mount, "sh")

    def test_a_program_with_address_sanitizer(self):
        program = self.compile("sanitized", "-fsanitize=address")
        result = self.sockseal("-p", "9", program)
        self.assertEqual(result.returncode, CANNOT_INVOKE, result.stderr)
        self.assertIn("ASAN_OPTIONS=verify_asan_link_order=0", result.stderr)
        result = self.sockseal("-p", "9", program, env={"ASAN_OPTIONS": "verify_asan_link_order=0"})
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_the_dynamic_linker(self):
        linker = subprocess.run(["gcc", "-print-file-name=ld-linux-x86-64.so.2"], capture_output=True, text=True,
                                check=True, timeout=30).stdout.strip()
        result = self.sockseal("-p", "9", linker, "/bin/true")
        self.assertEqual(result.returncode, CANNOT_INVOKE)
        self.assertIn("is the dynamic linker", result.stderr)


class StartTest(CommandTest):
    """What is wrong with the configuration ends `sockseal` with 78 before anything starts, and `check` says the same."""

    def assert_refused(self, reason, **variables):
        marker = self.path("started")
        env = {"SOCKSEAL_PORTS": "9", **variables}
        for arguments in (["touch", marker], ["check"], ["check", "touch"]):
            result = self.sockseal(*arguments, env=env)
            self.assertEqual(result.returncode, CONFIGURATION, result.stdout + result.stderr)
            self.assertRegex(result.stderr, r"\A(sockseal: .*\n)+\Z")
            self.assertRegex(result.stderr, reason)
            self.assertFalse(os.path.exists(marker))

    def test_what_is_good(self):
        result = self.sockseal("check", "-p", "9")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertIn("configuration: good", result.stdout)

    def test_the_key_file(self):
        self.assert_refused("SOCKSEAL_KEY_FILE names no key file", SOCKSEAL_KEY_FILE=None)
        self.assert_refused("there is no such file", SOCKSEAL_KEY_FILE="nothing")
        self.assert_refused("not a regular file", SOCKSEAL_KEY_FILE=".")
        self.assert_refused("others may read", SOCKSEAL_KEY_FILE=self.write("open", "me:%s\n" % ("a1" * 32), 0o644))
        self.assert_refused("line 1: expected identity:key", SOCKSEAL_KEY_FILE=self.write("bad", "rubbish\n"))
        self.assert_refused("line 1: the last line has no end", SOCKSEAL_KEY_FILE=self.write("cut", "me:" + "a1" * 17))
        self.assert_refused("holds no key for 'him'", SOCKSEAL_IDENTITY="him")
        self.assert_refused("holds no key for 'him'", SOCKSEAL_IDENTITY="me,him")

    def test_log_files(self):
        self.assert_refused("log file .*/nothing/log .*its directory is not there", SOCKSEAL_LOG_FILE="nothing/log")
        self.assert_refused("key log file .*/nothing/log .*its directory", SOCKSEAL_KEYLOG_FILE="nothing/log")
        os.symlink("/dev/null", self.path("link"))
        self.assert_refused("symbolic link", SOCKSEAL_LOG_FILE="link")
        self.assert_refused("others may read", SOCKSEAL_KEYLOG_FILE=self.write("secrets", "", 0o644))
        self.sockseal("-p", "9", "true", env={"SOCKSEAL_LOG_FILE": "log"})
        self.assertFalse(os.path.exists(self.path("log")), "nothing was said, and a file was made")

    def test_unknown_variables(self):
        self.assert_refused("SOCKSEAL_KEYFILE is no variable of sockseal's; did you mean SOCKSEAL_KEY_FILE?",
                            SOCKSEAL_KEYFILE="keys")
        self.assert_refused("SOCKSEAL_COLOUR is no variable", SOCKSEAL_COLOUR="red")

    def test_all_faults_at_once(self):
        self.assert_refused("(?s)SOCKSEAL_PORTS: 'http'.*SOCKSEAL_SUITES: 'aes'.*no such file", SOCKSEAL_PORTS="http",
                            SOCKSEAL_SUITES="aes", SOCKSEAL_KEY_FILE="nothing")

    def test_ports_as_people_write_them(self):
        for ports, reason in (("*:7000", "the port alone"), (":7000", "the port alone"), ("http", "as a number"),
                              ("20-10", "the lower one first"), ("db:5432", "address in numbers")):
            self.assert_refused(reason, SOCKSEAL_PORTS=ports)

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_root_may_start_a_program_with_another_users_keys(self):
        os.chown(self.path("keys"), 65534, -1)
        self.assertEqual(self.sockseal("-p", "9", "true").returncode, 0)

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_secret_mounts(self):
        """Kubernetes, Docker and systemd give secrets of root's, readable to all, on read-only file systems in memory."""
        os.mkdir(self.path("secrets"))
        mount = ("mount -t tmpfs none secrets && cp keys secrets/ && chmod 0{mode} secrets/keys &&"
                 " mount -o remount,{how} secrets && exec '{command}' -p 9 -k secrets/keys true")
        for mode, how, status in ("444", "ro", 0), ("440", "ro", 0), ("446", "ro", 78), ("444", "rw", 78):
            script = mount.format(mode=mode, how=how, command=os.path.join(BUILD, "sockseal"))
            result = subprocess.run(["unshare", "--mount", "sh", "-c", script], cwd=self.directory, capture_output=True,
                                    text=True, timeout=30, check=False)
            self.assertEqual(result.returncode, status, (mode, how, result.stderr))


class ConfigurationFileTest(CommandTest):
    def environment_with(self, text, *arguments, name="config", env=None):
        self.write(name, text)
        result = self.sockseal("-f", name, *(arguments or ("env",)), env={"SOCKSEAL_KEY_FILE": None, **(env or {})})
        self.assertEqual(result.returncode, 0, result.stderr)
        return dict(line.split("=", 1) for line in result.stdout.splitlines() if line.startswith("SOCKSEAL_"))

    def test_settings_become_variables(self):
        found = self.environment_with("# what to seal\nports = 9\n\n  key_file=keys\nlog = error\n")
        self.assertEqual(found, {"SOCKSEAL_PORTS": "9", "SOCKSEAL_KEY_FILE": self.path("keys"), "SOCKSEAL_LOG": "error"})

    def test_options_and_variables_count_before_it(self):
        text = "ports = 9\nkey_file = keys\nlog = error\nsuites = aegis128l\n"
        self.write("config", text)
        result = self.sockseal("-f", "config", "-p", "10", "env", env={"SOCKSEAL_LOG": "info"})
        self.assertIn("SOCKSEAL_PORTS=10\n", result.stdout)
        self.assertIn("SOCKSEAL_LOG=info\n", result.stdout)
        self.assertIn("SOCKSEAL_SUITES=aegis128l\n", result.stdout)

    def test_sections_are_for_programs(self):
        text = "[program env]\nports = 10\n[program redis-server]\nports = 11\n"
        self.assertEqual(self.environment_with("ports = 9\nkey_file = keys\n" + text)["SOCKSEAL_PORTS"], "10")

    def test_the_usual_places(self):
        os.makedirs(self.path("home/.config/sockseal"))
        os.makedirs(self.path("xdg/sockseal"))
        self.write("home/.config/sockseal/config", "ports = 9\nkey_file = ../../../keys\n")
        self.write("xdg/sockseal/config", "ports = 10\nkey_file = ../../keys\n")
        env = {"HOME": self.path("home"), "SOCKSEAL_KEY_FILE": None}
        self.assertIn("SOCKSEAL_PORTS=9\n", self.sockseal("env", env=env).stdout)
        env["XDG_CONFIG_HOME"] = self.path("xdg")
        self.assertIn("SOCKSEAL_PORTS=10\n", self.sockseal("env", env=env).stdout)

    def test_what_is_wrong_is_named(self):
        for text, reason in (("ports 9\n", r"config, line 1: 'ports 9': expected name = value"),
                             ("ports = 9\nport = 9\n", r"line 2: 'port': no such setting; did you mean ports\?"),
                             ("[redis]\n", r"line 1: '\[redis\]': expected \[program NAME\]"),
                             ("\nports=1\nports=2\n", r"line 3: 'ports': it is said twice"),
                             ("ports = http\nkey_file = keys\n", "SOCKSEAL_PORTS: 'http'")):
            self.write("config", text)
            result = self.sockseal("-f", "config", "true", env={"SOCKSEAL_KEY_FILE": None})
            self.assertEqual(result.returncode, CONFIGURATION, text)
            self.assertRegex(result.stderr, reason)

    def test_somebody_elses_words_do_not_count(self):
        self.write("config", "ports = 9\n", mode=0o666)
        result = self.sockseal("-f", "config", "true")
        self.assertEqual(result.returncode, CONFIGURATION)
        self.assertIn("nobody else can write", result.stderr)
        self.assertEqual(self.sockseal("-f", "nothing", "true").returncode, CONFIGURATION)


class VerbTest(CommandTest):
    def test_help(self):
        for verb in ("run", "shell", "check", "keygen", "keys", "ping"):
            result = self.sockseal(verb, "--help")
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            self.assertRegex(result.stdout, r"\Ausage: sockseal \[?%s\b" % verb)

    def options(self, verb):
        return set(re.findall(r"(?<![\w-])--[a-z-]+", re.sub(r"\A.*\n", "", self.sockseal(verb, "--help").stdout)))

    def test_the_manual_and_the_completions_know_every_option(self):
        pages = {}
        for name in ("sockseal.1", "completion/sockseal.bash", "completion/_sockseal"):
            with open(os.path.join(ROOT, "shim", "cli", name), encoding="utf-8") as file:
                pages[name] = file.read().replace("\\-", "-")
        for option in self.options("run") | self.options("keygen") | self.options("status"):
            for name, text in pages.items():
                self.assertIn(option, text, name)

    def complete(self, *words):
        script = ("source %s/shim/cli/completion/sockseal.bash; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _sockseal;"
                  " printf '%%s\\n' \"${COMPREPLY[@]}\"" % ROOT)
        result = subprocess.run(["bash", "--norc", "-c", script, "bash", "sockseal", *words], capture_output=True,
                                text=True, cwd=self.directory, timeout=30, check=True)
        self.assertEqual(result.stderr, "")
        return result.stdout.split()

    def test_completion_in_bash(self):
        self.assertEqual(self.complete("keyg"), ["keygen"])
        self.assertEqual(self.complete("--plain"), ["--plaintext"])
        self.assertEqual(self.complete("--plaintext", "a"), ["accept"])
        self.assertEqual(self.complete("keygen", "--ap"), ["--append"])
        self.assertEqual(self.complete("keys", "ke"), ["keys"])
        self.assertEqual(self.complete("status", "--pro"), ["--prometheus"])
        self.assertIn(str(os.getpid()), self.complete("status", ""))
        self.assertEqual(self.complete("-p", "9", "-k", "keys", "-i", ""), ["me", "you"])
        self.assertEqual(self.complete("-p", "9", "cat", "ke"), ["keys"])
        self.assertIn("true", self.complete("check", "tru"))

    def test_without_arguments_there_are_examples(self):
        result = self.sockseal()
        self.assertEqual(result.returncode, USAGE)
        self.assertIn("sockseal -p 7000 -k keys nc -l 7000", result.stderr)

    def test_a_word_that_is_neither_program_nor_verb(self):
        result = self.sockseal("-p", "9", "stauts")
        self.assertEqual(result.returncode, NOT_FOUND)
        self.assertIn("lists the verbs", result.stderr)

    def test_a_shell_is_sealed(self):
        result = self.sockseal("shell", "-p", "9", "--", "-c", "env; exit 7", env={"SHELL": "/bin/sh"})
        self.assertEqual(result.returncode, 7, result.stderr)
        self.assertIn("LD_PRELOAD=" + LIBRARY, result.stdout.splitlines())
        self.assertIn("SOCKSEAL_PORTS=9", result.stdout.splitlines())

    def test_processes_are_checked(self):
        for command, status, answer in ((["sleep", "20"], FAILED, "is not sealed"),
                                        ([os.path.join(BUILD, "sockseal"), "-p", "9", "sleep", "20"], 0, "is sealed")):
            env = {"PATH": "/usr/bin:/bin", "SOCKSEAL_KEY_FILE": self.path("keys")}
            with subprocess.Popen(command, env=env) as process:
                self.addCleanup(process.kill)
                result = self.wait_for_sleep(process.pid)
                process.kill()
            self.assertEqual(result.returncode, status, result.stdout)
            self.assertIn("process %d: %s" % (process.pid, answer), result.stdout)
        self.assertEqual(self.sockseal("check", "999999999").returncode, FAILED)

    def wait_for_sleep(self, pid):
        end = time.monotonic() + 20
        while time.monotonic() < end:
            with open("/proc/%d/comm" % pid, encoding="ascii") as file:
                if file.read() == "sleep\n":
                    break
            time.sleep(0.01)
        return self.sockseal("check", str(pid), env={"SOCKSEAL_KEY_FILE": None})


if __name__ == "__main__":
    unittest.main()
