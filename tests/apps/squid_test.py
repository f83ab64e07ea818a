# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
#
# packages: squid curl
# suite: full
"""Squid between sealed clients and a sealed origin, which becomes another user before it listens: files down and up,
through tunnels (CONNECT), many at once. In one process (-N): the worker that it starts otherwise has two users' rights,
so that nothing can be preloaded into it."""

import hashlib
import os
import shutil
import sys
import textwrap
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import sealed

from sealed import both_modes, sealed_only

SQUID = "/usr/sbin/squid"
PROGRAMS = {"squid": ["/usr/sbin/squid", "-v"]}
SIZE = (20 if sealed.FULL else 2) << 20
CLIENTS = 40 if sealed.FULL else 10

CONFIGURATION = """
http_port {address}:{port}
http_access allow all
cache deny all
pid_filename {state}/pid
cache_log {state}/cache.log
access_log none
coredump_dir {state}
shutdown_lifetime 0 seconds
pinger_enable off
netdb_filename none
visible_hostname test
"""

ORIGIN = textwrap.dedent("""
    import hashlib, http.server, sys
    content = open(sys.argv[3], "rb").read()
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        def reply(self, body):
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        def do_GET(self):
            self.reply(content)
        def do_PUT(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.reply(hashlib.sha256(body).hexdigest().encode())
    http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()
""")


@unittest.skipUnless(os.geteuid() == 0, "squid gives up root's rights")
class Squid(sealed.TestCase):
    def setUp(self):
        if not os.path.exists(SQUID):
            sealed.missing("squid")
        super().setUp()
        self.address = sealed.loopback()
        self.directory.chmod(0o711)
        self.content = b"".join(sealed.stream(SIZE))
        self.large = self.directory / "large"
        self.large.write_bytes(self.content)

    def start(self, *options):
        state = self.directory / "state"
        shutil.rmtree(state, ignore_errors=True)
        state.mkdir()
        shutil.chown(state, "proxy")
        self.at, self.behind = self.port(), self.port()
        self.wait_listening(self.behind, self.run_program(sealed.PYTHON, "-c", ORIGIN, self.address, self.behind,
                                                          self.large))
        configuration = self.directory / "squid.conf"
        configuration.write_text(CONFIGURATION.format(address=self.address, port=self.at, state=state))
        self.server = self.run_program(SQUID, *options, "-f", configuration)
        self.wait_listening(self.at, self.server)

    def curl(self, *arguments, **options):
        return self.run_program("curl", "-sS", "-x", f"http://{self.address}:{self.at}", *arguments,
                                f"http://{self.address}:{self.behind}/large", **options)

    def check(self, clients, digest):
        ends = [(client.status(60), client.out.digest()) for client in clients]
        if set(ends) != {(0, digest)}:
            self.fail_with_report(f"curl ended with {set(ends)}")
        return ends

    @both_modes
    def test_down_by_many(self):
        self.start("-N")
        clients = [self.curl(digest_only=True) for _ in range(CLIENTS)]
        return self.check(clients, hashlib.sha256(self.content).hexdigest())

    @both_modes
    def test_through_tunnels(self):
        self.start("-N")
        clients = [self.curl("-p", digest_only=True) for _ in range(CLIENTS)]
        return self.check(clients, hashlib.sha256(self.content).hexdigest())

    @both_modes
    def test_up(self):
        self.start("-N")
        said = hashlib.sha256(self.content).hexdigest().encode()
        return self.check([self.curl("-T", self.large)], hashlib.sha256(said).hexdigest())

    @sealed_only
    def test_its_worker_is_warned_of(self):
        self.start("--foreground")
        self.server.expect_log("warning", "two users' rights", "in the clear")


if __name__ == "__main__":
    unittest.main()
