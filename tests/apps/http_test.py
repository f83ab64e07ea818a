# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""curl against python3 -m http.server."""

import hashlib
import sys
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import sealed
import wire

from sealed import both_modes, sealed_only

PAGE = b"<p>This page is for those who hold the key.</p>\n"


class Http(sealed.TestCase):
    def setUp(self):
        sealed.need("curl")
        super().setUp()
        self.address = sealed.loopback()
        site = self.directory / "site"
        site.mkdir()
        (site / "page.html").write_bytes(PAGE)
        (site / "empty").write_bytes(b"")
        self.big = b"".join(sealed.stream(8 << 20))
        (site / "big").write_bytes(self.big)
        self.site = site

    def serve(self, *options, **how):
        """Starts the server; gives its URL."""
        port = self.port()
        self.server = self.run_program(sealed.PYTHON, "-m", "http.server", "--bind", self.address, "--directory",
                                       self.site, *options, str(port), **how)
        self.wait_listening(port, self.server)
        return f"http://{self.address}:{port}"

    def curl(self, *arguments, **how):
        return self.run_program("curl", "-sS", "--noproxy", "*", "--max-time", "15", *arguments, **how)

    @both_modes
    def test_page_crosses_the_wire_unreadable(self):
        url = self.serve()
        target = (self.address, self.ports[-1])
        recorder = wire.Wire(self, self.address, self.port(), target)
        client = self.curl(f"http://{self.address}:{self.ports[-1]}/page.html")
        seen = client.status(), bytes(client.out.data)
        wire.assert_sealed(self, recorder, PAGE, "GET /page.html HTTP")
        self.assertEqual(seen, (0, PAGE), url)
        return seen

    @both_modes
    def test_large_file(self):
        client = self.curl(self.serve() + "/big", digest_only=True)
        return client.status(), client.out.digest() == hashlib.sha256(self.big).hexdigest()

    @both_modes
    def test_empty_file_missing_file_and_head(self):
        url, seen = self.serve(), []
        for arguments in ([url + "/empty"], ["-f", url + "/missing"], ["-I", "-o", "/dev/null", url + "/page.html"]):
            client = self.curl("-w", "%{http_code}", *arguments)
            seen.append((client.status(), bytes(client.out.data)))
        return seen

    @both_modes
    def test_connection_that_is_kept_alive(self):
        """Five requests, one connection."""
        url = self.serve("--protocol", "HTTP/1.1")
        client = self.curl("-w", " connects: %{num_connects}\n", *[url + "/page.html"] * 5)
        return client.status(), bytes(client.out.data)

    @both_modes
    def test_twenty_requests_in_parallel(self):
        url = self.serve()
        client = self.curl("-Z", "--parallel-max", "20", *[url + "/page.html"] * 20)
        return client.status(), bytes(client.out.data).count(PAGE)

    @both_modes
    def test_client_that_gives_up_leaves_the_server_serving(self):
        url = self.serve()
        client = self.curl("--max-filesize", "1000", url + "/big", digest_only=True)
        first = client.status()
        client = self.curl(url + "/page.html")
        return first, client.status(), bytes(client.out.data)

    @both_modes
    def test_rate_limited_download(self):
        """curl leaves bytes unread for a while: they must not get lost, and readiness must stay true."""
        url = self.serve()
        client = self.curl("--limit-rate", "6M", url + "/big", digest_only=True)
        return client.status(), client.out.digest() == hashlib.sha256(self.big).hexdigest()

    @sealed_only
    def test_client_that_does_not_seal_is_refused(self):
        url = self.serve()
        client = self.curl(url + "/page.html", sealed=False)
        self.assertNotEqual(client.status(), 0)
        self.assertNotIn(PAGE, bytes(client.out.data))
        self.server.expect_log(str(self.ports[0]))
        again = self.curl(url + "/page.html")
        self.assertEqual((again.status(), bytes(again.out.data)), (0, PAGE))


if __name__ == "__main__":
    unittest.main()
