# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
# packages: ruby ruby-webrick
"""Ruby: threads, buffered and unbuffered reads, IO.select, IO.copy_stream."""

import sys
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import sealed
import services

from sealed import both_modes

PROGRAMS = {"ruby": ["ruby", "--version"]}


class Ruby(services.Scenarios, sealed.TestCase):
    aborted = {"error ECONNRESET", "error EPIPE"}

    def setUp(self):
        sealed.need("ruby")
        super().setUp()

    @staticmethod
    def command():
        return ["ruby", services.PROGRAMS / "services.rb"]

    @both_modes
    def test_client(self):
        port = self.serve()
        client = self.run_program("ruby", services.PROGRAMS / "client.rb", self.address, port, services.MANY, 100000)
        status, lines = client.status(services.PATIENCE), bytes(client.out.data).decode().splitlines()
        self.assertEqual(lines, [f"echo {services.MANY}", f"select {2 * services.MANY}", f"file {self.sha}"], bytes(client.err.data))
        return status, lines, self.end()

    @both_modes
    def test_webrick_and_net_http(self):
        port, program = self.port(), services.PROGRAMS / "webrick.rb"
        self.server = self.run_program("ruby", program, "serve", self.address, port, self.directory)
        self.wait_listening(port, self.server)
        client = self.run_program("ruby", program, "fetch", self.address, port)
        status, lines = client.status(services.PATIENCE), bytes(client.out.data).decode().splitlines()
        self.assertEqual(lines, ["post 20", f"file {self.sha}", "missing 404"], bytes(client.err.data))
        return status, lines, self.end()


if __name__ == "__main__":
    unittest.main()
