# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
# packages: php-cli php-curl
"""PHP: stream_select, stream buffers; extensions that are bound deeply (RTLD_DEEPBIND): sockets, curl."""

import os
import signal
import sys
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import sealed
import services

from sealed import both_modes

PROGRAMS = {"php": ["php", "--version"]}


class Php(services.Scenarios, sealed.TestCase):
    def setUp(self):
        sealed.need("php")
        super().setUp()

    @staticmethod
    def command():
        return ["php", services.PROGRAMS / "services.php"]

    @both_modes
    def test_client(self):
        port = self.serve()
        client = self.run_program("php", services.PROGRAMS / "client.php", self.address, port, services.MANY, 100000)
        status, lines = client.status(services.PATIENCE), bytes(client.out.data).decode().splitlines()
        self.assertEqual(lines, [f"select {services.MANY}", f"file {self.sha}", "sockets right"], bytes(client.err.data))
        return status, lines, self.end()

    @both_modes
    def test_built_in_server_and_curl(self):
        """With workers that share the listener; libcurl comes with an extension, bound deeply."""
        port, program = self.port(), services.PROGRAMS / "web.php"
        self.server = self.run_program("env", "PHP_CLI_SERVER_WORKERS=4", f"SERVED_FILE={self.file}", "php", "-S",
                                       f"{self.address}:{port}", program)
        self.addCleanup(lambda server: os.killpg(server.pid, signal.SIGKILL), self.server)
        self.wait_listening(port, self.server)
        client = self.run_program("php", program, self.address, port)
        status, lines = client.status(services.PATIENCE), bytes(client.out.data).decode().splitlines()
        self.assertEqual(lines, ["post 40", f"file {self.sha}", "drip 35"], bytes(client.err.data))
        return status, lines


if __name__ == "__main__":
    unittest.main()
