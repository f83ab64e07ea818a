#!/usr/bin/python3
# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""What holds for the tree and the build as a whole: symbols, style, installation. Rooms: rooms_test.py."""
import ast
import glob
import os
import re
import shutil
import subprocess
import tempfile
import unittest

import app_table

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("SOCKSEAL_BUILD", os.path.join(ROOT, "build"))
CLANG_FORMAT = "14"
SOURCE_DIRECTORIES = ("shim", "include", "tests", "examples", "packaging", "docs")


def output(*command):
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout


def doors():
    """The symbols of shim/libc/doors.list: one a line, # comments."""
    with open(os.path.join(ROOT, "shim", "libc", "doors.list"), encoding="ascii") as file:
        lines = [re.sub(r"#.*", "", line).strip() for line in file]
    return sorted(line for line in lines if line)


def files(*endings):
    found = []
    for directory in SOURCE_DIRECTORIES:
        for path, directories, names in os.walk(os.path.join(ROOT, directory)):
            directories[:] = [name for name in directories if name != "__pycache__"]
            found += [os.path.join(path, name) for name in names if name.endswith(endings)]
    return sorted(found)


class Symbols(unittest.TestCase):
    def test_the_library_exports_the_doors_and_nothing_else(self):
        lines = output("nm", "-D", "--defined-only", os.path.join(BUILD, "libsockseal.so")).splitlines()
        exported = sorted(re.sub(r"@.*", "", line.split()[-1]) for line in lines)
        self.assertEqual(exported, doors())

    def test_the_list_of_doors_is_sorted_into_no_duplicates(self):
        self.assertEqual(len(doors()), len(set(doors())))

    def test_the_library_needs_only_the_c_library(self):
        needed = re.findall(r"\(NEEDED\).*\[(.*)\]", output("readelf", "-d", os.path.join(BUILD, "libsockseal.so")))
        allowed = {"libc", "ld-linux-x86-64", "ld-linux-aarch64"}
        with open(os.path.join(ROOT, "build", "deps", "sodium", "libs"), encoding="utf-8") as file:
            if file.read().strip() == "-lsodium":  # the fallback that build-libsodium.sh warns about
                allowed.add("libsodium")
        self.assertLessEqual({name.split(".so")[0] for name in needed}, allowed)

    def test_what_is_built_loads_with_glibc_2_28(self):
        for name in ("libsockseal.so", "sockseal"):
            versions = re.findall(r"GLIBC_(\d+)\.(\d+)", output("objdump", "-T", os.path.join(BUILD, name)))
            newest = max((int(major), int(minor)) for major, minor in versions)
            self.assertLessEqual(newest, (2, 28), f"{name}: objdump -T shows what an older glibc does not have")

    def test_what_is_known_of_glibc_names_files_that_exist(self):
        with open(os.path.join(ROOT, "shim", "libc", "GLIBC.md"), encoding="utf-8") as file:
            named = set(re.findall(r"`((?:\w+/)+\w+\.\w+)`", file.read()))
        self.assertGreater(len(named), 10)
        for name in named:
            places = [os.path.join(ROOT, base, name) for base in ("", "shim", "tests")]
            self.assertTrue(any(os.path.isfile(place) for place in places), name)

    @unittest.skipUnless(glob.glob("/usr/include/**/sys/sdt.h", recursive=True), "there is no sys/sdt.h")
    def test_the_probes_are_in_the_library(self):
        notes = subprocess.run(["readelf", "-n", os.path.join(BUILD, "libsockseal.so")], capture_output=True, text=True, check=True).stdout
        found = set(re.findall(r"Provider: sockseal\n\s+Name: (\w+)\n", notes))
        self.assertEqual(found, {"handshake", "seal", "open", "failure", "close"})
        with open(os.path.join(ROOT, "shim", "cli", "sockseal.7"), encoding="utf-8") as file:
            page = file.read()
        for name in found:
            self.assertIn("\\fB%s\\fR(" % name, page)

    def test_thread_local_storage_is_small_and_static(self):
        segments = output("readelf", "-lW", os.path.join(BUILD, "libsockseal.so"))
        tls = re.search(r"^\s+TLS\s+\S+\s+\S+\s+\S+\s+\S+\s+0x([0-9a-f]+)", segments, re.MULTILINE)
        if tls:
            self.assertLessEqual(int(tls.group(1), 16), 256)


class Style(unittest.TestCase):
    def test_clang_format(self):
        """Of the version that the tree is formatted with: another one has other opinions."""
        version = re.search(r"version (\d+)", output("clang-format", "--version")).group(1)
        if version != CLANG_FORMAT:
            self.skipTest(f"not checked: clang-format {version} is here, and the tree is formatted by {CLANG_FORMAT}")
        result = subprocess.run(["clang-format", "--dry-run", "-Werror"] + files(".c", ".h"), cwd=ROOT,
                                capture_output=True, text=True, check=False, timeout=100)
        self.assertEqual(result.returncode, 0, result.stderr[:4000])

    def test_every_source_has_the_licence_header(self):
        for path in files(".c", ".h", ".py", ".sh"):
            with open(path, encoding="utf-8") as file:
                head = file.read(400)
            self.assertIn("SPDX-License-Identifier: ISC", head, path)
            self.assertIn("Copyright (c) 2026 the sockseal authors", head, path)

    def test_no_tabs_and_no_blanks_at_line_ends(self):
        for path in files(".c", ".h", ".py", ".sh", ".md"):
            with open(path, encoding="utf-8") as file:
                for number, line in enumerate(file, 1):
                    self.assertNotRegex(line, r"\t|[ \t]+$", "%s:%d" % (path, number))


class Installation(unittest.TestCase):
    def make(self, *arguments):
        environment = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MAKELEVEL")}
        build = os.path.relpath(BUILD, ROOT)
        return subprocess.run(["make", "-s", "BUILD=" + build, "WERROR=1", *arguments], cwd=ROOT, env=environment,
                              check=True, capture_output=True, text=True, timeout=100)

    def test_install_and_uninstall(self):
        with tempfile.TemporaryDirectory() as stage:
            self.make("install", "DESTDIR=" + stage, "PREFIX=/opt/seal")
            prefix = os.path.join(stage, "opt", "seal")
            for path in ("bin/sockseal", "lib/libsockseal.so", "include/sockseal.h", "share/man/man1/sockseal.1",
                         "share/man/man5/sockseal.keys.5", "share/man/man7/sockseal.7",
                         "share/bash-completion/completions/sockseal", "share/zsh/site-functions/_sockseal"):
                self.assertTrue(os.path.isfile(os.path.join(prefix, path)), path)
            keys = os.path.join(stage, "keys")
            subprocess.run([prefix + "/bin/sockseal", "keygen", "-o", keys], stdout=subprocess.DEVNULL, check=True,
                           timeout=20)
            result = subprocess.run([prefix + "/bin/sockseal", "-p", "9", "-k", keys, "env"], capture_output=True, text=True,
                                    check=True, timeout=20)
            self.assertIn("LD_PRELOAD=%s/lib/libsockseal.so\n" % os.path.realpath(prefix), result.stdout)
            os.unlink(keys)
            self.make("uninstall", "DESTDIR=" + stage, "PREFIX=/opt/seal")
            left = [name for _, _, names in os.walk(stage) for name in names]
            self.assertEqual(left, [])

    def test_a_second_make_has_nothing_to_do(self):
        self.assertEqual(self.make("all").stdout, "")

    def test_a_compiler_that_make_installs_is_known_to_it(self):
        with tempfile.TemporaryDirectory() as tree:
            shutil.copy(os.path.join(ROOT, "Makefile"), tree)
            os.symlink(os.path.join(ROOT, "shim"), os.path.join(tree, "shim"))
            support = os.path.join(tree, "tests", "support")
            os.makedirs(support)
            for name in ("programs.mk", "instruments.mk"):
                shutil.copy(os.path.join(ROOT, "tests", name), os.path.join(tree, "tests"))
            compiler, install = os.path.join(tree, "cc"), os.path.join(support, "install-packages")
            with open(install, "w", encoding="ascii") as file:
                file.write(f'#!/bin/sh\n[ "$*" = compiler ] && ln -sf "$(command -v gcc)" "{compiler}"\n')
            os.chmod(install, 0o755)
            environment = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MAKELEVEL")}
            commands = []
            for _ in range(2):
                told = subprocess.run(["make", "-n", "V=1", "CC=" + compiler], cwd=tree, env=environment, check=True,
                                      capture_output=True, text=True, timeout=60)
                commands.append(re.findall(r"^.* -c -o .*$", told.stdout, re.MULTILINE))
                subprocess.run([install, "compiler"], check=True, stderr=subprocess.DEVNULL, timeout=20)
            self.assertEqual(commands[0][:1], commands[1][:1])  # of all, a difference would take minutes to print
            self.assertTrue(commands[0] and commands[0] == commands[1])

    def test_the_public_header_stands_alone(self):
        subprocess.run(["gcc", "-std=c99", "-pedantic", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-x", "c",
                        "include/sockseal.h"], cwd=ROOT, check=True, timeout=60)

    def test_manual_pages_are_well_formed(self):
        for page in sorted(glob.glob(os.path.join(ROOT, "shim", "cli", "*.[1-8]"))):
            with open(os.path.join(ROOT, page), encoding="utf-8") as file:
                text = file.read()
            self.assertIn(".TH ", text)
            for section in ("NAME", "DESCRIPTION", "SEE ALSO"):
                self.assertIn("\n.SH %s\n" % section, text, page)
            if shutil.which("groff"):
                result = subprocess.run(["groff", "-man", "-ww", "-z", page], capture_output=True, text=True, check=True,
                                        timeout=60)
                self.assertEqual(result.stderr, "", page)


class Promises(unittest.TestCase):
    def test_the_tests_that_the_security_page_names_exist(self):
        sources = ""
        for path in files(".py", ".c"):
            if "/tests/" in path:
                with open(path, encoding="utf-8") as file:
                    sources += file.read()
        with open(os.path.join(ROOT, ".github", "SECURITY.md"), encoding="utf-8") as file:
            text = file.read()
        for name in re.findall(r"`(test_\w+|\w+Test)`", text):
            self.assertRegex(sources, r"(def|void|class) %s\b" % name)
        for path in re.findall(r"`(tests/[\w/.]+)`", text):
            self.assertTrue(os.path.exists(os.path.join(ROOT, path)), path)


class Links(unittest.TestCase):
    def test_links_between_pages_lead_somewhere(self):
        pages = subprocess.run(["find", "README.md", "CHANGELOG.md", "docs", "packaging", "examples", "shim", "tests", ".github",
                                "-name", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout.split()
        self.assertGreater(len(pages), 20)
        for page in pages:
            with open(os.path.join(ROOT, page), encoding="utf-8") as file:
                text = file.read()
            for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text):
                self.assertTrue(os.path.exists(os.path.join(ROOT, os.path.dirname(page), target)), f"{page}: {target}")

    def test_links_within_the_top_page_lead_to_a_heading(self):
        with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
            text = file.read()
        headings = {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in re.findall(r"(?m)^#+ (.*)", text)}
        targets = re.findall(r"\]\(#([^)]*)\)", text)
        self.assertTrue(targets)
        self.assertLessEqual(set(targets), headings)


class Messages(unittest.TestCase):
    def test_what_the_troubleshooting_page_quotes_is_said(self):
        said = ""
        for path in files(".c"):
            if "/shim/" in path:
                with open(path, encoding="utf-8") as file:
                    said += re.sub(r'"\s*"', "", file.read())
        with open(os.path.join(ROOT, "docs", "troubleshooting.md"), encoding="utf-8") as file:
            quoted = re.findall(r'"([^"]+)"', file.read())
        self.assertGreater(len(quoted), 10)
        for message in quoted:
            if not message.startswith("object 'libsockseal.so'"):  # the dynamic linker's
                fixed = re.split(r" \(|…|'lisen:9': ", message)[0].strip() or message
                self.assertIn(fixed, said, message)


class Table(unittest.TestCase):
    def test_the_table_of_programs_can_be_made(self):
        """It reads the files of tests/apps without running them, at the end of a long run."""
        for path in sorted(glob.glob(os.path.join(ROOT, "tests", "apps", "*_test.py"))):
            with open(path, encoding="utf-8") as file:
                programs = app_table.literal(ast.parse(file.read()), "PROGRAMS")
            for name, command in programs.items():
                self.assertTrue(isinstance(name, str) and command and all(isinstance(w, str) for w in command), path)


if __name__ == "__main__":
    unittest.main()
