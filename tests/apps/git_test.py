# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
# packages: git
# full-limit: 300
"""git daemon, which hands each connection to another program as its standard input and output."""

import subprocess
import sys
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import sealed

from sealed import both_modes, full_only

PROGRAMS = {"git": ["git", "--version"]}
MIB = 1 << 20
LARGE = 60 * MIB if sealed.FULL else 8 * MIB
COMMITS = 200 if sealed.FULL else 30
PATIENCE = 90

# Connections that the daemon lets wait to be accepted, set in it. One more, and that client hears nothing on plain TCP
# either, until it is reset after half a minute.
BACKLOG = 5


class Git(sealed.TestCase):
    def setUp(self):
        sealed.need("git")
        super().setUp()
        self.address = sealed.loopback()

    def git(self, *words, input=None):
        """A git that uses no network, with the environment of run_program()."""
        env = dict(self.plain_env(), **self.identity())
        return subprocess.run(["git", *map(str, words)], env=env, check=True, capture_output=True, text=True,
                              input=input, timeout=PATIENCE).stdout.strip()

    def identity(self):
        return {"HOME": str(self.directory), "GIT_CONFIG_NOSYSTEM": "1", "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@",
                "GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@", "GIT_AUTHOR_DATE": "1700000000 +0000",
                "GIT_COMMITTER_DATE": "1700000000 +0000", "GIT_TERMINAL_PROMPT": "0"}

    def remote(self, *words):
        """A git that talks to the daemon, to its end; gives its status."""
        settings = [f"{name}={value}" for name, value in self.identity().items()]
        client = self.run_program("env", *settings, "git", *words)
        status = client.status(PATIENCE)
        self.said = bytes(client.err.data).decode()
        return status

    def history(self):
        """A bare repository with many commits, and a large file that does not compress."""
        mode = "sealed" if self.sealed else "plain"
        base = self.directory / mode
        base.mkdir(exist_ok=True)
        served = base / "project.git"
        self.git("init", "-q", "--bare", "-b", "main", served)
        commits = []
        for number in range(COMMITS):
            text = f"line {number}\n" * (number % 50 + 1)
            commits.append(f"commit refs/heads/main\ncommitter A <a@> {1700000000 + number} +0000\n"
                           f"data 2\nc\nM 100644 inline file{number % 10}\ndata {len(text)}\n{text}\n")
        self.git("-C", served, "fast-import", "--quiet", input="".join(commits))
        return base, served

    def serve(self, base):
        port = self.port()
        self.server = self.run_program(
            "git", "daemon", f"--listen={self.address}", f"--port={port}", f"--base-path={base}", "--export-all",
            "--reuseaddr", "--enable=receive-pack", "--max-connections=64", "--timeout=60")
        self.wait_listening(port, self.server)
        return f"git://{self.address}:{port}/project.git"

    def head(self, tree):
        return self.git("-C", tree, "rev-parse", "refs/heads/main")

    @both_modes
    def test_clone_push_fetch(self):
        base, served = self.history()
        url, seen = self.serve(base), []
        one, two = base / "one", base / "two"
        seen += [self.remote("clone", "-q", url, one), self.remote("clone", "-q", url, two)]
        self.assertEqual([self.head(one), self.head(two)], [self.head(served)] * 2, self.said)
        (one / "large").write_bytes(b"".join(sealed.stream(LARGE)))
        self.git("-C", one, "add", "large")
        self.git("-C", one, "commit", "-qm", "a large file")
        seen.append(self.remote("-C", one, "push", "-q", url, "main"))
        self.assertEqual(self.head(served), self.head(one), self.said)
        seen += [self.remote("-C", two, "pull", "-q", "--ff-only"), self.remote("-C", two, "ls-remote", url)]
        self.assertEqual((two / "large").read_bytes(), (one / "large").read_bytes())
        self.git("-C", two, "fsck", "--full")
        return seen

    @both_modes
    def test_shallow_and_partial_clone(self):
        base, served = self.history()
        self.git("-C", served, "config", "uploadpack.allowFilter", "true")
        url = self.serve(base)
        seen = [self.remote("clone", "-q", "--depth", "1", url, base / "shallow"),
                self.git("-C", base / "shallow", "rev-list", "--count", "HEAD"),
                self.remote("-C", base / "shallow", "fetch", "-q", "--unshallow"),
                self.git("-C", base / "shallow", "rev-list", "--count", "HEAD"),
                self.remote("clone", "-q", "--filter=blob:none", url, base / "partial")]
        self.assertEqual(self.head(base / "shallow"), self.head(served))
        return seen

    @full_only
    @both_modes
    def test_push_that_is_refused(self):
        base, _ = self.history()
        url = self.serve(base)
        clone = base / "clone"
        seen = [self.remote("clone", "-q", url, clone)]
        self.git("-C", clone, "commit", "-q", "--amend", "--allow-empty", "-m", "another past")
        seen.append(self.remote("-C", clone, "push", "-q", url, "main"))
        self.assertIn("non-fast-forward", self.said)
        seen.append(self.remote("clone", "-q", url.replace("project", "missing"), base / "none"))
        self.assertIn("access denied or repository not exported", self.said)
        return seen

    @full_only
    @both_modes
    def test_many_clones_at_once(self):
        base, served = self.history()
        url = self.serve(base)
        count, clients, seen = 40, [], []
        for number in range(count):
            if number >= BACKLOG:
                seen.append(clients[number - BACKLOG].status(PATIENCE))
            clients.append(self.run_program("git", "clone", "-q", url, base / f"clone{number}"))
        seen += [client.status(PATIENCE) for client in clients[-BACKLOG:]]
        self.assertEqual([bytes(client.err.data) for client in clients if client.status() != 0], [])
        self.assertEqual({self.head(base / f"clone{number}") for number in range(count)}, {self.head(served)})
        return seen, self.server.runs()


if __name__ == "__main__":
    unittest.main()
