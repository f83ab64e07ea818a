# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
#
# packages: postgresql
# full-limit: 600
"""psql, pgbench, COPY, LISTEN and NOTIFY, cancelling and terminating, reload and restart, 200 connections, passwords,
the wrong key; a killed backend; streaming and logical replication with restarts of either side; dump and restore."""

import glob
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import sealed

from sealed import both_modes, full_only, sealed_only

# By their own paths: what stands in /usr/bin are Debian's wrappers in Perl, which look for the system's clusters.
BIN = Path(max(glob.glob("/usr/lib/postgresql/*/bin"), default="/missing", key=lambda path: int(path.split("/")[4])))
PROGRAMS = {"postgres": ["sh", "-c", "$(ls -v /usr/lib/postgresql/*/bin/postgres | tail -n 1) --version"],
            "psql": ["psql", "--version"], "pgbench": ["pgbench", "--version"],
            "pg_basebackup": ["pg_basebackup", "--version"], "pg_dump": ["pg_dump", "--version"],
            "pg_restore": ["pg_restore", "--version"]}
MIB = 1 << 20
USER = "postgres"
SETTINGS = """
listen_addresses = '{address}'
port = {port}
unix_socket_directories = '{home}'
fsync = off
max_connections = 250
shared_buffers = 32MB
synchronize_seqscans = off
wal_retrieve_retry_interval = 100ms
wal_keep_size = 512MB
wal_level = logical
cluster_name = 'sockseal-test'
"""
ACCESS = """
local all all trust
host all guarded 127.0.0.0/8 scram-sha-256
host all all 127.0.0.0/8 trust
host replication all 127.0.0.0/8 trust
"""

_template = None


def as_server(*argv):
    """The words that run a program of the server's side, which refuses to be root."""
    if os.geteuid() != 0:
        return argv
    return "setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", *argv


def give(path):
    """Gives a file or directory to the server's user."""
    if os.geteuid() == 0:
        shutil.chown(path, USER, USER)
    return path


def give_new(path):
    path.mkdir()
    return give(path)


def open_way(directory):
    """Lets the server's user through to the directory: through those that the tests made, no others."""
    for place in (directory, directory.parent):
        if place.name.startswith("sockseal-test-"):
            place.chmod(0o711)


def setUpModule():
    global _template
    if not (BIN / "postgres").exists():
        return
    _template = Path(tempfile.mkdtemp(prefix="sockseal-test-"))
    unittest.addModuleCleanup(shutil.rmtree, _template)
    open_way(_template)
    home = give_new(_template / "home")
    subprocess.run(as_server(BIN / "initdb", "-U", USER, "-N", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8",
                             "--wal-segsize=1", home / "data"),
                   check=True, stdout=subprocess.DEVNULL, cwd=_template, timeout=60)


class Case(sealed.TestCase):
    def setUp(self):
        if not (BIN / "postgres").exists():
            sealed.missing("postgresql")
        super().setUp()
        open_way(self.directory)
        self.address = sealed.loopback()
        self.homes = 0

    def home(self):
        """A directory of the server's user, with a key file and a log that it can use."""
        self.homes += 1
        home = give_new(self.directory / f"home.{self.homes}")
        give(Path(shutil.copy(self.key_file, home / "keys"))).chmod(0o600)
        return home

    def run_as_server(self, home, program, *words):
        """Runs a program as the server's user."""
        log = home / "sockseal.log"
        log.touch()
        give(log)
        started = self.run_program(*as_server(BIN / program, *words), SOCKSEAL_KEY_FILE=home / "keys",
                                   SOCKSEAL_LOG_FILE=log)
        started.log_file = log
        return started

    def new_cluster(self, port):
        home = self.home()
        subprocess.run(["cp", "-a", _template / "home" / "data", home / "data"], check=True, timeout=60)
        self.configure(home, port)
        return home

    def configure(self, home, port):
        settings = SETTINGS.format(address=self.address, port=port, home=home)
        (home / "data" / "postgresql.conf").write_text(settings)
        (home / "data" / "pg_hba.conf").write_text(ACCESS)

    def start(self, home, port):
        server = self.run_as_server(home, "postgres", "-D", home / "data")
        self.addCleanup(self.shut_down, server)
        self.wait_listening(port, server)
        self.until(lambda: self.sql(port, "SELECT 1", check=False) == "1")
        return server

    def serve(self):
        port = self.port()
        home = self.new_cluster(port)
        return self.start(home, port), port, home

    def shut_down(self, server):
        """A fast shutdown; unlike a killed one, this server leaves no shared memory."""
        if server.runs():
            server.process.send_signal(signal.SIGINT)
        return server.status(30)

    def start_psql(self, port, *words, **how):
        return self.run_program(BIN / "psql", "-X", "-q", "-A", "-t", "-P", "pager=off", "-h", self.address, "-p", port,
                                "-U", how.pop("user", USER), "-d", "postgres", *words, **how)

    def sql(self, port, *commands, check=True, timeout=60):
        """Runs the commands in one session; gives what they print."""
        client = self.start_psql(port, "-v", "ON_ERROR_STOP=1", *(word for text in commands for word in ("-c", text)))
        status = client.status(timeout)
        if check and status:
            self.fail_with_report(f"psql ended with status {status}")
        return bytes(client.out.data).decode().strip()

    def until(self, condition, timeout=30):
        end = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > end:
                self.fail_with_report("not reached in time")
            time.sleep(0.05)

    def until_active(self, port, text, count=1):
        """Waits until that many sessions run a statement with the text in it."""
        question = (f"SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%{text}%'"
                    " AND pid <> pg_backend_pid()")
        self.until(lambda: self.sql(port, question) == str(count))

    def bench(self, port, *words, timeout=120):
        """Runs pgbench; gives its status and what became of the transactions."""
        client = self.run_program(BIN / "pgbench", "-h", self.address, "-p", port, "-U", USER, *words, "postgres")
        status = client.status(timeout)
        if status:
            self.fail_with_report(f"pgbench ended with status {status}")
        return status, re.findall(r"number of (?:transactions actually processed|failed transactions): .*",
                                  bytes(client.out.data).decode())

    def fill(self, port, scale=1):
        return self.bench(port, "-i", "-q", "-s", scale)

    def books(self, port):
        """The four sums of pgbench, which agree if no transaction was lost, and the number of transactions."""
        sums = [self.sql(port, f"SELECT sum({column}) FROM pgbench_{table}") for column, table in
                (("abalance", "accounts"), ("tbalance", "tellers"), ("bbalance", "branches"), ("delta", "history"))]
        return len(set(sums)), self.sql(port, "SELECT count(*) FROM pgbench_history")


class Load(Case):
    COUNT = 500 if sealed.FULL else 20

    @both_modes
    def test_pgbench(self):
        """20 sessions; sessions of one transaction; prepared statements; 200 sessions at once."""
        _, port, _ = self.serve()
        return (self.fill(port), self.bench(port, "-n", "-c", "20", "-j", "2", "-t", self.COUNT),
                self.bench(port, "-n", "-C", "-c", "5", "-j", "2", "-t", self.COUNT),
                self.bench(port, "-n", "-S", "-M", "prepared", "-c", "20", "-j", "2", "-t", self.COUNT * 5),
                self.bench(port, "-n", "-S", "-c", "200", "-j", "2", "-t", self.COUNT // 4),
                self.books(port))

    @full_only
    @both_modes
    def test_pipelines_and_large_results(self):
        """pgbench's pipeline mode, where libpq writes without reading, and results of 1 MB for each of 20 sessions."""
        _, port, _ = self.serve()
        pipeline, large = self.directory / "pipeline.sql", self.directory / "large.sql"
        pipeline.write_text("\\startpipeline\n" + "SELECT repeat('x', 3000);\n" * 50 + "\\endpipeline\n")
        large.write_text("SELECT repeat('y', 1000) FROM generate_series(1, 1000);\n")
        return (self.bench(port, "-n", "-M", "extended", "-f", pipeline, "-c", "20", "-j", "2", "-t", "50"),
                self.bench(port, "-n", "-f", large, "-c", "20", "-j", "2", "-t", "20"))


class Sessions(Case):
    SIZE = 200 * MIB if sealed.FULL else 10 * MIB

    def copies(self, port):
        """COPY in from psql's file and out to its standard output, compared byte for byte."""
        path, sha = self.directory / "lines", hashlib.sha256()
        with path.open("wb") as file:
            for chunk in sealed.stream(self.SIZE // 2):
                lines = b"\n".join(re.findall(b".{1,1000}", chunk.hex().encode())) + b"\n"
                sha.update(lines)
                file.write(lines)
        self.sql(port, "CREATE UNLOGGED TABLE lines (line text)", rf"\copy lines FROM '{path}'", timeout=120)
        reader = self.start_psql(port, "-c", r"\copy lines TO STDOUT", digest_only=True)
        self.assertEqual(reader.status(120), 0)
        self.assertEqual(reader.out.digest(), sha.hexdigest())
        return self.sql(port, "SELECT count(*), sum(length(line)) FROM lines")

    def notifications(self, port):
        """One session listens, another one notifies; psql shows what has come after the next statement."""
        listener = self.start_psql(port)
        listener.type("LISTEN news; SELECT 'it listens';")
        listener.expect("it listens")
        self.sql(port, "SELECT pg_notify('news', n || repeat('z', n * 7)) FROM generate_series(1, 1000) n")

        def arrived():
            listener.type("SELECT 1;")
            return b'with payload "1000z' in listener.out.data
        self.until(arrived)
        listener.end_input()
        return listener.status(), re.findall(rb'"news" with payload "(\w+)"', listener.out.data)

    def cancelled(self, port):
        """The signal's handler in libpq connects a second time; the session goes on afterwards."""
        client = self.start_psql(port, "-n", on_pty=True)
        for _ in range(3):
            client.type("SELECT pg_sleep(100);")
            self.until_active(port, "pg_sleep")
            client.process.send_signal(signal.SIGINT)
            self.until_active(port, "pg_sleep", count=0)
        client.type("SELECT 'still here';")
        client.expect("still here")
        client.type("\\q")
        return client.status(), bytes(client.out.data), bytes(client.err.data)

    def terminated(self, port):
        client = self.start_psql(port)
        client.type("SELECT pg_sleep(100);")
        self.until_active(port, "pg_sleep")
        told = self.sql(port, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sl%'")
        return told, client.status(), bytes(client.out.data), bytes(client.err.data)

    def passwords(self, port):
        """The exchange of SCRAM, with the right password and with a wrong one."""
        self.sql(port, "CREATE ROLE guarded LOGIN PASSWORD 'secret'")
        seen = []
        for password in ("secret", "wrong"):
            file = self.directory / "password"
            file.write_text(f"*:*:*:*:{password}\n")
            file.chmod(0o600)
            client = self.start_psql(port, "-d", f"dbname=postgres passfile={file}", "-c", "SELECT current_user",
                                     user="guarded")
            seen.append((client.status(), bytes(client.out.data), b"password authentication" in client.err.data))
        return seen

    @both_modes
    def test_sessions(self):
        server, port, _ = self.serve()
        results = self.sql(port, "SELECT n, md5(n::text) FROM generate_series(1, 5000) n", "SELECT 1/3.0")
        parts = self.copies, self.notifications, self.cancelled, self.terminated, self.passwords
        seen = [part(port) for part in parts]
        return results, seen, self.shut_down(server)

    @both_modes
    def test_reload_and_restart(self):
        """A session sees the new settings; it loses its connection by the restart, and psql makes another one."""
        server, port, home = self.serve()
        client = self.start_psql(port, "-n", on_pty=True)
        client.type("SELECT 'before', pg_backend_pid() > 0;")
        client.expect("before|t")
        self.sql(port, "ALTER SYSTEM SET work_mem = '7MB'", "SELECT pg_reload_conf()")

        def reloaded():
            client.type("SHOW work_mem;")
            return b"7MB" in client.out.data
        self.until(reloaded)
        client.type("SELECT 'nothing', 'is pending';")
        client.expect("nothing|is pending")
        ended = self.shut_down(server)
        server = self.start(home, port)
        client.type("SELECT 'lost';")
        client.expect("Attempting reset: ", stream="err")
        client.expect("Succeeded", stream="err")
        client.type("SELECT 'after', pg_backend_pid() > 0;")
        client.expect("after|t")
        client.type("\\q")
        return ended, client.status(), re.sub(rb"\d+", b"", bytes(client.err.data)), self.shut_down(server)

    @sealed_only
    def test_wrong_key(self):
        """Neither the owner of another key nor who has none is served, and they are told why."""
        server, port, _ = self.serve()
        other = self.write_keys("other", (sealed.IDENTITY, "ab" * 32))
        stranger = self.start_psql(port, "-c", "SELECT 'served'", SOCKSEAL_KEY_FILE=other)
        self.assertEqual((stranger.status(), bytes(stranger.out.data)), (2, b""))
        self.assertIn(b"Key was rejected by service", bytes(stranger.err.data))
        server.expect_log("the peer has another key under this identity")
        plain = self.start_psql(port, "-c", "SELECT 'served'", sealed=False)
        self.assertEqual((plain.status(), bytes(plain.out.data)), (2, b""))
        self.assertEqual(self.sql(port, "SELECT 'served'"), "served")

    @full_only
    @both_modes
    def test_killed_backend(self):
        """The server ends all other backends and starts anew; every session loses its connection."""
        server, port, _ = self.serve()
        clients = [self.start_psql(port) for _ in range(10)]
        for client in clients:
            client.type("SELECT pg_sleep(100);")
        self.until_active(port, "pg_sleep", count=len(clients))
        os.kill(int(self.sql(port, "SELECT max(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sl%'")),
                signal.SIGKILL)
        seen = [(client.status(), bytes(client.out.data)) for client in clients]
        self.assertNotIn(0, [status for status, _ in seen])
        self.until(lambda: self.sql(port, "SELECT 1", check=False) == "1")
        return seen, self.shut_down(server)

    @full_only
    @both_modes
    def test_dump_and_restore(self):
        """Dumped by two processes at once from one server, restored into another one."""
        (_, port, _), (_, other, _) = self.serve(), self.serve()
        self.fill(port, 5)
        directory = self.directory / f"dump.{port}"
        dump = self.run_program(BIN / "pg_dump", "-h", self.address, "-p", port, "-U", USER, "-Fd", "-j", "2", "-f",
                                directory, "postgres")
        self.assertEqual(dump.status(60), 0)
        restore = self.run_program(BIN / "pg_restore", "-h", self.address, "-p", other, "-U", USER, "-j", "2", "-d",
                                   "postgres", directory)
        question = "SELECT count(*), md5(string_agg(a::text, '' ORDER BY aid)) FROM pgbench_accounts a"
        seen = restore.status(60), self.sql(other, question)
        self.assertEqual(self.sql(port, question), seen[1])
        return seen[0], seen[1].split("|")[0]


class Replication(Case):
    def standby(self, primary_port, port):
        """Copies the primary's data over the network; gives the standby's home."""
        home = self.home()
        backup = self.run_as_server(home, "pg_basebackup", "-h", self.address, "-p", primary_port, "-U", USER, "-D",
                                    home / "data", "-R", "-X", "stream", "-c", "fast", "--no-sync")
        if backup.status(60):
            self.fail_with_report("pg_basebackup failed")
        self.configure(home, port)
        return home

    def until_same(self, primary_port, port):
        """Waits until the standby has replayed all that the primary has written."""
        position = self.sql(primary_port, "SELECT pg_current_wal_lsn()")
        self.until(lambda: self.sql(port, f"SELECT pg_last_wal_replay_lsn() >= '{position}'") == "t", timeout=60)

    @full_only
    @both_modes
    def test_standby(self):
        """It streams under load, catches up after a restart and after one of the primary, and is promoted."""
        primary, port, primary_home = self.serve()
        standby_port = self.port()
        self.shut_down(primary)
        primary = self.start(primary_home, port)  # with the standby's port sealed as well
        seen = [self.fill(port, 2)]
        home = self.standby(port, standby_port)
        standby = self.start(home, standby_port)
        seen.append(self.bench(port, "-n", "-c", "20", "-j", "2", "-t", 200))
        self.until_same(port, standby_port)
        seen += [self.books(standby_port), self.sql(port, "SELECT state FROM pg_stat_replication")]
        seen.append(self.shut_down(standby))
        seen.append(self.bench(port, "-n", "-c", "20", "-j", "2", "-t", 200))
        standby = self.start(home, standby_port)
        self.until_same(port, standby_port)
        seen += [self.books(standby_port), self.shut_down(primary)]
        primary = self.start(primary_home, port)
        seen.append(self.bench(port, "-n", "-c", "20", "-j", "2", "-t", 200))
        self.until_same(port, standby_port)
        seen += [self.books(standby_port), self.shut_down(primary), self.sql(standby_port, "SELECT pg_promote()")]
        seen.append(self.bench(standby_port, "-n", "-c", "20", "-t", 50))
        return seen, self.books(standby_port), self.shut_down(standby)

    @full_only
    @both_modes
    def test_synchronous_standby(self):
        """Each transaction waits until the standby has replayed it, so both directions speak in turn."""
        _, port, _ = self.serve()
        standby_port = self.port()
        self.fill(port)
        self.start(self.standby(port, standby_port), standby_port)
        self.sql(port, "ALTER SYSTEM SET synchronous_standby_names = '*'",
                 "ALTER SYSTEM SET synchronous_commit = remote_apply", "SELECT pg_reload_conf()")
        self.until(lambda: self.sql(port, "SELECT sync_state FROM pg_stat_replication") == "sync")
        return self.bench(port, "-n", "-c", "10", "-j", "2", "-t", 100), self.books(port), self.books(standby_port)

    @full_only
    @both_modes
    def test_logical_replication(self):
        """A subscriber copies the tables, then follows the changes, also across a restart of the publisher."""
        port, other = self.port(), self.port()
        home = self.new_cluster(port)
        publisher = self.start(home, port)
        self.start(self.new_cluster(other), other)
        for server in (port, other):
            self.fill(server)
            self.sql(server, "ALTER TABLE pgbench_history ADD COLUMN id bigserial PRIMARY KEY")
        tables = "pgbench_accounts", "pgbench_tellers", "pgbench_branches", "pgbench_history"
        self.sql(other, "TRUNCATE " + ", ".join(tables))
        self.sql(port, "CREATE PUBLICATION everything FOR ALL TABLES")
        self.sql(other, f"CREATE SUBSCRIPTION mine CONNECTION 'host={self.address} port={port} user={USER}"
                 " dbname=postgres' PUBLICATION everything")
        question = "SELECT count(*) FROM pgbench_history", "SELECT sum(abalance), count(*) FROM pgbench_accounts"
        seen = []
        for _ in range(2):
            seen.append(self.bench(port, "-n", "-c", "10", "-j", "2", "-t", 100))
            self.until(lambda: self.sql(port, *question) == self.sql(other, *question), timeout=60)
            seen.append(self.books(other))
            self.shut_down(publisher)
            publisher = self.start(home, port)
        return seen


if __name__ == "__main__":
    unittest.main()
