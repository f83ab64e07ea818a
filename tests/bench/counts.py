# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""Instructions and system calls of single operations, counted by callgrind and strace.

These hardly depend on the load of the machine, so they are kept in counts.json and compared by counts_test.py.
Instructions: callgrind counts what happens inside the op_* functions of tests/bench/ops.c; the difference of two runs
of different length, divided by the difference in operations, so that what happens once cancels out. System calls:
strace writes them down; of all operations in a run, the one with the fewest, in which nothing came late.
"""
import collections
import json
import platform
import re
import shutil
import subprocess

from pathlib import Path

import peers as p
from machine import short_version
from procs import BenchError

TABLE = Path(__file__).with_name("counts.json")
GROWTH = 1.10  # of instructions; a test fails above it
MARK = "getppid"  # the system call by which ops.c separates the operations
NOT_COUNTED = {"clock_nanosleep", "restart_syscall"}
MIB = 1 << 20
# what libsodium and glibc choose code by. Not AVX-512 and VAES: valgrind hides them
FEATURES = {"ssse3", "sse4_1", "aes", "pclmulqdq", "avx", "avx2", "erms", "fsrm", "neon", "asimd"}


class Operation:
    """`args` are those of tests/bench/ops: mode and size; `functions` are counted by callgrind. A few runs in `short`
    and many in `long` times; `peer`: the arguments of the program at the other end, which nothing counts."""

    def __init__(self, name, mode, size, functions, short, long, peer=None):
        self.name, self.mode, self.size, self.functions = name, mode, size, functions
        self.short, self.long, self.peer = short, long, peer


OPERATIONS = [
    Operation("64 B", "message", 64, {"send": "op_send", "receive": "op_receive"}, 50, 250),
    Operation("16 KiB", "message", 16384, {"send": "op_send", "receive": "op_receive"}, 20, 60),
    Operation("64 B, behind poll", "polled", 64, {"send": "op_send", "receive": "op_polled"}, 50, 250),
    Operation("1 MiB, send", "send", MIB, {"send": "op_send"}, 2, 6, "serve"),
    Operation("1 MiB, receive", "receive", MIB, {"receive": "op_receive"}, 2, 6, "serve"),
    Operation("connection, 64 B there and back, client", "connect", 64, {"connect": "op_connect"}, 10, 40, "serve"),
    Operation("connection, 64 B behind the answer, client", "answered", 64, {"first": "op_first"}, 10, 40, "serve"),
    Operation("connection, 64 B there and back, server", "accept", 64, {"accept": "op_accept"}, 10, 40, "connect"),
]
PEERS = (p.PLAIN, p.AEGIS, p.CHACHA)


# ---- what the counts depend on ----

def environment():
    """What instruction counts depend on besides the sources. System calls are compared whatever it is."""
    cpuinfo = Path("/proc/cpuinfo").read_text()
    found = re.search(r"^(?:flags|Features)\s*:\s*(.*)$", cpuinfo, re.MULTILINE)
    flags = set(found.group(1).split()) if found else set()
    valgrind = subprocess.run(["valgrind", "--version"], capture_output=True, text=True, check=True).stdout
    compiler = subprocess.run(["gcc", "-dumpfullversion"], capture_output=True, text=True, check=False).stdout.strip()
    return {"machine": platform.machine(), "features": sorted(flags & FEATURES),
            "libsodium": sodium_version(), "valgrind": short_version(valgrind),
            "gcc": compiler.split(".")[0],
            "libc": platform.libc_ver()[1]}


def sodium_version():
    header = p.ROOT / "build/deps/sodium/root/include/sodium/version.h"
    found = re.search(r'SODIUM_VERSION_STRING "(.*)"', header.read_text()) if header.exists() else None
    return found.group(1) if found else "the system's"


# ---- counting ----

def inclusive_costs(text):
    """Instructions inside the calls of each function, those that it called included, from a callgrind.out file."""
    names, costs, called = {}, {}, None
    for line in text.splitlines():
        match = re.match(r"c?fn=\((\d+)\)(?: (.*))?$", line)
        if match and match.group(2):
            names[match.group(1)] = re.sub(r"'\d+$", "", match.group(2))
        if line.startswith("cfn="):
            called = names[match.group(1)]
        elif line.startswith("calls="):
            continue
        elif called:
            costs[called] = costs.get(called, 0) + int(line.split()[1])
            called = None
    return costs


def callgrind():
    """The tool itself. Its launcher is a program that the library gets into, and the tool is linked statically: it would
    be fenced off the sealed ports."""
    name = f"callgrind-{ {'x86_64': 'amd64', 'aarch64': 'arm64'}[platform.machine()]}-linux"
    found = [path for folder in ("libexec", "lib") for path in Path("/usr", folder, "valgrind").glob(name)]
    if not found:
        raise BenchError(f"{name} is missing")
    return found[0]


class Counter:
    """Runs tests/bench/ops under the tools, in a Workshop."""

    def __init__(self, peers):
        self.peers, self.shop = peers, peers.shop
        self.program = peers.build / "tests/bench/ops"

    def _with_peer(self, operation, peer, tool, count):
        """Runs the operations under a tool, with the program at the other end beside it."""
        port = p.free_port()
        env = self.peers.env(peer, port)
        if peer == p.AEGIS:  # valgrind hides wide registers, and without them one lane is what two ends agree on
            env["SOCKSEAL_SUITES"] = "aegis128l"
        env["VALGRIND_LAUNCHER"] = shutil.which("valgrind")
        counted = [*tool, self.program, port, operation.mode, operation.size, count]
        if operation.peer == "connect":
            service = self.shop.start(counted, env=env)
            self.shop.wait_listening(port, service)
            self.shop.run([self.program, port, "connect", operation.size, count], env=env)
            if service.process.wait(60) != 0:
                raise BenchError(service.printed()[-300:])
            self.shop.stop(service)
            return
        service = None
        if operation.peer:
            service = self.shop.wait_listening(port, self.shop.start([self.program, port, operation.peer], env=env))
        self.shop.run(counted, env=env)
        if service:
            self.shop.stop(service)

    def _instructions(self, operation, peer, count):
        out = self.shop.directory / "callgrind.out"
        self._with_peer(operation, peer, [callgrind(), "--tool=callgrind", "--quiet", f"--callgrind-out-file={out}"], count)
        costs = inclusive_costs(out.read_text())
        return {name: costs[function] for name, function in operation.functions.items()}

    def _system_calls(self, operation, peer, count):
        out = self.shop.directory / "strace.out"
        env = ["-E", f"LD_PRELOAD={self.peers.library}"] if peer in p.SEALED else []
        # the tool itself is not to be sealed
        tool = ["env", "-u", "LD_PRELOAD", "strace", "-o", out, *env]
        self._with_peer(operation, peer, tool, count)
        return fewest_calls(out.read_text())

    def count(self, operation, peer):
        """{"instructions": {part: n}, "calls": {name: n}} of one operation."""
        short, long = operation.short, operation.long
        few, many = (self._instructions(operation, peer, number) for number in (short, long))
        instructions = {name: round((many[name] - few[name]) / (long - short)) for name in many}
        return {"instructions": instructions, "calls": self._system_calls(operation, peer, long)}


def fewest_calls(log):
    """The system calls, name to number, of the operation with the fewest in a log of strace's."""
    names = re.findall(r"^(\w+)\(", log, re.MULTILINE)
    marks = [place for place, name in enumerate(names) if name == MARK]
    operations = [[name for name in names[a + 1:b] if name not in NOT_COUNTED] for a, b in zip(marks, marks[1:])]
    return dict(sorted(collections.Counter(min(operations, key=len)).items()))


# ---- the table ----

def read_table():
    return json.loads(TABLE.read_text())


def write_table(counts):
    table = {"made_by": "make bench BENCH=counts UPDATE=1", "environment": environment(), "counts": counts}
    TABLE.write_text(json.dumps(table, indent=2) + "\n")


def comparable(table):
    """Whether instructions can be compared with the table's here; None, or what differs."""
    here, there = environment(), table["environment"]
    differing = [name for name in there if there[name] != here.get(name)]
    return ", ".join(f"{name} is {here.get(name)}, not {there[name]}" for name in differing) or None


def grown(known, seen, instructions=True):
    """What has grown by more than a tenth, as lines of text."""
    lines = []
    for name, number in known["instructions"].items() if instructions else ():
        if seen["instructions"][name] > number * GROWTH:
            lines.append(f"{name}: {seen['instructions'][name]} instructions, {number} in the table")
    before, now = sum(known["calls"].values()), sum(seen["calls"].values())
    if now > before * GROWTH:
        lines.append(f"{now} system calls ({seen['calls']}), {before} in the table ({known['calls']})")
    return lines
