# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""Where the pre-shared key, the traffic secrets and keys of a connection, and what was decrypted and not read yet, can be
found: in the process that holds it, and neither in its core dump nor in processes that it starts. The key log tells
the secrets."""

import glob
import os
import re
import sys
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import sealed
import tls13

from sealed import sealed_only

# Sends what is typed, when something has come.
PEER = """
import socket, sys
listener = socket.create_server((sys.argv[1], int(sys.argv[2])))
connection, _ = listener.accept()
connection.recv(1)
connection.sendall(sys.stdin.buffer.readline() * 20)
connection.recv(1)
"""

# Has one byte of what came decrypted, and reads nothing; then does what is typed, and says whose process is to be looked at.
HOLDER = """
import os, resource, signal, socket, subprocess, sys
connection = socket.create_connection((sys.argv[1], int(sys.argv[2])))
connection.send(b"x")
connection.recv(1, socket.MSG_PEEK)
print("process", os.getpid(), flush=True)
for line in sys.stdin:
    if line == "dump\\n":
        os.chdir(sys.argv[3])
        resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        os.abort()
    elif line == "fork\\n":
        child = os.fork()
        if child == 0:
            connection.close()
            print("process", os.getpid(), flush=True)
            signal.pause()
    elif line == "close\\n":
        connection.close()
        print("process", os.getpid(), flush=True)
    else:
        how = {"spawn\\n": os.posix_spawn, "vfork\\n": lambda *a: subprocess.Popen(a[1], close_fds=False).pid}[line]
        print("process", how("/bin/sleep", ["/bin/sleep", "60"], os.environ), flush=True)
"""


def holds(data, wanted):
    return {name for name, value in wanted.items() if value in data}


def memory_holds(pid, wanted):
    """The names of what stands in the writable memory of a process."""
    found = set()
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            first, last, rights = re.match(r"(\w+)-(\w+) (\S+)", line).groups()
            if rights.startswith("rw"):
                memory.seek(int(first, 16))
                found |= holds(memory.read(int(last, 16) - int(first, 16)), wanted)
    return found


def secrets_of(keylog):
    """{name: bytes} of the secrets that a connection works with, and what RFC 8446, 7.3 derives from them."""
    wanted = {}
    for label, secret in re.findall(r"^(\w+_TRAFFIC_SECRET_0) \w+ (\w+)$", keylog, re.MULTILINE):
        wanted[label] = bytes.fromhex(secret)
        for length in (16, 32):
            wanted[f"{label} key {length}"] = tls13.expand_label(bytes.fromhex(secret), b"key", b"", length)
    return wanted


@sealed_only
class Secrets(sealed.TestCase):
    """The connection's secrets, of a process that holds it, and what it has decrypted."""

    def setUp(self):
        super().setUp()
        address, port, keylog = sealed.loopback(), self.port(), self.directory / "keylog"
        peer = self.run_program(sys.executable, "-c", PEER, address, str(port))
        self.wait_listening(port, peer)
        text = os.urandom(24).hex().encode()
        self.seen = 0
        self.holder = self.run_program(sys.executable, "-c", HOLDER, address, str(port), str(self.directory),
                                       SOCKSEAL_KEYLOG_FILE=keylog)
        peer.type(text + b"\n")
        self.pid = self.told()
        self.wanted = {"text": text, "key": bytes.fromhex(self.key), "key's text": self.key.encode(),
                       **secrets_of(keylog.read_text())}
        self.held = memory_holds(self.pid, self.wanted)
        self.assertLessEqual({"text", "key", "CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0"}, self.held)
        self.assertTrue([name for name in self.held if "TRAFFIC_SECRET_0 key" in name], self.held)

    def told(self):
        """The next process that the holder names."""
        def named():
            return re.findall(rb"process (\d+)\n", bytes(self.holder.out.data))
        self.assertTrue(self.holder.out.wait(lambda _: len(named()) > self.seen, sealed.DEADLINE), self.holder.report())
        self.seen += 1
        return int(named()[self.seen - 1])

    def of_the_connection(self):
        return {name: value for name, value in self.wanted.items() if not name.startswith("key")}

    def look(self, what, wanted):
        self.holder.type(what + b"\n")
        self.assertEqual(memory_holds(self.told(), wanted), set())

    def test_a_core_dump(self):
        with open("/proc/sys/kernel/core_pattern", encoding="ascii") as pattern:
            if pattern.read().startswith(("|", "/")):
                self.skipTest("core dumps do not go to the directory of the process")
        self.holder.type(b"dump\n")
        self.holder.status()
        cores = glob.glob(str(self.directory / "core*"))
        self.assertEqual(len(cores), 1)
        data = Path(cores[0]).read_bytes()
        self.assertIn(b"connection.recv(1, socket.MSG_PEEK)", data)  # it is one, of this program
        self.assertEqual(holds(data, self.wanted), set())

    def test_a_forked_child_that_has_closed_it(self):
        self.look(b"fork", self.of_the_connection())

    def test_a_process_that_was_spawned(self):
        self.look(b"spawn", self.of_the_connection())

    def test_a_process_after_vfork(self):
        self.look(b"vfork", self.of_the_connection())

    def test_after_close(self):
        self.look(b"close", self.of_the_connection())


if __name__ == "__main__":
    unittest.main()
