# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
# packages: openssl curl
"""TLS inside the seal: openssl s_server with s_client and with curl over a sealed port."""

import hashlib
import subprocess
import sys
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import sealed

from sealed import both_modes

PROGRAMS = {"openssl": ["openssl", "version"], "curl": ["curl", "--version"]}
MIB = 1 << 20
LARGE = 100 * MIB if sealed.FULL else 16 * MIB


class Openssl(sealed.TestCase):
    def setUp(self):
        sealed.need("openssl")
        super().setUp()
        self.address = sealed.loopback()
        self.certificate = self.directory / "certificate.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", self.certificate, "-out", self.directory / "public", "-days", "2", "-subj",
                        "/CN=inside", "-addext", f"subjectAltName=IP:{self.address}"],
                       check=True, capture_output=True, timeout=30)
        with open(self.certificate, "ab") as file:
            file.write((self.directory / "public").read_bytes())

    def serve(self, *options, **how):
        port = self.port()
        self.server = self.run_program("openssl", "s_server", "-accept", f"{self.address}:{port}", "-cert",
                                       self.certificate, "-key", self.certificate, *options, **how)
        self.wait_listening(port, self.server)
        return port

    def client(self, port, *options, **how):
        return self.run_program("openssl", "s_client", "-connect", f"{self.address}:{port}", "-CAfile",
                                self.directory / "public", "-verify_return_error", *options, **how)

    @both_modes
    def test_conversation_and_shutdown(self):
        port = self.serve("-quiet", "-naccept", "1")
        client = self.client(port, "-quiet")
        for number in range(5):
            client.type(f"request {number}")
            self.server.expect(f"request {number}\n")
            self.server.type(f"answer {number}")
            client.expect(f"answer {number}\n")
        self.server.type("Q")  # after -quiet just text
        client.expect("Q\n")
        client.end_input()
        self.server.end_input()
        return bytes(client.out.data), bytes(self.server.out.data)

    @both_modes
    def test_versions_and_suites(self):
        """-rev sends each line back, reversed."""
        port, seen = self.serve("-rev", "-cipher", "ALL:@SECLEVEL=0"), []
        for options in (["-tls1_2"], ["-tls1_3"], ["-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"]):
            client = self.client(port, "-nocommands", *options)  # "C" reconnects, from OpenSSL 3.2 on
            client.type("stressed")
            client.expect("desserts")
            client.type("CLOSE")
            seen.append(client.status())
            seen.append(b"Verify return code: 0 (ok)" in client.out.data)
        return seen

    @both_modes
    def test_large_transfer(self):
        port = self.serve("-quiet", "-naccept", "1", digest_only=True)
        client, stream = self.client(port, "-quiet"), sealed.HashedStream(LARGE)
        client.feed(stream)
        arrived = self.server.expect_length(LARGE, 60)
        return arrived == stream.digest()

    @both_modes
    def test_https_with_curl(self):
        content = b"".join(sealed.stream(LARGE))
        (self.directory / "large").write_bytes(content)
        port, seen = self.serve("-WWW"), []
        for options in (["--tls-max", "1.2"], []):
            client = self.run_program("curl", "-sS", "--noproxy", "*", "--max-time", "60", "--cacert",
                                      self.directory / "public", *options, f"https://{self.address}:{port}/large",
                                      digest_only=True)
            seen.append((client.status(60), client.out.digest() == hashlib.sha256(content).hexdigest()))
        self.assertEqual(seen, [(0, True)] * 2)
        client = self.run_program("curl", "-sS", "--noproxy", "*", "--cacert", self.directory / "keys",
                                  f"https://{self.address}:{port}/large")
        return seen, client.status()


if __name__ == "__main__":
    unittest.main()
