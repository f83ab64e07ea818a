# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""sockseal ping: each step of a sealed connection, and what is probably wrong when one fails."""

# packages: openssl

import re
import secrets
import subprocess
import sys
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import sealed

from sealed import sealed_only


@sealed_only
class Ping(sealed.TestCase):
    def setUp(self):
        super().setUp()
        self.address = sealed.loopback()

    def ping(self, port, *options, status, env=None):
        command = [sealed.BUILD / "sockseal", "ping", "-k", self.key_file, "-t", "2", *options, self.address, str(port)]
        result = subprocess.run(command, env={**self.plain_env(), **(env or {})}, capture_output=True, text=True,
                                timeout=30, check=False)
        self.assertEqual((result.returncode, result.stderr), (status, ""), result.stdout)
        return result.stdout

    def serve(self, *steps, **how):
        port = self.port()
        server = self.run_peer("serve", self.address, port, *steps, **how)
        return port, self.wait_listening(port, server)

    def test_a_sealed_program(self):
        port, server = self.serve("recv")
        lines = self.ping(port, status=0).splitlines()
        self.assertRegex(lines[0], rf"^tcp +connected to {self.address}:{port} in [0-9.]+ ms$")
        self.assertRegex(lines[1], r"^tls +sealed with \S+ in [0-9.]+ ms$")
        self.assertRegex(lines[2], rf"^identity +{sealed.IDENTITY}, fingerprint (\d{{4}} ?){{5}}$")
        server.expect("recv EOF")  # the program got nothing but the end, in good order

    def test_from_a_sealed_shell(self):
        """There ping is preloaded into as well; its own TLS is not to be sealed once more, and the rules count."""
        port, _ = self.serve("recv")
        shell = {"LD_PRELOAD": str(sealed.LIBRARY), "SOCKSEAL_PORTS": f"connect:{port}",
                 "SOCKSEAL_KEY_FILE": str(self.key_file)}
        seen = self.ping(port, status=0, env=shell)
        self.assertIn(f"identity  {sealed.IDENTITY}", seen)
        self.assertNotIn("note", seen)
        other, _ = self.serve("recv")
        self.assertIn("SOCKSEAL_PORTS here does not name it", self.ping(other, status=0, env=shell))

    def test_the_suite_is_chosen(self):
        port, _ = self.serve("recv")
        self.assertIn("sealed with TLS_CHACHA20_POLY1305_SHA256", self.ping(port, "-s", "chacha20", status=0))

    def test_a_stock_server_with_the_key(self):
        port = self.port()
        server = self.run_stock("openssl", "s_server", "-accept", f"{self.address}:{port}", "-tls1_3", "-nocert", "-psk",
                                self.key, "-psk_identity", sealed.IDENTITY)
        self.wait_listening(port, server)
        self.assertIn(f"identity  {sealed.IDENTITY}", self.ping(port, status=0))

    def test_nothing_listens(self):
        found = self.ping(self.port(), status=1)
        self.assertIn("tcp       failed", found)
        self.assertIn("nothing listens on this port", found)

    def test_no_such_host(self):
        self.address = "no-such-host.invalid"
        self.assertIn("name      failed", self.ping(self.port(), status=1))

    def test_a_program_that_is_not_sealed_and_waits(self):
        port, _ = self.serve("sleep:5", sealed=False)
        found = self.ping(port, "-t", "1", status=1)
        self.assertIn("no answer in time", found)
        self.assertIn("is not sealed and waits for its own protocol", found)

    def test_a_program_that_is_not_sealed_and_speaks_first(self):
        port, _ = self.serve("send:220 ready", "recv", sealed=False)
        found = self.ping(port, status=1)
        self.assertIn('the answer is no TLS: "220 ready"', found)
        self.assertIn("SOCKSEAL_PORTS there does not name this port", found)

    def test_a_program_that_is_not_sealed_and_closes(self):
        port, _ = self.serve("close", sealed=False)
        self.assertIn("is not sealed and does not understand", self.ping(port, status=1))

    def test_another_key_and_another_identity(self):
        for pair in ((sealed.IDENTITY, secrets.token_hex(32)), ("other", self.key)):
            port, _ = self.serve("recv", SOCKSEAL_KEY_FILE=self.write_keys("others", pair))
            found = self.ping(port, status=1)
            self.assertIn("another key under this identity, or does not know the identity", found)
            self.assertRegex(found, rf"offered +{sealed.IDENTITY}, fingerprint (\d{{4}} ?){{5}}")

    def test_a_plain_tls_server(self):
        port, certificate = self.port(), self.directory / "certificate"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x", "-keyout", certificate,
                        "-out", certificate.with_suffix(".pem")], check=True, capture_output=True, timeout=60)
        server = self.run_stock("openssl", "s_server", "-accept", f"{self.address}:{port}", "-cert",
                                certificate.with_suffix(".pem"), "-key", certificate)
        self.wait_listening(port, server)
        self.assertIn("a TLS server that is not sealed", self.ping(port, status=1))

    def test_rules_leave_no_key(self):
        port, _ = self.serve("recv")
        self.key_file = self.write_keys("keys", (sealed.IDENTITY, self.key + " connect:10.9.9.9"))
        self.assertIn("leave none for this address", self.ping(port, status=1))

    def test_a_port_that_would_not_be_sealed_here(self):
        port, _ = self.serve("recv", "accept", "recv")
        self.assertIn("would connect in the clear", self.ping(port, "-p", str(port + 1), status=0))
        self.assertNotIn("would connect in the clear", self.ping(port, "-p", str(port), status=0))

    def test_usage_and_configuration(self):
        for arguments, status in ((["ping"], 125), (["ping", "host"], 125), (["ping", "host", "http"], 125),
                                  (["ping", "host", "65536"], 125), (["ping", "host", "0"], 125),
                                  (["ping", "-k", "/nonexistent", "h", "1"], 78),
                                  (["ping", "h", "1", "-k", "/nonexistent"], 78)):
            result = subprocess.run([sealed.BUILD / "sockseal", *arguments], env=self.plain_env(), capture_output=True,
                                    text=True, timeout=30, check=False)
            self.assertEqual(result.returncode, status, result.stderr)
            self.assertTrue(re.match("sockseal: ", result.stderr))


if __name__ == "__main__":
    unittest.main()
