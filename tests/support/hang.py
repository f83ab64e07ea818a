# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""What a process that does not go on hangs in: for each thread its state and system call, by name."""
import functools
import glob
import os

import libc_calls

STATES = {"R": "running", "S": "sleeping", "D": "in the kernel, not interruptible", "T": "stopped", "t": "traced",
          "Z": "ended, not waited for", "I": "idle"}


def read_proc(path):
    try:
        with open(path, "rb") as file:
            return file.read().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError as error:
        return "(%s)" % error.strerror


def status(pid):
    """The fields of /proc/PID/stat behind the name, which may hold any character; [] if it is gone."""
    _, bracket, fields = read_proc("/proc/%s/stat" % pid).rpartition(")")
    return fields.split() if bracket else []


@functools.lru_cache(None)
def call_names():
    try:
        return libc_calls.call_numbers()
    except (OSError, libc_calls.subprocess.SubprocessError):
        return {}  # without a compiler there are numbers


def call_of(task):
    """The system call that /proc/PID/task/TID is in, with its arguments."""
    number, _, arguments = read_proc(task + "/syscall").partition(" ")
    if not number.isdigit():
        return " ".join((number, arguments)).strip()  # "running", or why it cannot be read
    return "%s(%s)" % (call_names().get(int(number), "system call " + number), ", ".join(arguments.split()[:6]))


def with_descendants(pids):
    """These processes and all that descend from them, in order; those of a test whose mark is gone, too."""
    parents = {}
    for entry in os.listdir("/proc"):
        fields = status(entry) if entry.isdigit() else []
        if fields:
            parents[int(entry)] = int(fields[1])
    family = set(pids) & set(parents)
    while True:
        more = {pid for pid, parent in parents.items() if parent in family} - family
        if not more:
            return sorted(family)
        family |= more


def describe(pid):
    """One process: its command line, and a line a thread, with the kernel's stack where that may be read."""
    fields = status(pid)
    lines = ["  process %d (%s): %s" % (pid, STATES.get(fields[0], fields[0]) if fields else "gone",
                                        read_proc("/proc/%d/cmdline" % pid))]
    for task in sorted(glob.glob("/proc/%d/task/*" % pid)):
        lines.append("    thread %s: %s, wchan %s" % (os.path.basename(task), call_of(task), read_proc(task + "/wchan")))
        stack = read_proc(task + "/stack")
        lines += ["      " + frame for frame in stack.splitlines()[:12]]
    return "\n".join(lines)
