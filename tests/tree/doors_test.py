#!/usr/bin/python3
# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""Every function of the C library that uses a descriptor is a door with a test, or named as harmless with its reason."""
import functools
import glob
import os
import re
import unittest

import libc_calls

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HARMLESS = os.path.join(ROOT, "tests", "tree", "libc-harmless.txt")
TABLE = os.path.join(ROOT, "tests", "README.md")
COMPLAINTS = 18

# A function that reaches none of these moves no bytes of a descriptor, waits for none, and neither makes, replaces nor
# hands on one; those that ask for a descriptor's attributes, or set them (fstat, fchmod, flock, getpeername), do not.
DESCRIPTOR_CALLS = set("""
    read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 recvfrom recvmsg recvmmsg sendto sendmsg
    sendmmsg sendfile splice tee vmsplice copy_file_range mmap io_setup io_submit io_uring_setup
    close close_range dup dup2 dup3 fcntl ioctl pidfd_getfd socket bind listen connect accept accept4 shutdown
    getsockopt setsockopt poll ppoll select pselect6 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 clock_nanosleep
    nanosleep pause rt_sigsuspend fork vfork clone clone3 execve execveat exit exit_group""".split()) | {libc_calls.UNKNOWN}


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def doors():
    text = re.sub(r"#.*", "", read(os.path.join(ROOT, "shim", "libc", "doors.list")))
    return set(text.split())


@functools.lru_cache(None)
def harmless():
    """Name -> title of its section, and the list of names that stand there twice."""
    names, twice = {}, []
    for block in re.sub(r"(?m)^#.*\n", "", read(HARMLESS)).strip().split("\n\n"):
        head = re.match(r"= ([^:]+): (.+(?:\n  .+)*)\n", block)
        assert head, "no '= TITLE: REASON': " + block[:60]
        for name in block[head.end():].split():
            if name in names:
                twice.append(name)
            names[name] = head.group(1)
    return names, twice


@functools.lru_cache(None)
def graph_of(library):
    return libc_calls.CallGraph(library)


def libraries_in_use():
    """libc, and those that were parts of it before 2.34 and hold functions of their own there."""
    with open("/proc/self/maps", encoding="ascii", errors="replace") as maps:
        libc = re.search(r"(/\S*/libc\.so\.6)$", maps.read(), re.MULTILINE).group(1)
    others = ("libpthread.so.0", "librt.so.1", "libutil.so.1", "libanl.so.1", "libresolv.so.2")
    paths = [os.path.join(os.path.dirname(libc), name) for name in others]
    return [libc] + [path for path in paths if os.path.exists(path)]


def rows():
    """Of the table of doors: (family, doors, [(file, case)])."""
    section = read(TABLE).split("\n## Every door and its test\n")[1].split("\n## ")[0]
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 3 and "`" in cells[1]:
            files = re.findall(r'`([^`]+)` ((?:"[^"]+"(?:, )?)+)', cells[2])
            yield cells[0], re.findall(r"`([^`]+)`", cells[1]), [
                (path, case) for path, listed in files for case in re.findall(r'"([^"]+)"', listed)]


class Library(unittest.TestCase):
    maxDiff = None

    def unreviewed(self, library):
        graph = graph_of(library)
        known = doors() | set(harmless()[0])
        for name in sorted(set(graph.functions) - known):
            found = graph.reach(name) & DESCRIPTOR_CALLS
            if found:
                yield name, sorted(found)

    def test_every_function_that_uses_a_descriptor_is_a_door_or_known_as_harmless(self):
        for library in libraries_in_use():
            found = ["%s (reaches %s)" % (name, ", ".join(calls).replace("?", "calls that cannot be told"))
                     for name, calls in self.unreviewed(library)]
            self.assertEqual(found, [], "%s exports functions that use descriptors, or may, and that nobody has "
                             "reviewed. Hook each (shim/libc/doors.list, with a test) or name it, with the reason, in %s"
                             % (os.path.realpath(library), os.path.relpath(HARMLESS, ROOT)))

    def test_the_disassembly_shows_what_is_known(self):
        """What the proofs stand on: these reach what they are there for, and those nothing of the kind."""
        graph = graph_of(libraries_in_use()[0])
        for name, call in (("read", "read"), ("sendmsg", "sendmsg"), ("close", "close"), ("fcntl", "fcntl"),
                           ("dprintf", "read"), ("perror", "dup"), ("closefrom", "close_range"), ("login_tty", "ioctl"),
                           ("epoll_pwait", "epoll_pwait"), ("rcmd", "connect")):
            self.assertIn(call, graph.reach(name), name)
        for name in ("htons", "wcstok", "getpid", "fstat64", "sigaddset", "inet_makeaddr", "strsep"):
            self.assertEqual(graph.reach(name) & DESCRIPTOR_CALLS, set(), name)


class Lists(unittest.TestCase):
    def test_no_name_stands_twice(self):
        names, twice = harmless()
        self.assertEqual(twice, [])
        self.assertEqual(sorted(set(names) & doors()), [], "doors that are called harmless")

    def test_every_door_stands_in_the_table_once(self):
        named = sorted(name for _, names, _ in rows() for name in names)
        self.assertEqual(named, sorted(doors()))

    def test_the_tests_that_the_table_names_exist(self):
        for family, _, cases in rows():
            self.assertTrue(cases, "no test for " + family)
            for path, case in cases:
                source = read(os.path.join(ROOT, "tests", "preload", path))
                self.assertRegex(source, r'\.name =\s+"%s"' % re.escape(case), "%s: %s" % (path, case))

    def test_every_complaint_has_a_test_named_after_it(self):
        sources = "".join(read(path) for pattern in ("preload/*/*_test.c", "apps/*_test.py")
                          for path in glob.glob(os.path.join(ROOT, "tests", pattern)))
        found = {int(number) for number in re.findall(r'(?:name = "|def test_)complaint_(\d\d)_', sources)}
        self.assertEqual(sorted(found), list(range(1, COMPLAINTS + 1)))


if __name__ == "__main__":
    unittest.main()
