# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
# packages: rsync
# full-limit: 300
"""rsync and its daemon: full duplex with non-blocking sockets and select, a process for each connection."""

import hashlib
import os
import shutil
import sys
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import sealed

from sealed import both_modes, full_only

PROGRAMS = {"rsync": ["rsync", "--version"]}
MIB = 1 << 20
SMALL = 3000 if sealed.FULL else 500
LARGE = 200 * MIB if sealed.FULL else 12 * MIB
PATIENCE = 90

CONFIGURATION = """\
use chroot = no
uid = {uid}
gid = {gid}
max connections = 20
pid file = {directory}/pid
lock file = {directory}/lock
log file = {directory}/log

[tree]
path = {directory}/served
read only = no

[secret]
path = {directory}/served
auth users = alice
secrets file = {directory}/secrets
"""


def listing(tree):
    """Relative path -> digest of every file."""
    return {str(path.relative_to(tree)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(Path(tree).rglob("*")) if path.is_file()}


class Rsync(sealed.TestCase):
    def setUp(self):
        sealed.need("rsync")
        super().setUp()
        self.address = sealed.loopback()

    def make_tree(self, name):
        """Thousands of small files and a large one."""
        tree = self.directory / name
        for number in range(SMALL):
            path = tree / f"d{number % 37}" / f"file {number}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(os.urandom(number % 1000))
        (tree / "large").write_bytes(b"".join(sealed.stream(LARGE)))
        return tree

    def serve(self):
        """Starts the daemon over an empty directory; gives its URL."""
        shutil.rmtree(self.directory / "served", ignore_errors=True)
        self.served = self.directory / "served"
        self.served.mkdir()
        secrets = self.directory / "secrets"
        secrets.write_text("alice:wonderland\n")
        secrets.chmod(0o600)
        configuration = self.directory / "rsyncd.conf"
        configuration.write_text(
            CONFIGURATION.format(directory=self.directory, uid=os.getuid(), gid=os.getgid()))
        (self.directory / "pid").unlink(missing_ok=True)
        port = self.port()
        self.server = self.run_program("rsync", "--daemon", "--no-detach", f"--address={self.address}",
                                       f"--port={port}", f"--config={configuration}")
        self.wait_listening(port, self.server)
        return f"rsync://{self.address}:{port}/tree"

    def rsync(self, *arguments):
        client = self.run_program("rsync", "-a", "--stats", "--timeout=60", *arguments)
        return client

    def done(self, client):
        """Its status, and what its statistics say of files; bytes sent depend on timing."""
        status = client.status(PATIENCE)
        if status != 0:
            self.fail_with_report(f"rsync ended with status {status}")
        wanted = ("Number of files", "Number of regular files", "Total file size", "Literal data", "Matched data")
        return [line for line in bytes(client.out.data).decode().splitlines() if line.startswith(wanted)]

    @both_modes
    def test_push_pull_delta_and_checksum(self):
        tree, url, seen = self.make_tree("tree"), self.serve(), []
        seen.append(self.done(self.rsync(f"{tree}/", url))[:2])
        self.assertEqual(listing(self.served), listing(tree))
        # A delta: an insertion near the start, a change in the middle.
        large = bytearray((tree / "large").read_bytes())
        large[1000:1000] = b"an insertion"
        large[len(large) // 2] ^= 1
        (tree / "large").write_bytes(large)
        (tree / "d1" / "file 1").unlink()
        delta = self.done(self.rsync("--no-whole-file", "--delete", f"{tree}/", url))
        literal = [line for line in delta if line.startswith("Literal")][0]
        self.assertLess(int(literal.split(":")[1].split()[0].replace(",", "")), LARGE // 2)
        self.assertEqual(listing(self.served), listing(tree))
        copy = self.directory / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        seen.append(self.done(self.rsync(f"{url}/", f"{copy}/"))[:2])
        self.assertEqual(listing(copy), listing(tree))
        # The same size and time, another content: only --checksum sees it.
        victim = copy / "d2" / "file 446"
        stat = victim.stat()
        victim.write_bytes(bytes(stat.st_size))
        os.utime(victim, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        self.done(self.rsync("--checksum", "-z", f"{url}/", f"{copy}/"))
        self.assertEqual(listing(copy), listing(tree))
        shutil.rmtree(tree)
        return [len(lines) for lines in seen]

    @full_only
    @both_modes
    def test_several_at_once(self):
        tree, url = self.make_tree("tree"), self.serve()
        clients = [self.rsync(f"{tree}/", f"{url}/copy{number}/") for number in range(5)]
        for client in clients:
            self.done(client)
        self.assertEqual([listing(self.served / f"copy{n}") == listing(tree) for n in range(5)], [True] * 5)
        shutil.rmtree(tree)
        return len(clients)

    @both_modes
    def test_bandwidth_limit_and_modules(self):
        """--bwlimit sleeps between writes; a listing is a conversation that the server ends."""
        tree = self.directory / "tree"
        tree.mkdir(exist_ok=True)
        (tree / "file").write_bytes(bytes(2 * MIB))
        url = self.serve()
        self.done(self.rsync("--bwlimit=4m", f"{tree}/", url))
        self.assertEqual(listing(self.served), listing(tree))
        modules = self.run_program("rsync", url.rpartition("/")[0] + "/")
        return modules.status(), bytes(modules.out.data)

    @both_modes
    def test_password(self):
        url = self.serve().replace("rsync://", "rsync://alice@").replace("/tree", "/secret")
        (self.served / "file").write_text("in wonderland\n")
        seen = []
        for word in ("wonderland", "mirror"):
            password = self.directory / "password"
            password.write_text(word + "\n")
            password.chmod(0o600)
            client = self.run_program("rsync", "-a", f"--password-file={password}", f"{url}/",
                                      f"{self.directory}/{word}/")
            status = client.status()
            seen.append((status, listing(self.directory / word), b"auth failed" in client.err.data))
        return seen

    @full_only
    @both_modes
    def test_client_that_is_killed_leaves_the_daemon_serving(self):
        tree, url = self.make_tree("tree"), self.serve()
        client = self.rsync("--bwlimit=2m", f"{tree}/", f"{url}/first/")
        while not any((self.served / "first").glob("d*")):
            self.assertTrue(client.runs())
            sealed.time.sleep(0.01)
        client.process.kill()
        client.status()
        self.done(self.rsync(f"{tree}/", f"{url}/second/"))
        equal = listing(self.served / "second") == listing(tree)
        shutil.rmtree(tree)
        return equal, self.server.runs()


if __name__ == "__main__":
    unittest.main()
