# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
#
# packages: redis-server redis-tools
# full-limit: 600
"""Pipelining, 300 connections, pub/sub, MONITOR, values of 64 MB, BGSAVE under load, I/O threads, CLIENT KILL;
replication with restarts of either side; a cluster of six with its bus; restart from AOF and RDB."""

import hashlib
import re
import signal
import socket
import sys
import time
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import sealed

from sealed import both_modes, full_only

PROGRAMS = {"redis-server": ["redis-server", "--version"], "redis-cli": ["redis-cli", "--version"],
            "redis-benchmark": ["redis-benchmark", "--version"]}
MIB = 1 << 20


class Case(sealed.TestCase):
    def setUp(self):
        sealed.need("redis-server")
        sealed.need("redis-benchmark")
        super().setUp()
        self.address = sealed.loopback()

    def serve(self, *options, port=None, directory=None):
        """Starts a server and waits until it answers; gives it and its port."""
        port = port or self.port()
        home = self.directory / (directory or f"redis.{port}")
        home.mkdir(exist_ok=True)
        words = {"--save": "", "--enable-debug-command": "yes", "--daemonize": "no", "--dir": home,
                 "--tcp-backlog": "511", "--bind": self.address, "--port": port}
        server = self.run_program("redis-server", *(word for pair in words.items() for word in pair), *options)
        self.wait_listening(port, server)
        self.until(port, lambda: self.ask(port, "PING") == "PONG")
        return server, port

    def start_cli(self, port, *words, **how):
        return self.run_program("redis-cli", "-h", self.address, "-p", port, *words, **how)

    def ask(self, port, *words, timeout=sealed.DEADLINE):
        """One command by redis-cli; gives what it prints."""
        client = self.start_cli(port, *words)
        client.status(timeout)
        return bytes(client.out.data).decode(errors="replace").strip()

    def until(self, port, condition, timeout=sealed.DEADLINE):
        end = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > end:
                self.fail_with_report(f"not reached in time; the server says:\n{self.ask(port, 'INFO')}")
            time.sleep(0.05)

    def info(self, port, field):
        match = re.search(rf"^{field}:(.*?)\r?$", self.ask(port, "INFO", "everything"), re.MULTILINE)
        return match.group(1) if match else None

    def bench(self, port, *words, timeout=60):
        client = self.start_bench(port, *words)
        return client.status(timeout)

    def start_bench(self, port, *words):
        return self.run_program("redis-benchmark", "-h", self.address, "-p", port, "-q", *words)

    def fill(self, port, count, size=100):
        self.assertEqual(self.ask(port, "DEBUG", "POPULATE", count, "key", size), "OK")

    def digest(self, port):
        return self.ask(port, "DEBUG", "DIGEST")


class Load(Case):
    COUNT = 200_000 if sealed.FULL else 20_000

    @both_modes
    def test_pipelines_of_16(self):
        _, port = self.serve()
        seen = [self.bench(port, "-P", "16", "-n", self.COUNT, "INCR", "counter"),
                self.bench(port, "-P", "16", "-n", self.COUNT // 10, "-t", "set,get,lpush,lrange_100,mset"),
                self.bench(port, "-P", "16", "-d", "20000", "-n", self.COUNT // 20, "-t", "set,get")]
        return seen, self.ask(port, "GET", "counter"), self.ask(port, "LLEN", "mylist"), self.ask(port, "DBSIZE")

    @both_modes
    def test_300_connections(self):
        _, port = self.serve()
        status = self.bench(port, "-c", "300", "-n", self.COUNT, "INCR", "counter")
        return status, self.ask(port, "GET", "counter"), self.info(port, "rejected_connections")

    @both_modes
    def test_connections_that_last_one_request(self):
        _, port = self.serve()
        status = self.bench(port, "-k", "0", "-c", "50", "-n", self.COUNT // 20, "INCR", "counter")
        return status, self.ask(port, "GET", "counter")

    @full_only
    @both_modes
    def test_io_threads(self):
        """Several threads of the server read and write, spinning, and two of the client."""
        _, port = self.serve("--io-threads", "2", "--io-threads-do-reads", "yes")
        seen = [self.bench(port, "--threads", "2", "-c", "100", "-P", "16", "-n", self.COUNT // 4, "INCR", "counter"),
                self.bench(port, "-c", "100", "-d", "3000", "-n", self.COUNT // 20, "-t", "set,get,lrange_300")]
        return seen, self.ask(port, "GET", "counter")

    @both_modes
    def test_300_pipelining_connections_of_one_process(self):
        """Each sends 2,000 commands at once, reads the answers, and idles while the others work."""
        _, port = self.serve()
        self.ask(port, "SET", "value", "x" * 50)
        request = self.directory / "request"
        request.write_bytes(b"*2\r\n$3\r\nGET\r\n$5\r\nvalue\r\n" * 2000)
        crowd = self.run_program(sealed.PYTHON, Path(sealed.__file__).with_name("crowd.py"), self.address, port, 300,
                                 request, len(b"$50\r\n\r\n" + b"x" * 50) * 2000, "round", "round", "wait", "ends")
        crowd.expect("round: 300 x ", timeout=60)
        crowd.out.wait(lambda out: out.data.count(b"\n") == 2, 60)
        self.assertEqual(self.info(port, "connected_clients"), "301")
        self.assertEqual(self.ask(port, "SHUTDOWN", "NOSAVE"), "")
        crowd.type("go")
        return crowd.status(60), bytes(crowd.out.data)

    @full_only
    @both_modes
    def test_all_of_redis_benchmark(self):
        _, port = self.serve()
        return self.bench(port, "-n", 50_000, "-r", "1000", timeout=120), self.bench(port, "-n", 50_000, "-P", "16")


class Commands(Case):
    @both_modes
    def test_publish_and_subscribe(self):
        _, port = self.serve()
        subscribers = [self.start_cli(port, "SUBSCRIBE", "news", "other"), self.start_cli(port, "PSUBSCRIBE", "n*")]
        for subscriber in subscribers:
            subscriber.expect("subscribe\n")
        self.until(port, lambda: self.ask(port, "PUBLISH", "other", "first") == "1"
                   and self.ask(port, "PUBSUB", "NUMPAT") == "1")
        publisher = self.start_cli(port)
        publisher.feed(b"PUBLISH news message-%d-%s\n" % (n, b"y" * (n % 3000)) for n in range(1000))
        for subscriber in subscribers:
            subscriber.expect("message-999-")
        publisher.end_input()
        seen = [re.findall(rb"message-\d+-y*", subscriber.out.data) for subscriber in subscribers]
        return publisher.status(), bytes(publisher.out.data), seen

    @both_modes
    def test_monitor(self):
        _, port = self.serve()
        monitor = self.start_cli(port, "MONITOR")
        monitor.expect("OK\n")
        self.bench(port, "-c", "10", "-P", "4", "-n", "1000", "SET", "watched", "v")
        self.ask(port, "ECHO", "the-last")
        monitor.expect("the-last")
        lines = [line.split("] ", 1)[1] for line in bytes(monitor.out.data).decode().splitlines() if "] " in line]
        return lines.count('"SET" "watched" "v"'), lines[-1]

    @both_modes
    def test_mass_insertion(self):
        """redis-cli --pipe writes without reading, until the server has answered everything."""
        _, port = self.serve()
        client = self.start_cli(port, "--pipe")
        count = 200_000 if sealed.FULL else 20_000
        client.feed([b"".join(b"SET k%d %d\r\n" % (n, n * n) for n in range(count))]).join(20)
        client.end_input()
        return client.status(60), bytes(client.out.data).splitlines()[-1:], self.digest(port)

    @both_modes
    def test_large_value(self):
        _, port = self.serve()
        content = b"".join(sealed.stream((64 if sealed.FULL else 8) * MIB))
        writer = self.start_cli(port, "-x", "SET", "big")
        writer.feed([content]).join(30)
        writer.end_input()
        self.assertEqual(writer.status(60), 0)
        readers = [self.start_cli(port, "--raw", "GET", "big", digest_only=True) for _ in range(3)]
        statuses = [reader.status(60) for reader in readers]
        wanted = hashlib.sha256(content + b"\n").hexdigest()
        self.assertEqual([reader.out.digest() for reader in readers], [wanted] * 3)
        return statuses, self.ask(port, "STRLEN", "big")

    @both_modes
    def test_killed_clients(self):
        server, port = self.serve()
        waiting = [self.start_cli(port, "BLPOP", "queue", "0") for _ in range(5)]
        self.until(port, lambda: self.info(port, "blocked_clients") == "5")
        killed = self.ask(port, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        seen = [(client.status(), bytes(client.out.data), bytes(client.err.data)) for client in waiting]
        return killed, seen, self.ask(port, "PING"), server.runs()

    @both_modes
    def test_client_that_does_not_read_is_dropped(self):
        """A subscriber that is stopped runs into the server's limit for its output buffer."""
        _, port = self.serve("--client-output-buffer-limit", "pubsub 2mb 1mb 60")
        slow = self.start_cli(port, "SUBSCRIBE", "news")
        slow.expect("subscribe\n")
        slow.process.send_signal(signal.SIGSTOP)
        self.assertEqual(self.bench(port, "-P", "16", "-d", "100000", "-n", "300", "PUBLISH", "news", "z" * 50000), 0)
        self.until(port, lambda: self.ask(port, "PUBSUB", "NUMSUB", "news") == "news\n0")
        slow.process.send_signal(signal.SIGCONT)
        slow.expect("news")
        return self.ask(port, "PUBLISH", "news", "nobody is there")


class Persistence(Case):
    @both_modes
    def test_bgsave_and_save_under_load(self):
        """fork(2) amid the traffic of 50 connections, several times; then a restart from the file."""
        server, port = self.serve("--rdb-save-incremental-fsync", "no")
        self.fill(port, 200_000 if sealed.FULL else 20_000)
        count = 400_000 if sealed.FULL else 60_000
        load = self.start_bench(port, "-P", "16", "-c", "50", "-n", count, "INCR", "counter")
        for _ in range(3):
            self.assertEqual(self.ask(port, "BGSAVE"), "Background saving started")
            self.until(port, lambda: self.info(port, "rdb_bgsave_in_progress") == "0")
            self.assertEqual(self.info(port, "rdb_last_bgsave_status"), "ok")
        status = load.status(60)
        seen = self.ask(port, "SAVE"), self.ask(port, "GET", "counter"), self.digest(port)
        self.ask(port, "SHUTDOWN", "NOSAVE")
        ended = server.status()
        self.serve(port=port)
        self.assertEqual(self.digest(port), seen[2])
        return status, seen, ended

    @both_modes
    def test_restart_with_an_append_only_file(self):
        server, port = self.serve("--appendonly", "yes")
        self.bench(port, "-P", "16", "-n", "20000", "-r", "1", "RPUSH", "list", "element")
        load = self.start_bench(port, "-n", "100000000", "GET", "key")
        self.ask(port, "BGREWRITEAOF")
        self.until(port, lambda: self.info(port, "aof_rewrite_in_progress") == "0")
        server.process.terminate()
        seen = server.status(), load.status()  # the benchmark loses its connections, in the same way
        self.serve("--appendonly", "yes", port=port)
        return seen, self.ask(port, "LLEN", "list"), self.digest(port)


class Replication(Case):
    def replica(self, master_port, *options, port=None):
        server, port = self.serve("--replicaof", f"{self.address} {master_port}", "--repl-timeout", "20", *options,
                                  port=port)
        self.until(port, lambda: self.info(port, "master_link_status") == "up")
        return server, port

    def assert_same(self, master_port, *ports):
        for port in ports:
            self.until(port, lambda port=port: self.info(port, "master_link_status") == "up"
                       and self.info(port, "master_repl_offset") == self.info(master_port, "master_repl_offset")
                       and self.digest(port) == self.digest(master_port))

    def scenario(self, *options):
        """Two replicas under load, with sealed.FULL the second one of the first, which is killed and starts again."""
        count = 200_000 if sealed.FULL else 20_000
        _, master_port = self.serve("--repl-backlog-size", "10mb", "--repl-diskless-sync-delay", "0", *options)
        self.fill(master_port, count, 300)
        replica, port = self.replica(master_port, *options)
        _, other = self.replica(port if sealed.FULL else master_port, *options)
        load = self.start_bench(master_port, "-P", "16", "-n", count, "-r", "5000", "SET", "k__rand_int__", "v")
        replica.process.kill()
        replica.status()
        replica, _ = self.replica(master_port, *options, port=port)
        status = load.status(60)
        self.bench(master_port, "-n", count, "-P", "16", "INCR", "counter")
        self.assert_same(master_port, port, other)
        counters = self.ask(port, "GET", "counter"), self.ask(other, "GET", "counter")
        return status, counters, self.ask(port, "SET", "a", "b")

    @both_modes
    def test_killed_replica(self):
        return self.scenario()

    @full_only
    @both_modes
    def test_synchronised_by_a_file(self):
        return self.scenario("--repl-diskless-sync", "no")

    @full_only
    @both_modes
    def test_loaded_from_the_socket(self):
        return self.scenario("--repl-diskless-load", "swapdb")

    @full_only
    @both_modes
    def test_partial_resynchronisation_and_a_restarted_master(self):
        master, master_port = self.serve("--save", "3600 1", "--repl-diskless-sync-delay", "0")
        self.fill(master_port, 1000)
        _, port = self.replica(master_port)
        self.ask(master_port, "CLIENT", "KILL", "TYPE", "replica")
        self.bench(master_port, "-n", "1000", "INCR", "counter")
        self.assert_same(master_port, port)
        partial = self.info(master_port, "sync_partial_ok")
        master.process.terminate()
        master.status()
        self.until(port, lambda: self.info(port, "master_link_status") == "down")
        self.serve("--save", "3600 1", port=master_port)
        self.bench(master_port, "-n", "1000", "INCR", "counter")
        self.assert_same(master_port, port)
        waited = self.ask(master_port, "SET", "x", "y"), self.ask(master_port, "WAIT", "1", "5000")
        return partial, self.ask(port, "GET", "counter"), waited[0]


class Cluster(Case):
    NODES = 6

    def node_port(self):
        """A port whose bus port, 10000 above, is free as well and no connecting socket's."""
        while True:
            port = sealed.free_port()
            if port < 20000 and self.is_free(port + 10000):
                self.ports += [port, port + 10000]
                return port

    def is_free(self, port):
        try:
            socket.create_server((self.address, port)).close()
        except OSError:
            return False
        return True

    def node(self, port):
        return self.serve("--cluster-enabled", "yes", "--cluster-node-timeout", "3000", "--appendonly", "yes",
                          "--cluster-announce-ip", self.address, "--bind-source-addr", self.address,
                          "--protected-mode", "no", "--repl-diskless-sync-delay", "0", port=port)[0]

    def all_ok(self, ports):
        return all("cluster_state:ok" in self.ask(port, "CLUSTER", "INFO") for port in ports)

    def cli(self, port, *words, timeout=60):
        client = self.start_cli(port, "-c", *words)
        return client.status(timeout), bytes(client.out.data).decode().strip()

    def create(self):
        """Starts the nodes and makes them a cluster; gives port -> program."""
        ports = [self.node_port() for _ in range(self.NODES)]  # all of them before the first node starts
        nodes = {port: self.node(port) for port in ports}
        addresses = [f"{self.address}:{port}" for port in nodes]
        create = self.run_program("redis-cli", "--cluster", "create", *addresses, "--cluster-replicas", "1",
                                  "--cluster-yes")
        self.assertEqual(create.status(60), 0, bytes(create.out.data))
        self.until(next(iter(nodes)), lambda: self.all_ok(nodes) and self.replicas_up(nodes))
        return nodes

    def load(self, port):
        return self.bench(port, "--cluster", "-P", "16", "-c", "60", "-n", "50000" if sealed.FULL else "10000",
                          "-r", "100", "INCR", "counter:{__rand_int__}")

    @both_modes
    def test_six_nodes(self):
        first, *others = ports = list(self.create())
        seen = [self.load(first), self.cli(first, "SET", "greeting", "hello")]
        seen += [self.cli(port, "GET", "greeting") for port in others]
        check = self.run_program("redis-cli", "--cluster", "check", f"{self.address}:{first}")
        return seen, check.status(), b"All 16384 slots covered" in check.out.data, self.all_ok(ports)

    @full_only
    @both_modes
    def test_master_that_is_killed_and_comes_back(self):
        nodes = self.create()
        first = next(iter(nodes))
        seen = [self.load(first), self.cli(first, "SET", "greeting", "hello")]
        victim = self.master_of(list(nodes), "greeting")
        self.until(victim, lambda: self.ask(victim, "WAIT", "1", "100") == "1")
        nodes[victim].process.kill()
        nodes[victim].status()
        rest = [port for port in nodes if port != victim]
        self.until(rest[0], lambda: self.all_ok(rest) and self.master_of(rest, "greeting") in rest, timeout=60)
        seen.append(self.cli(rest[0], "GET", "greeting"))
        self.node(victim)
        self.until(victim, lambda: self.all_ok(nodes) and self.info(victim, "role") == "slave"
                   and self.info(victim, "master_link_status") == "up", timeout=60)
        return seen, self.load(rest[0]), self.cli(victim, "GET", "greeting")

    @full_only
    @both_modes
    def test_slots_that_move(self):
        """Resharding copies keys from node to node by MIGRATE, while clients are redirected."""
        nodes = list(self.create())
        self.load(nodes[0])
        names = {node: self.ask(node, "CLUSTER", "MYID") for node in nodes[:2]}
        load = self.start_bench(nodes[0], "-P", "4", "-n", "20000", "PING")
        reshard = self.run_program("redis-cli", "--cluster", "reshard", f"{self.address}:{nodes[0]}", "--cluster-from",
                                   names[nodes[0]], "--cluster-to", names[nodes[1]], "--cluster-slots", "1000",
                                   "--cluster-yes")
        seen = reshard.status(60), load.status(60), self.load(nodes[0])
        self.until(nodes[0], lambda: self.all_ok(nodes))
        return seen, self.cli(nodes[1], "SET", "a", "b"), self.cli(nodes[2], "GET", "a")

    def replicas_up(self, ports):
        links = [self.info(port, "master_link_status") for port in ports]
        return links.count("up") == self.NODES // 2

    def master_of(self, ports, key):
        """The port of the node that serves the key, as the first of the ports sees it."""
        slot = int(self.ask(ports[0], "CLUSTER", "KEYSLOT", key))
        for line in self.ask(ports[0], "CLUSTER", "NODES").splitlines():
            words = line.split()
            for first, last in (part.partition("-")[::2] for part in words[8:] if part[0].isdigit()):
                if int(first) <= slot <= int(last or first) and "fail" not in words[2]:
                    return int(words[1].split("@")[0].rpartition(":")[2])
        return None


if __name__ == "__main__":
    unittest.main()
