#!/usr/bin/python3
# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""A Redis Cluster of six nodes on three hosts, one of which is cut off and comes back while a client writes.

A write counts as acknowledged when WAIT says that a replica has it: such a write survives the failover on plain Redis, and
has to here.
"""

import json
import sys
import time
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import hosts
import sealed

from sealed import both_modes

# packages: iproute2 util-linux redis-server redis-tools
# suite: full
# full-limit: 300
PORTS = (7001, 7002)
BUS = 10000
RULES = "7001-7002,17001-17002"
NODE_TIMEOUT = 1500  # milliseconds
WRITES = 150
CLIENT = Path(__file__).with_name("redis_client.py")


class Cluster(sealed.TestCase):
    def setUp(self):
        sealed.need("redis-server")
        super().setUp()

    def on(self, host, *words):
        return self.run_program(*host.enter, *words, SOCKSEAL_PORTS=RULES)

    def node(self, host, port):
        home = self.directory / f"{'sealed' if self.sealed else 'plain'}.{host.number}.{port}"
        home.mkdir()
        server = self.on(host, "redis-server", "--bind", host.address, "--port", port, "--dir", home, "--save", "",
                         "--cluster-enabled", "yes", "--cluster-node-timeout", NODE_TIMEOUT, "--protected-mode", "no",
                         "--bind-source-addr", host.address, "--repl-diskless-sync-delay", "0", "--repl-timeout", "5",
                         "--cluster-replica-validity-factor", "0")
        return self.wait_listening(port, server)

    def ask(self, host, port, *words):
        client = self.on(host, "timeout", "5", "redis-cli", "-h", host.address, "-p", port, *words)
        client.status()
        return bytes(client.out.data).decode(errors="replace")

    def until(self, condition, what, timeout=60):
        end = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > end:
                self.fail_with_report(what)
            time.sleep(0.2)

    def agreed(self, host, port):
        return "cluster_state:ok" in self.ask(host, port, "CLUSTER", "INFO")

    def masters(self, host, port):
        """The addresses of the nodes that this one takes for masters in good health."""
        lines = [line.split() for line in self.ask(host, port, "CLUSTER", "NODES").splitlines()]
        return sorted(words[1].split("@")[0] for words in lines
                      if len(words) > 8 and "master" in words[2] and "fail" not in words[2])

    def create(self):
        everywhere = [(host, port) for port in PORTS for host in self.hosts]
        for place in everywhere:
            self.node(*place)
        made = self.on(self.hosts[0], "redis-cli", "--cluster", "create",
                       *(f"{host.address}:{port}" for host, port in everywhere), "--cluster-replicas", "1", "--cluster-yes")
        self.assertEqual(made.status(60), 0, bytes(made.out.data))
        self.until(lambda: all(self.agreed(*place) and len(self.masters(*place)) == 3 for place in everywhere),
                   "the nodes do not agree")
        self.until(lambda: all("master_link_status:down" not in self.ask(*place, "INFO", "replication")
                               for place in everywhere), "the replicas do not follow")

    def tag(self, host):
        """A hash tag whose keys this host's master serves: slots 0 to 5460, as the cluster was made."""
        return next(tag for tag in ("{%d}" % number for number in range(100))
                    if int(self.ask(host, PORTS[0], "CLUSTER", "KEYSLOT", tag)) <= 5460)

    def writer(self, host, name, *seeds):
        """A client on this host that begins at these, and begins its keys with the name."""
        return self.on(host, sealed.PYTHON, CLIENT, "write", name,
                       *(f"{seed.address}:{port}" for seed in seeds for port in PORTS))

    def ended(self, writer):
        """Ends a client; gives the keys that were acknowledged to it."""
        writer.end_input()
        self.assertEqual(writer.status(), 0, bytes(writer.err.data))
        return writer.out.data.decode().split()

    def acknowledged(self, writer):
        return writer.out.data.count(b"\n")

    def goes_on(self, writer, count=WRITES):
        """The client writes more; each of its lines is an acknowledged write. A third of the keys is on each master."""
        before = self.acknowledged(writer)
        self.until(lambda: self.acknowledged(writer) >= before + count, "the client's writes are not acknowledged")

    @both_modes
    def test_a_host_is_cut_off_and_comes_back(self):
        self.hosts = hosts.make(self, 3)
        first, second, third = self.hosts
        self.create()
        of_first = [address for address in self.masters(second, 7001) if address.startswith(first.address + ":")]
        self.assertEqual(of_first, [f"{first.address}:{PORTS[0]}"])
        # The one inside speaks to the master that is cut off alone: what that goes on to accept is lost.
        writer, inside = self.writer(third, "key", second, third), self.writer(first, self.tag(first), first)
        self.goes_on(writer)
        self.goes_on(inside)

        third.slow_down()
        self.goes_on(writer)
        third.speed_up()

        first.cut()
        self.until(lambda: of_first[0] not in self.masters(second, 7001) and len(self.masters(second, 7001)) == 3 and
                   self.agreed(second, 7001), "no replica takes the lost master's place")
        self.goes_on(writer, WRITES // 5)  # where a replica is left
        self.assertFalse(self.agreed(first, PORTS[0]), "the minority goes on serving")

        first.heal()
        self.until(lambda: all(self.agreed(host, port) for host in self.hosts for port in PORTS) and
                   self.masters(first, 7001) == self.masters(second, 7001) and
                   all("master_link_status:down" not in self.ask(host, port, "INFO", "replication")
                       for host in self.hosts for port in PORTS), "the host does not find back")
        self.goes_on(writer)
        self.goes_on(inside)
        written = self.ended(writer) + self.ended(inside)

        reader = self.on(second, sealed.PYTHON, CLIENT, "read", 0, *(f"{second.address}:{port}" for port in PORTS))
        reader.feed([json.dumps(written).encode() + b"\n"]).join()
        reader.end_input()
        self.assertEqual(reader.status(60), 0, bytes(reader.err.data))
        self.assertGreaterEqual(len(written), 5 * WRITES)
        return json.loads(reader.out.data)  # what is lost


if __name__ == "__main__":
    unittest.main()
