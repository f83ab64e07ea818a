# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""OpenSSH on a sealed port: a server that closes descriptors, re-executes itself, drops privileges and confines a
child to a few system calls; commands, copies and forwarded connections through it.

ssh inside the seal is encrypted twice. What it shows is the processes."""
# packages: openssh-server openssh-client

import hashlib
import os
import socket
import subprocess
import sys
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import sealed
import wire

from sealed import both_modes

PROGRAMS = {"sshd": ["ssh", "-V"]}
SSHD = "/usr/sbin/sshd"
MIB = 1 << 20
SIZE = 64 * MIB if sealed.FULL else 3 * MIB

CONFIG = """
Port {port}
ListenAddress {address}
HostKey {directory}/host_key
AuthorizedKeysFile {directory}/authorized_keys
StrictModes no
PidFile none
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
Subsystem sftp /usr/lib/openssh/sftp-server
LogLevel VERBOSE
"""


class Sshd(sealed.TestCase):
    def setUp(self):
        for program in ("ssh", "scp", "sftp", "ssh-keygen", SSHD):
            sealed.need(program)
        if os.geteuid() != 0:
            sealed.missing("root, for a sshd that changes users")
        if any(line.startswith("root:!") for line in Path("/etc/shadow").read_text().splitlines()):
            sealed.missing("an account of root that is not locked")
        super().setUp()
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)  # where sshd's child is confined to
        self.address = sealed.loopback()
        for name in ("host_key", "user_key", "other_key"):
            self.make_key(name)
        (self.directory / "user_key.pub").rename(self.directory / "authorized_keys")

    def make_key(self, name):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.directory / name], check=True)

    def start(self):
        """Starts sshd; gives the port that a client connects to, with a recorder in between, and the two."""
        port = self.port()
        config = self.directory / f"sshd_config.{port}"
        config.write_text(CONFIG.format(port=port, address=self.address, directory=self.directory))
        server = self.wait_listening(port, self.run_program(SSHD, "-D", "-e", "-f", config))
        front = self.port()
        return front, wire.Wire(self, self.address, front, (self.address, port)), server

    def options(self, key="user_key"):
        return ["-F", "none", "-i", self.directory / key, "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o",
                "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o",
                "LogLevel=ERROR"]

    def ssh(self, port, *words, key="user_key", **how):
        return self.run_program("ssh", *self.options(key), "-p", port, *words[:-1], f"root@{self.address}", words[-1],
                                **how)

    @both_modes
    def test_a_command(self):
        """Its output, its error output, its status; and what it read."""
        front, recorder, _ = self.start()
        client = self.ssh(front, "read line; echo \"got $line\"; echo complaint >&2; exit 7")
        client.type("a line")
        status = client.status()
        if self.sealed:
            for direction in recorder.directions:
                self.assertNotIn(b"SSH-2.0", direction.data)
                self.assertIn(direction.data[:1], (b"\x16", b"\x14"))
        return status, bytes(client.out.data), bytes(client.err.data)

    @both_modes
    def test_large_output_and_input(self):
        front, _, _ = self.start()
        client = self.ssh(front, "sha256sum; head -c %d /dev/zero" % SIZE, digest_only=True)
        stream = sealed.HashedStream(SIZE)
        client.feed(stream).join()
        client.end_input()
        digest = hashlib.sha256(f"{stream.digest()}  -\n".encode() + bytes(SIZE)).hexdigest()
        self.assertEqual(client.status(timeout=60), 0)
        return client.out.length, client.out.digest() == digest

    @both_modes
    def test_a_terminal(self):
        front, _, _ = self.start()
        client = self.ssh(front, "-tt", "stty -echo; tty >/dev/null && echo on a terminal; read x; echo \"<$x>\"")
        client.expect("on a terminal")
        client.type("typed")
        client.expect("<typed>")
        return client.status()

    @both_modes
    def test_scp_and_sftp(self):
        front, _, _ = self.start()
        source, there, back = (self.directory / name for name in ("source", "there", "back"))
        source.write_bytes(os.urandom(SIZE // 2))
        for number, words in enumerate((("scp", "-P", front, source, f"root@{self.address}:{there}"),
                                        ("scp", "-P", front, f"root@{self.address}:{there}", back))):
            copy = self.run_program(words[0], *self.options(), *words[1:])
            self.assertEqual(copy.status(timeout=60), 0, copy.report())
        same = source.read_bytes() == back.read_bytes()
        batch = self.run_program("sftp", *self.options(), "-P", front, "-b", "-", f"root@{self.address}")
        batch.type(f"rename {there} {there}.renamed\nls -1 {self.directory}/there*\nrm {there}.renamed\n".encode())
        batch.end_input()
        return same, batch.status(), b"there.renamed" in batch.out.data, there.exists()

    @both_modes
    def test_forwarding(self):
        """A connection forwarded to a plain server behind sshd, and one back from there."""
        front, _, _ = self.start()
        local, target = sealed.free_port(), sealed.free_port()
        echo = self.run_stock("socat", f"TCP-LISTEN:{target},bind=127.0.0.1,fork,reuseaddr", "PIPE")
        self.wait_listening(target, echo)
        client = self.ssh(front, "-L", f"127.0.0.1:{local}:127.0.0.1:{target}", "echo ready; cat")
        client.expect("ready")
        for size in (10, 100000):
            data = os.urandom(size)
            with socket.create_connection(("127.0.0.1", local), timeout=10) as connection:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                got = b""
                while chunk := connection.recv(65536):
                    got += chunk
            self.assertEqual(got, data)
        client.end_input()
        return client.status()

    @both_modes
    def test_a_wrong_key(self):
        front, _, server = self.start()
        client = self.ssh(front, "echo never", key="other_key")
        status = client.status()
        return status, bytes(client.out.data), b"Permission denied" in client.err.data, server.runs()

    @sealed.full_only
    @both_modes
    def test_many_sessions(self):
        """Sessions at the same time, and one after the other; the server's descriptors do not pile up."""
        front, _, server = self.start()
        clients = [self.ssh(front, f"read x; echo {number} $x") for number in range(4)]
        for client in clients:
            client.type("word")
        said = [(client.status(), bytes(client.out.data)) for client in clients]
        before = len(os.listdir(f"/proc/{server.pid}/fd"))
        for _ in range(10 if sealed.FULL else 3):
            said.append(self.ssh(front, "true").status())
        self.assertLessEqual(len(os.listdir(f"/proc/{server.pid}/fd")), before + 1)
        return said, server.runs()

    @sealed.sealed_only
    def test_a_client_without_the_seal(self):
        """Nothing of sshd's greeting crosses in the clear."""
        port = self.port()
        config = self.directory / "sshd_config"
        config.write_text(CONFIG.format(port=port, address=self.address, directory=self.directory))
        server = self.wait_listening(port, self.run_program(SSHD, "-D", "-e", "-f", config))
        with socket.create_connection((self.address, port), timeout=10) as connection:
            connection.sendall(b"SSH-2.0-stranger\r\n")
            got = b""
            try:
                while chunk := connection.recv(4096):
                    got += chunk
            except ConnectionResetError:
                pass
        self.assertNotIn(b"SSH", got)
        self.assertTrue(server.runs())


if __name__ == "__main__":
    unittest.main()
