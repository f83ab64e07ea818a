#!/usr/bin/python3
# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
# packages: strace
"""What a fork and a new program cost in a process with many sealed connections, in system calls for each of these.

Counted by strace, so the same on every machine. Plain TCP needs none. A BGSAVE (redis) forks, a CGI program is a fork
and an exec, and popen(3) is posix_spawn(3).
"""
import os
import re
import subprocess
import sys
import unittest

from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import sealed  # noqa: E402  (the path first)

# Arguments: the number of connections, and what to do between two calls of getppid(2).
PROGRAM = """
import os, socket, subprocess, sys
address, count, what = sys.argv[1], int(sys.argv[2]), sys.argv[3]
listener = socket.create_server((address, 0), backlog=8)
kept = []
for _ in range(count):
    one = socket.create_connection(listener.getsockname(), source_address=(address, 0))
    other = listener.accept()[0]
    one.sendall(b"x"), other.recv(1), other.sendall(b"y"), one.recv(1)
    for end in (one, other):
        if what == "inherited":
            end.set_inheritable(True)
        kept.append(end)
def fork(run):
    child = os.fork()
    if child == 0:
        run()
    assert os.waitpid(child, 0)[1] == 0
ways = {
    "fork": lambda: fork(lambda: os._exit(0)),
    "fork and exec": lambda: fork(lambda: os.execv("/bin/true", ["true"])),
    "vfork and exec": lambda: subprocess.run(["/bin/true"], close_fds=False, cwd="/", check=True),
    "posix_spawn": lambda: os.waitpid(os.posix_spawn("/bin/true", ["true"], os.environ), 0),
    "inherited": lambda: fork(lambda: os.execv("/bin/true", ["true"])),
}
ways[what]()
os.getppid()
ways[what]()
os.getppid()
os._exit(0)
"""

FEW, MANY = 10, 30


class Forks(sealed.TestCase):
    def calls(self, count, what):
        """System calls of all processes between the two marks."""
        log = Path(self.directory) / f"strace-{count}"
        address = "127.77.0.1"
        env = self.seal_env(Path(self.directory) / "log", SOCKSEAL_PORTS="127.77.0.0/16:1-65535",
                            SOCKSEAL_LOG="warn")  # a line for each connection is not what is counted
        words = [f"{name}={value}" for name, value in env.items()]
        subprocess.run(["strace", "-f", "-qq", "-o", log, "env", *words, sys.executable, "-c", PROGRAM, address, str(count), what],
                       env=self.plain_env(), check=True, timeout=60)
        between = log.read_text(errors="replace").split("getppid(")[1]
        return len(re.findall(r"^\d+ +\w+\(", between, re.MULTILINE))

    def compare(self, what, limit):
        descriptors = 2 * (MANY - FEW)
        each = (self.calls(MANY, what) - self.calls(FEW, what)) / descriptors
        self.assertLessEqual(each, limit, f"{what}: {each} system calls for each sealed descriptor")

    def test_fork(self):
        self.compare("fork", 1.05)

    def test_fork_and_exec(self):
        self.compare("fork and exec", 1.05)

    def test_vfork_and_exec(self):
        """A vfork child looks at each descriptor of the process once, the library's own too."""
        self.compare("vfork and exec", 1.6)

    def test_posix_spawn(self):
        self.compare("posix_spawn", 0.05)

    def test_connections_that_the_next_program_gets(self):
        """Each one is found by its socket there, its close-on-exec flag is changed here and there, and its memory comes
        along, which is a descriptor and a mapping."""
        self.compare("inherited", 14)


if __name__ == "__main__":
    unittest.main()
