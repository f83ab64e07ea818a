# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
#
# packages: apache2 apache2-utils curl
"""Apache with each of its models (event, worker, prefork): many clients, large files by sendfile and by mmap, uploads, a
proxy in front, and a graceful restart under load."""

import hashlib
import os
import re
import signal
import sys
import time
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import sealed

from sealed import both_modes, full_only

PROGRAMS = {"apache2": ["/usr/sbin/apache2", "-v"]}

MIB = 1 << 20
SIZE = (60 if sealed.FULL else 8) * MIB
REQUESTS = 5000 if sealed.FULL else 500
PAGE = b"<p>This page is for those who hold the key.</p>\n"

# Nothing is started or ended for want or excess of spare workers: it would cut kept connections at any time.
CONFIGURATION = """
ServerRoot {home}
ServerName test
PidFile {home}/pid
Listen {address}:{port}
LoadModule mpm_{model}_module {modules}/mod_mpm_{model}.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule proxy_module {modules}/mod_proxy.so
LoadModule proxy_http_module {modules}/mod_proxy_http.so
LoadModule dav_module {modules}/mod_dav.so
LoadModule dav_fs_module {modules}/mod_dav_fs.so
User www-data
Group www-data
ErrorLog {home}/error.log
LogLevel warn
DocumentRoot {site}
DavLockDB {home}/lock
MaxKeepAliveRequests 0
MaxRequestWorkers 120
GracefulShutdownTimeout 20
<Directory {site}>
    Require all granted
    Dav On
</Directory>
{more}
"""
THREADS = "StartServers 2\nThreadsPerChild 60\nThreadLimit 60\nMinSpareThreads 1\nMaxSpareThreads 120\n"
PROCESSES = "StartServers 40\nMinSpareServers 1\nMaxSpareServers 120\n"


class Apache(sealed.TestCase):
    def setUp(self):
        for program in ("ab", "curl"):
            sealed.need(program)
        if not os.path.exists("/usr/sbin/apache2"):
            sealed.missing("apache2")
        super().setUp()
        self.directory.chmod(0o755)
        self.address, self.site = sealed.loopback(), self.directory / "site"
        self.site.mkdir()
        self.site.chmod(0o777)  # the workers are another user
        self.content = b"".join(sealed.stream(SIZE))
        (self.site / "big").write_bytes(self.content)
        (self.site / "page").write_bytes(PAGE)

    def start(self, model, more=""):
        port = self.port()
        home = self.directory / f"home.{port}"
        home.mkdir()
        home.chmod(0o777)
        configuration = home / "apache2.conf"
        configuration.write_text(CONFIGURATION.format(
            home=home, site=self.site, address=self.address, port=port, model=model,
            modules="/usr/lib/apache2/modules", more=more + (PROCESSES if model == "prefork" else THREADS)))
        server = self.run_program("/usr/sbin/apache2", "-f", configuration, "-DFOREGROUND")
        return self.wait_listening(port, server), f"http://{self.address}:{port}"

    def curl(self, *arguments):
        return self.run_program("curl", "-sS", "--fail", *arguments, digest_only=True)

    def load(self, url):
        """What a server gives to many clients at once; all of it is checked."""
        bench = self.run_program("ab", "-q", "-k", "-n", REQUESTS, "-c", 20, f"{url}/page")
        downloads = [self.curl(f"{url}/big") for _ in range(8)]
        ends = [(one.status(60), one.out.digest() == hashlib.sha256(self.content).hexdigest()) for one in downloads]
        self.assertEqual(set(ends), {(0, True)})
        return bench.status(60), re.findall(rb"(?:Complete|Failed) requests: +\d+", bench.out.data), ends

    def upload(self, url):
        upload = self.curl("-T", self.site / "big", f"{url}/copy")
        return upload.status(60), (self.site / "copy").read_bytes() == self.content

    def end(self, *servers):
        for server in servers:
            os.kill(server.pid, signal.SIGTERM)
        return [server.status() for server in servers]

    def serve(self, model, more=""):
        server, url = self.start(model, more)
        return self.load(url), self.upload(url), self.end(server)

    @both_modes
    def test_event(self):
        return self.serve("event", "EnableSendfile On\n")

    @full_only
    @both_modes
    def test_worker(self):
        return self.serve("worker", "EnableSendfile Off\nEnableMMAP On\n")

    @full_only
    @both_modes
    def test_prefork(self):
        return self.serve("prefork", "EnableSendfile On\n")

    @both_modes
    def test_a_proxy_in_front(self):
        back, url = self.start("event")
        front, front_url = self.start("worker", f"ProxyPass / {url}/\n")
        return self.load(front_url), self.end(front, back)

    @both_modes
    def test_graceful_restart_under_load(self):
        server, url = self.start("event")
        download = self.curl("--limit-rate", str(SIZE // 2), f"{url}/big")
        script = f"for n in $(seq 1 100); do curl -sS --fail {url}/page || echo lost; done"
        visitor = self.run_program("bash", "-c", script, digest_only=True)
        for number in range(2):
            visitor.out.wait(lambda output, pages=10 * (number + 1): output.length >= pages * len(PAGE), sealed.DEADLINE)
            os.kill(server.pid, signal.SIGUSR1)
        ends = download.status(60), visitor.status(60)
        self.assertEqual(download.out.digest(), hashlib.sha256(self.content).hexdigest())
        self.assertEqual(visitor.out.digest(), hashlib.sha256(PAGE * 100).hexdigest())
        return ends, self.end(server)


if __name__ == "__main__":
    unittest.main()
