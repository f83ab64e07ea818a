# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
# packages: nodejs
# suite: full
# full-limit: 300
"""Node's HTTP server and client, keep-alive and Upgrade to frames in both directions, as WebSocket does it."""

import hashlib
import signal
import sys
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import sealed
import services

from sealed import both_modes

PROGRAMS = {"node": ["node", "--version"]}


class NodeHttp(sealed.TestCase):
    def setUp(self):
        sealed.need("node")
        super().setUp()
        self.address = sealed.loopback()
        self.file = self.directory / "file"
        self.file.write_bytes(b"".join(sealed.stream(services.LARGE)))
        self.sha = hashlib.sha256(self.file.read_bytes()).hexdigest()

    def serve(self):
        port = self.port()
        self.server = self.run_program("node", services.PROGRAMS / "http_server.js", self.address, port, self.file)
        self.wait_listening(port, self.server)
        return port

    @both_modes
    def test_requests_uploads_and_frames(self):
        port = self.serve()
        clients = [self.run_program("node", services.PROGRAMS / "http_client.js", self.address, port, 1000, 50)
                   for _ in range(2)]
        for client in clients:
            status = client.status(services.PATIENCE)
            lines = bytes(client.out.data).decode().splitlines()
            self.assertEqual((status, lines), (0, ["get 1000", "post 60", f"file {self.sha}", "drip 11",
                                                   "abort ECONNRESET", "talk 50"]), bytes(client.err.data))
        self.server.process.send_signal(signal.SIGTERM)
        return self.server.status(), bytes(self.server.out.data)

    @both_modes
    def test_client_that_is_killed(self):
        port = self.serve()
        client = self.run_program("node", services.PROGRAMS / "http_client.js", self.address, port, 100000, 50)
        suffix = f":{port:04X}"
        while sum(state == "01" and local.endswith(suffix) for local, _, state, _ in self._sockets(client.pid)) < 40:
            self.assertTrue(client.runs())
            sealed.time.sleep(0.01)
        client.process.kill()
        client.status()
        client = self.run_program("node", services.PROGRAMS / "http_client.js", self.address, port, 50, 5)
        return client.status(services.PATIENCE), bytes(client.out.data), self.server.runs()


if __name__ == "__main__":
    unittest.main()
