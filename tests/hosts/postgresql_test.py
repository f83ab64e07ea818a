#!/usr/bin/python3
# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""PostgreSQL on one host, its synchronous standby on another, a client on a third: the standby's link is cut and heals, then
the primary's host is lost for good. Each commit that the client was told of is on the standby that takes over."""

import itertools
import sys
import unittest

from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "support"), str(HERE.parent / "apps")]

import hosts
import postgresql_test as base
import sealed

from sealed import both_modes

# packages: iproute2 util-linux postgresql
# suite: full
# full-limit: 300
PORT = 5440
SETTINGS = """
listen_addresses = '{address}'
port = {port}
unix_socket_directories = '{home}'
fsync = off
shared_buffers = 32MB
wal_retrieve_retry_interval = 200ms
wal_sender_timeout = 2s
wal_receiver_timeout = 2s
wal_keep_size = 64MB
synchronous_standby_names = '*'
synchronous_commit = {commit}
"""
ACCESS = """
host all all 10.77.0.0/24 trust
host replication all 10.77.0.0/24 trust
"""


def setUpModule():
    base.setUpModule()


class Standby(base.Case):
    def run_program(self, *argv, **settings):
        """On the host that `at` names, all of them with the one port sealed."""
        return super().run_program(*self.at.enter, *argv, **{"SOCKSEAL_PORTS": PORT, **settings})

    def configure(self, home, port):
        commit = "local" if self.at is self.hosts[1] else "on"  # a standby that takes over has none itself
        (home / "data" / "postgresql.conf").write_text(
            SETTINGS.format(address=self.at.address, port=port, home=home, commit=commit))
        (home / "data" / "pg_hba.conf").write_text(ACCESS)

    def on(self, host):
        self.at, self.address = host, host.address
        return self

    def standby(self, primary):
        home = self.home()
        backup = self.run_as_server(home, "pg_basebackup", "-h", primary.address, "-p", PORT, "-U", base.USER, "-D",
                                    home / "data", "-R", "-X", "stream", "-c", "fast", "--no-sync")
        self.assertEqual(backup.status(60), 0, bytes(backup.err.data))
        self.configure(home, PORT)
        return home

    def writer(self, client, server, first=0):
        """One session that commits row after row, and prints each number when it is told so."""
        self.on(client).address = server.address
        psql = self.start_psql(PORT)
        psql.feed(f"INSERT INTO rows VALUES ({number}) RETURNING number;\n".encode() for number in itertools.count(first))
        return psql

    def goes_on(self, writer, count=100):
        before = writer.out.data.count(b"\n")
        self.until(lambda: writer.out.data.count(b"\n") >= before + count)

    @both_modes
    def test_the_link_is_cut_and_then_the_primary_is_lost(self):
        self.hosts = first, second, third = hosts.make(self, 3)
        home = self.on(first).new_cluster(PORT)
        self.start(home, PORT)
        self.sql(PORT, "SET synchronous_commit = local", "CREATE TABLE rows (number int PRIMARY KEY)")
        self.on(second).start(self.standby(first), PORT)
        self.on(first).until(lambda: self.sql(PORT, "SELECT sync_state FROM pg_stat_replication") == "sync")
        writer = self.writer(third, first)
        self.goes_on(writer)
        second.slow_down()
        self.goes_on(writer, 20)
        second.speed_up()

        second.cut()
        self.on(first).until(lambda: self.sql(PORT, "SELECT count(*) FROM pg_stat_replication") == "0")
        told = writer.out.data.count(b"\n")
        self.on(first).until(lambda: self.sql(PORT, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
                             == "1")
        self.assertEqual(writer.out.data.count(b"\n"), told, "a commit is told of that the standby does not have")
        second.heal()
        self.goes_on(writer)

        first.cut()
        self.on(second).sql(PORT, "SELECT pg_promote()")
        told = [int(word) for word in writer.out.data.split()]
        there = set(map(int, self.sql(PORT, "SELECT number FROM rows").split()))
        successor = self.writer(third, second, max(there) + 1)
        self.goes_on(successor)
        writer.stop()
        successor.stop()
        self.assertGreater(len(told), 200)
        return [number for number in told if number not in there]


if __name__ == "__main__":
    unittest.main()
