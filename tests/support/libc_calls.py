# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""Which system calls a function of a shared library can reach, by its disassembly (x86-64 and aarch64).

A graph of functions, whose bounds are those of the unwind information (.eh_frame), since a stripped library names only
what it exports. An edge is a direct call or jump to another function, or the taking of its address. What cannot be seen
counts as everything: an indirect call, and a system call whose number is not a constant next to it. From glibc 2.41 on,
system calls that can be cancelled go through one function, whose last argument, on the stack, is the number.
"""
import bisect
import collections
import re
import subprocess

# A process that gets there ends, or allocates memory: neither is what its caller is asked about.
CUT = {"__stack_chk_fail", "__chk_fail", "__fortify_fail", "__libc_fatal", "abort", "__assert_fail", "__assert",
       "__assert_perror_fail", "malloc", "calloc", "realloc", "free", "memalign", "aligned_alloc", "posix_memalign",
       "pvalloc", "valloc", "reallocarray", "exit"}
INSTRUCTION = re.compile(r"^\s+([0-9a-f]+):\t(\S+)\s*(.*?)\s*$")
TARGET = re.compile(r"(?:^|[\s,])([0-9a-f]+) <([^>]*)>$")
# x86-64 puts the number of a system call into eax, aarch64 into w8 or x8.
NUMBER = re.compile(r"^(?:\$0x([0-9a-f]+),%[er]ax|[wx]8, #0x([0-9a-f]+)\b.*)$")
PUSHED = re.compile(r"^\$0x([0-9a-f]+)$")
FROM_STACK = re.compile(r"^0x[0-9a-f]+\(%rsp\)(?:,%[er]ax)?$")
UNKNOWN = "?"


def output(*command, stdin=None):
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=True, timeout=60).stdout


def exported(library):
    """Name -> (address, type of nm) of each function that programs can be linked with."""
    functions = {}
    for line in output("nm", "-D", "--defined-only", library).splitlines():
        address, kind, name = line.split()
        if kind in "TWi" and "GLIBC_PRIVATE" not in name:
            functions[name.split("@")[0]] = (int(address, 16), kind)
    return functions


def call_numbers():
    """Number -> name of this machine's system calls."""
    text = output("gcc", "-E", "-dM", "-", stdin="#include <asm/unistd.h>\n")
    return {int(number): name for name, number in re.findall(r"#define __NR(?:3264)?_(\w+) (\d+)", text)}


class CallGraph:
    def __init__(self, library):
        self.functions = exported(library)
        self.numbers = call_numbers()
        self.edges = collections.defaultdict(set)
        self.calls = collections.defaultdict(set)  # function -> names of system calls made right there
        self.pushed = collections.defaultdict(set)  # (function, called function) -> numbers on the stack
        self.carriers = set()  # functions whose system call's number is an argument on the stack
        self.leads_back = collections.defaultdict(set)  # function -> where it jumps to; itself, if it returns
        symbols = [line.split() for line in output("nm", "-D", "--defined-only", library).splitlines()]
        self.cut = {int(address, 16) for address, _, name in symbols if name.split("@")[0] in CUT}
        frames = output("objdump", "--dwarf=frames", library)
        self.starts = sorted({int(start, 16) for start in re.findall(r"FDE cie=\S+ pc=([0-9a-f]+)", frames)} |
                             {int(address, 16) for address, kind, _ in symbols if kind in "TWi"})
        self.known = set(self.starts)
        self.read(output("objdump", "-d", "--no-show-raw-insn", library))
        self.cut_what_aborts()
        self.resolve_carriers()

    def cut_what_aborts(self):
        """Functions within the library that end in abort(): __assert_fail's inner name, say."""
        aborting = {self.functions[name][0] for name in ("abort", "__libc_fatal") if name in self.functions} & self.cut
        while more := {function for function in self.edges
                       if self.edges[function] & aborting and function not in aborting
                       and self.leads_back[function] <= aborting}:
            aborting |= more
        self.cut |= aborting

    def resolve_carriers(self):
        """A call of a carrier is the system call whose number it passes."""
        while more := {function for (function, to), numbers in self.pushed.items()
                       if to in self.carriers and None in numbers and function not in self.carriers}:
            self.carriers |= more
        for (function, to), numbers in self.pushed.items():
            if to in self.carriers and function not in self.carriers:
                self.edges[function].discard(to)
                self.calls[function] |= {self.numbers.get(number, UNKNOWN) for number in numbers}

    def function_at(self, address):
        index = bisect.bisect_right(self.starts, address) - 1
        return self.starts[index] if index >= 0 else None

    def read(self, disassembly):
        function, number, pushed = None, UNKNOWN, UNKNOWN
        for line in disassembly.splitlines():
            match = INSTRUCTION.match(line)
            if not match:
                continue
            address, operation, operands = int(match.group(1), 16), match.group(2), match.group(3)
            if operation in ("notrack", "bnd", "lock", "rep"):
                operation, _, operands = operands.partition(" ")
                operands = operands.strip()
            at = self.function_at(address)
            if at != function:
                function, number, pushed = at, UNKNOWN, UNKNOWN
            constant = NUMBER.match(operands) if operation.startswith("mov") else None
            if constant:
                value = int(constant.group(1) or constant.group(2), 16)
                number = self.numbers.get(value, UNKNOWN)
            elif operation == "xor" and operands == "%eax,%eax":
                number = self.numbers[0]
            elif operation.startswith("mov") and FROM_STACK.match(operands):
                number = None
            elif operation == "push":
                constant = PUSHED.match(operands)
                pushed = int(constant.group(1), 16) if constant else None if FROM_STACK.match(operands) else pushed
            elif operation in ("syscall", "svc"):
                self.calls[function].add(number or UNKNOWN)
                if number is None:
                    self.carriers.add(function)
            else:
                target = TARGET.search(operands)
                if operation.startswith("call"):
                    if target:
                        self.pushed[function, self.function_at(int(target.group(1), 16))].add(pushed)
                    pushed = UNKNOWN
                number = self.follow(function, operation, operands, number)

    def follow(self, function, operation, operands, number):
        """Notes where else an instruction leads; gives the number that is still known after it."""
        target = TARGET.search(operands)
        jumps = operation.startswith(("call", "j", "b.", "cb", "tb")) or operation in ("b", "bl", "blr", "br")
        to = self.function_at(int(target.group(1), 16)) if jumps and target else None
        if operation == "ret" or (jumps and not operation.startswith(("call", "bl")) and to != function):
            self.leads_back[function].add(to or function)
        if jumps and target:
            if to != function and "@plt" not in target.group(2):  # those are to malloc and its kin, and to strings
                self.edges[function].add(to)
        elif operation.startswith("call") or operation == "blr":
            self.calls[function].add(UNKNOWN)
        elif operation in ("lea", "adr") or operation == "add":
            taken = re.search(r"([0-9a-f]+) <", operands)
            if taken and int(taken.group(1), 16) in self.known:
                self.edges[function].add(int(taken.group(1), 16))
        ends = operation.startswith("call") or operation in ("jmp", "ret", "b", "bl", "blr", "br")
        return UNKNOWN if ends else number

    def reach(self, name):
        """The names of the system calls that the function can make; UNKNOWN among them: others too."""
        address, kind = self.functions[name]
        if kind == "i":  # chosen when the library is loaded
            return {UNKNOWN}
        seen, todo, found = {address}, [address], set()
        while todo:
            function = todo.pop()
            found |= self.calls[function]
            for to in self.edges[function] - seen - self.cut:
                seen.add(to)
                todo.append(to)
        return found
