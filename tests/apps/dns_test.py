# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
#
# packages: unbound bind9-dnsutils
"""Unbound and dig: DNS over sealed TCP and over UDP, which stays as it is, on the same port; queries one behind the other
on one connection, answers larger than a datagram, a resolver that asks another over TCP."""

import hashlib
import os
import signal
import sys
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import sealed

from sealed import both_modes

PROGRAMS = {"unbound": ["/usr/sbin/unbound", "-V"], "dig": ["dig", "-v"]}

HOSTS = 2000 if sealed.FULL else 300
CLIENTS = 60 if sealed.FULL else 20

CONFIGURATION = """
server:
    interface: {address}
    port: {port}
    do-daemonize: no
    use-syslog: no
    verbosity: 0
    username: ""
    chroot: ""
    directory: "{home}"
    pidfile: ""
    num-threads: 2
    access-control: 127.0.0.0/8 allow
    do-not-query-localhost: no
    module-config: "iterator"
    {server}
remote-control:
    control-enable: no
{zone}
"""


class DNS(sealed.TestCase):
    def setUp(self):
        sealed.need("dig")
        if not os.path.exists("/usr/sbin/unbound"):
            sealed.missing("unbound")
        super().setUp()
        self.address = sealed.loopback()

    def start(self, port, server, zone=""):
        configuration = self.directory / f"unbound.{port}.conf"
        configuration.write_text(CONFIGURATION.format(
            address=self.address, port=port, home=self.directory, server="\n    ".join(server), zone=zone))
        return self.wait_listening(port, self.run_program("/usr/sbin/unbound", "-d", "-c", configuration))

    def start_authority(self):
        """A server that knows host0.sealed and so on, and of the name large.sealed 30 texts of 200 bytes."""
        port = self.port()
        names = [f'local-data: "host{number}.sealed. A 10.9.{number // 250}.{number % 250}"' for number in range(HOSTS)]
        texts = [f"local-data: 'large.sealed. TXT \"{str(number) * 100}\"'" for number in range(60, 90)]
        return port, self.start(port, ['local-zone: "sealed." static', *names, *texts])

    def dig(self, port, *arguments):
        return self.run_program("dig", f"@{self.address}", "-p", port, "+short", "+tries=1", "+time=10", *arguments)

    def answers(self, *clients):
        """Status and sorted lines of each."""
        return [(client.status(), hashlib.sha256(b"\n".join(sorted(client.out.data.split(b"\n")))).hexdigest())
                for client in clients]

    def end(self, server):
        os.kill(server.pid, signal.SIGTERM)
        return server.status()

    @both_modes
    def test_many_queries_on_one_connection(self):
        port, server = self.start_authority()
        (self.directory / "queries").write_text("".join(f"host{number}.sealed\n" for number in range(HOSTS)))
        client = self.dig(port, "+tcp", "+keepopen", "-f", self.directory / "queries")
        seen = client.status(), bytes(client.out.data)
        expected = "".join(f"10.9.{number // 250}.{number % 250}\n" for number in range(HOSTS))
        self.assertEqual(seen, (0, expected.encode()))
        return seen, self.end(server)

    @both_modes
    def test_many_clients_at_once(self):
        port, server = self.start_authority()
        clients = [self.dig(port, *words) for number in range(CLIENTS)
                   for words in (("+tcp", f"host{number}.sealed"), ("+notcp", f"host{number}.sealed"))]
        seen = [(client.status(), bytes(client.out.data)) for client in clients]
        self.assertEqual(seen[:2], [(0, b"10.9.0.0\n")] * 2)
        return seen, self.end(server)

    @both_modes
    def test_an_answer_too_large_for_a_datagram(self):
        port, server = self.start_authority()
        client = self.dig(port, "+bufsize=512", "large.sealed", "TXT")
        seen = self.answers(client)
        self.assertGreater(client.out.length, 30 * 200)
        return seen, self.end(server)

    @both_modes
    def test_a_resolver_that_asks_over_tcp(self):
        upstream, authority = self.start_authority()
        front = self.port()
        zone = f'forward-zone:\n    name: "."\n    forward-addr: {self.address}@{upstream}\n'
        resolver = self.start(front, ["tcp-upstream: yes"], zone)
        clients = [self.dig(front, "+tcp", f"host{number}.sealed") for number in range(CLIENTS)]
        seen = [(client.status(), bytes(client.out.data)) for client in clients]
        self.assertEqual(seen[1], (0, b"10.9.0.1\n"))
        return seen, self.end(resolver), self.end(authority)


if __name__ == "__main__":
    unittest.main()
