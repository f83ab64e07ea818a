# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""The table that `make test-apps` ends with: which real programs ran, in which version, and what passed."""

import ast
import os
import re
import shutil
import subprocess


def literal(tree, name):
    """The value of a module's constant, without running the module."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(getattr(target, "id", None) == name for target in node.targets):
            return ast.literal_eval(node.value)
    return {}


def version(command):
    """What a program's first line of output has of a version."""
    if shutil.which(command[0]) is None:
        return "not installed"
    try:
        result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                timeout=20, check=False, env={**os.environ, "LC_ALL": "C.UTF-8"})
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    match = re.search(r"\d+(?:\.\d+)+\w*", result.stdout.decode(errors="replace"))
    return match.group(0) if match else "?"


def tally(test):
    """(plain, sealed) as "passed/run". What both_modes noted, and for all other tests what unittest counted."""
    ended = [tuple(line.split()[1:]) for line in test.notes]
    plain = {result: ended.count(("plain", result)) for result in ("passed", "failed")}
    total = sum(plain.values())
    run = test.passed + test.failed - plain["failed"]  # what fails plain is not run sealed
    return f"{plain['passed']}/{total}" if total else "-", f"{test.passed}/{run}"


def rows(tests):
    for test in tests:
        tree = ast.parse(test.source())
        programs = literal(tree, "PROGRAMS")
        if not programs:
            continue
        said = (ast.get_docstring(tree) or "").split("\n\n")[0].replace("\n", " ")
        for name, command in programs.items():
            yield (name, version(command), *tally(test), said)
            said = "as above"


def print_table(tests):
    print("\n%-22s %-18s %8s %8s  %s" % ("program", "version", "plain", "sealed", "what was run"))
    for row in rows(tests):
        print("%-22s %-18s %8s %8s  %s" % row)
