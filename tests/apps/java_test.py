# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
# packages: default-jdk-headless
# suite: full
# full-limit: 300
"""Java: a server with a Selector, one with a thread for each connection, and a client of both kinds."""

import sys
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import services

from sealed import both_modes

PROGRAMS = {"java": ["java", "--version"]}
JAVA = ("java", "-Xmx512m", "-XX:+UseSerialGC", "-Xshare:auto")


class Java:
    """javac makes a directory of classes of OUT."""

    build = ("javac", "-Xlint:-options", "-nowarn", "-d", "OUT", "SOURCE", str(services.PROGRAMS / "JavaClient.java"))
    aborted = {"error ECONNRESET", "error EPIPE"}  # transferTo is sendfile(2)

    def command(self):
        return [*JAVA, "-cp", self.program, self.source.removesuffix(".java")]

    @both_modes
    def test_java_client(self):
        port = self.serve()
        client = self.run_program(*JAVA, "-cp", self.program, "JavaClient", self.address, port, 100, 100000)
        status = client.status(services.PATIENCE)
        lines = bytes(client.out.data).decode().splitlines()
        self.assertEqual(lines, ["threads 100", "channels 100", f"file {self.sha}", "timeout then x"])
        return status, lines, self.end()


class Nio(Java, services.Scenarios, services.Compiled):
    source = "NioServices.java"


class Blocking(Java, services.Scenarios, services.Compiled):
    source = "BlockingServices.java"


if __name__ == "__main__":
    unittest.main()
