#!/usr/bin/python3
# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""What the compiler and the linker were asked for against an attacker is in the library and in the command."""
import glob
import os
import platform
import re
import subprocess
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("SOCKSEAL_BUILD", os.path.join(ROOT, "build")))
BUILT = [os.path.join(BUILD, name) for name in ("libsockseal.so", "sockseal")]
OBJECTS = sorted(path for path in glob.glob(os.path.join(BUILD, "obj", "shim", "**", "*.o"), recursive=True)
                 if os.path.exists(os.path.join(ROOT, os.path.relpath(path, os.path.join(BUILD, "obj"))[:-2] + ".c")))
X86, ARM = platform.machine() == "x86_64", platform.machine() == "aarch64"


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


def segments(path, kind):
    """The flags (R, W, E) of the segments of one kind."""
    lines = re.findall(rf"^\s+{kind}\s+(?:0x\w+\s+){{5}}(.*?)\s+0x\w+$", output("readelf", "-lW", path), re.MULTILINE)
    return [line.replace(" ", "") for line in lines]


def wanted(*paths):
    return set(re.findall(r"\bU (\w+)", output("nm", *paths)))


class Linked(unittest.TestCase):
    def test_the_stack_is_not_executable(self):
        for path in BUILT:
            self.assertEqual(segments(path, "GNU_STACK"), ["RW"], path)

    def test_no_memory_is_writable_and_executable(self):
        for path in BUILT:
            loaded = segments(path, "LOAD")
            self.assertGreaterEqual(len(loaded), 2)
            self.assertFalse([flags for flags in loaded if "W" in flags and "E" in flags], path)

    def test_what_the_linker_has_bound_is_read_only(self):
        for path in BUILT:
            self.assertEqual(segments(path, "GNU_RELRO"), ["R"], path)
            dynamic = output("readelf", "-dW", path)
            self.assertRegex(dynamic, r"\(FLAGS\).*BIND_NOW", path)
            self.assertNotRegex(dynamic, "TEXTREL", path)
            self.assertNotRegex(output("readelf", "-SW", path), r"\s\.got\.plt\s.*\sWA\s", f"{path}: bound lazily")


class Compiled(unittest.TestCase):
    def test_frames_whose_addresses_are_given_away_have_canaries(self):
        """-fstack-protector-strong; without `strong`, only frames with arrays of char have them."""
        for name in ("conn/lock", "record/rx_queue", "io/progress", "libc/wait"):
            self.assertIn("__stack_chk_fail", wanted(os.path.join(BUILD, "obj", "shim", name + ".o")), name)

    def test_functions_of_libc_are_told_sizes(self):
        """_FORTIFY_SOURCE=3; the plain functions remain where the compiler has checked by itself."""
        self.assertLessEqual({"__memcpy_chk", "__snprintf_chk", "__vsnprintf_chk"},
                             wanted(*[path for path in OBJECTS if "/shim/cli/" not in path]))

    @unittest.skipUnless(X86 or ARM, "other processors have no such checks")
    def test_indirect_branches_have_marked_targets(self):
        mark = "IBT, SHSTK" if X86 else "BTI, PAC"
        self.assertGreater(len(OBJECTS), 100)
        notes = re.split(r"^File: ", output("readelf", "-nW", *OBJECTS), flags=re.MULTILINE)[1:]
        self.assertEqual(len(notes), len(OBJECTS))
        self.assertEqual([note.splitlines()[0] for note in notes if mark not in note], [])

    @unittest.skipUnless(X86 or ARM, "other processors have no such checks")
    def test_every_door_is_such_a_target(self):
        """An object's note says it of its assembler code too, which the compiler does not look at."""
        library = BUILT[0]
        code = output("objdump", "-d", "--no-show-raw-insn", library)
        first = dict(re.findall(r"^\w+ <(\w+)>:\n\s*\w+:\s+(.*)$", code, re.MULTILINE))
        names = re.findall(r" [TW] (\w+)", output("nm", "-D", "--defined-only", library))
        self.assertGreater(len(names), 150)
        marked = r"endbr64" if X86 else r"bti\b|hint\s+#34|paciasp"
        self.assertEqual([name for name in names if name in first and not re.match(marked, first[name])], [])


class Sanitized(unittest.TestCase):
    def test_dlsym_needs_no_runtime(self):
        """A sanitizer's runtime that is preloaded calls dlsym before it can serve code that is compiled for it."""
        paths = [os.path.join(ROOT, "build", "asan", "obj", "shim", name) for name in ("sys/lookup.o", "libc/symbols.o")]
        for path in filter(os.path.exists, paths):
            self.assertEqual([name for name in wanted(path) if re.match("__(asan|ubsan)", name)], [], path)


class Running(unittest.TestCase):
    def test_the_table_of_libc_functions_is_read_only(self):
        library = BUILT[0]
        offset = int(re.search(r"^(\w+) \w real_table$", output("nm", library), re.MULTILINE).group(1), 16)
        env = {**os.environ, "LD_PRELOAD": library, "SOCKSEAL_PORTS": "1", "SOCKSEAL_KEY_FILE": "/nonexistent",
               "SOCKSEAL_LOG": "quiet"}
        maps = subprocess.run(["cat", "/proc/self/maps"], env=env, capture_output=True, text=True, check=True,
                              timeout=60).stdout.splitlines()
        base = int(next(line for line in maps if line.endswith(library)).split("-")[0], 16)
        for line in maps:
            first, last = (int(address, 16) for address in line.split()[0].split("-"))
            if first <= base + offset < last:
                self.assertEqual(line.split()[1], "r--p", line)
                return
        self.fail("the table is not mapped")


if __name__ == "__main__":
    unittest.main()
