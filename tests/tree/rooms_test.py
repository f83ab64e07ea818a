#!/usr/bin/python3
# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""The rooms of shim/: references point down only, and no files refer to each other in a circle."""
import glob
import os
import re
import subprocess
import tempfile
import unittest

import references

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("SOCKSEAL_BUILD", os.path.join(ROOT, "build"))


class Rooms(unittest.TestCase):
    maxDiff = None

    def graphs(self):
        """The library and the command, by their objects; both, by their includes."""
        yield references.by_symbols(references.objects(BUILD, ROOT, "cli"))
        yield references.by_symbols(references.objects(BUILD, ROOT, "libc"))
        yield references.by_includes(ROOT)

    def test_every_folder_is_a_room(self):
        folders = {name for name in os.listdir(os.path.join(ROOT, "shim")) if "." not in name}
        self.assertEqual(folders, set(references.ROOMS))

    def test_the_table_of_rooms_has_no_circle(self):
        self.assertEqual(references.circles(references.ROOMS), [])

    def test_every_object_is_looked_at(self):
        sources = [path for path in glob.glob(os.path.join(ROOT, "shim", "**", "*.c"), recursive=True)]
        self.assertEqual(len(references.objects(BUILD, ROOT)), len(sources))

    def test_rooms_refer_downwards_only(self):
        for graph in self.graphs():
            self.assertGreater(sum(map(len, graph.values())), 100)
            self.assertEqual(references.upward(graph, references.ROOMS), [])

    def test_no_files_refer_to_each_other_in_a_circle(self):
        for graph in self.graphs():
            self.assertEqual(references.circles(graph), [])

    def test_no_room_but_libc_calls_through_a_door(self):
        files = references.objects(BUILD, ROOT, "cli")
        with open(os.path.join(ROOT, "shim", "libc", "doors.list"), encoding="ascii") as file:
            doors = set(re.sub(r"#.*", "", file.read()).split())
        for name, (_, wanted) in files.items():
            if references.room_of(name) != "libc":
                self.assertEqual(wanted & doors, set(), name + " uses a door")

    def test_protocol_and_crypto_include_no_socket_header(self):
        for room in ("tls", "crypto"):
            for path in glob.glob(os.path.join(ROOT, "shim", room, "**", "*.[ch]"), recursive=True):
                with open(path, encoding="utf-8") as file:
                    self.assertNotRegex(file.read(), r"#include <(sys/socket|netinet/|arpa/|poll|sys/epoll)", path)


class Checker(unittest.TestCase):
    """A small tree in which everything is wrong that the tests above are to find, and nothing else."""

    SOURCES = {
        "crypto/one": "int two(void); int one(void); int one(void) { return two(); }",
        "crypto/deep/two": "int three(void); int two(void); int two(void) { return three(); }",
        "crypto/three": "int one(void); int three(void); int three(void) { return one(); }",
        "crypto/four": "int one(void); int four(void); int four(void) { return one(); }",
        "sys/low": "extern int kept; int low(void); int low(void) { return kept; }",
        "tls/high": "int low(void); int four(void); int kept; int high(void); int high(void) { return low() + four(); }",
        "conn/apart": "static int one(void) { return 1; } int apart(void); int apart(void) { return one(); }",
        "conn/gone": "int apart(void); int gone(void); int gone(void) { return apart(); }",
        "conn/below": "int gone(void); int below(void); int below(void) { return gone(); }",
    }
    HEADERS = {"tls/a.h": "low.h", "tls/b.h": "a.h", "tls/low.h": "b.h", "sys/x.h": "tls/a.h"}

    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.directory.cleanup)
        cls.root = cls.directory.name
        cls.build = os.path.join(cls.root, "build")
        for name, text in cls.SOURCES.items():
            source, made = (os.path.join(cls.root, *middle, name) for middle in (("shim",), ("build", "obj", "shim")))
            for path in (source, made):
                os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(source + ".c", "w", encoding="ascii") as file:
                file.write(text)
            subprocess.run(["gcc", "-c", "-o", made + ".o", source + ".c"], check=True, timeout=60)
        os.unlink(os.path.join(cls.root, "shim", "conn", "gone.c"))  # its object is left
        for name, included in cls.HEADERS.items():
            with open(os.path.join(cls.root, "shim", name), "w", encoding="ascii") as file:
                file.write('#include "%s"\n' % included)

    def test_objects_without_a_source_do_not_count(self):
        names = set(references.objects(self.build, self.root))
        self.assertEqual(names, set(self.SOURCES) - {"conn/gone"})
        self.assertNotIn("sys/low", references.objects(self.build, self.root, "sys", "crypto"))

    def test_a_circle_of_three_files_is_found_and_who_looks_into_it_is_no_part(self):
        graph = references.by_symbols(references.objects(self.build, self.root, "sys"))
        self.assertEqual(references.circles(graph), [["crypto/deep/two", "crypto/one", "crypto/three"]])

    def test_a_circle_between_rooms_is_found_though_it_is_by_a_variable(self):
        graph = references.by_symbols(references.objects(self.build, self.root, "crypto"))
        self.assertEqual(references.circles(graph), [["sys/low", "tls/high"]])

    def test_an_upward_reference_is_found_with_its_symbol(self):
        graph = references.by_symbols(references.objects(self.build, self.root))
        self.assertEqual(references.upward(graph, references.ROOMS), ["sys/low refers to tls/high (kept)"])

    def test_what_is_static_is_nobody_elses(self):
        graph = references.by_symbols(references.objects(self.build, self.root))
        self.assertEqual(dict(graph["conn/apart"]), {})

    def test_includes_are_looked_at_too(self):
        graph = references.by_includes(self.root)
        self.assertEqual(references.circles(graph), [["tls/a.h", "tls/b.h", "tls/low.h"]])
        self.assertEqual(references.upward(graph, references.ROOMS), ["sys/x.h refers to tls/a.h (tls/a.h)"])


if __name__ == "__main__":
    unittest.main()
