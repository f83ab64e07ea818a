# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
#
# packages: nginx-light wrk apache2-utils curl wget
# full-limit: 600
"""Static files by sendfile, from several workers and aio threads; ranges, keep-alive, pipelining, 400 connections; a
proxy with a sealed upstream; reload under load, binary upgrade, shutdown amid a download; curl, wget, wrk, ab."""

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
import wire

from sealed import both_modes, full_only

PROGRAMS = {"nginx": ["/usr/sbin/nginx", "-v"], "wrk": ["wrk", "-v"], "ab": ["ab", "-V"], "curl": ["curl", "--version"],
            "wget": ["wget", "--version"]}
MIB = 1 << 20
PAGE = b"<p>This page is for those who hold the key.</p>\n"

# Workers run as another user than the master; everything that nginx writes stands in the test's directory.
CONFIGURATION = """
user www-data;
worker_processes {workers};
daemon {daemon};
pid {home}/nginx.pid;
error_log {home}/error.log notice;
events {{ worker_connections 2048; multi_accept on; }}
{main}
http {{
    access_log {home}/access.log;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    default_type text/plain;
    keepalive_requests 100000;
    client_max_body_size 1g;
    {http}
    server {{
        listen {address}:{port} backlog=1024;
        root {site};
        {server}
    }}
}}
"""


def requests_of(wrk):
    return int(re.search(rb"(\d+) requests in", bytes(wrk.out.data)).group(1))


class Case(sealed.TestCase):
    def setUp(self):
        for program in ("wrk", "ab", "curl", "wget"):
            sealed.need(program)
        if not os.path.exists("/usr/sbin/nginx"):
            sealed.missing("nginx")
        super().setUp()
        self.directory.chmod(0o755)  # the workers drop their privileges
        self.address = sealed.loopback()
        self.site = self.directory / "site"
        self.site.mkdir()
        self.big = b"".join(sealed.stream((200 if sealed.FULL else 16) * MIB))
        for name, content in (("page.html", PAGE), ("empty", b""), ("big", self.big), ("16k", self.big[:16384])):
            (self.site / name).write_bytes(content)

    def serve(self, port=None, name="nginx", workers=3, **blocks):
        """Starts a server with these additions to its configuration's blocks; gives it and its URL."""
        port = port or self.port()
        home = self.directory / name
        home.mkdir(exist_ok=True)
        home.chmod(0o777)
        (home / "error.log").unlink(missing_ok=True)  # the plain run's
        self.configure(home, port, workers, **blocks)
        server = self.run_program("/usr/sbin/nginx", "-p", home, "-c", home / "nginx.conf", "-e", home / "error.log",
                                  SOCKSEAL_KEY_FILE=self.key_file)
        if blocks.get("daemon") == "on":
            self.assertEqual(server.status(), 0)
            self.addCleanup(self.end, self.master_of(name))
        else:
            self.wait_listening(port, server)
        return server, f"http://{self.address}:{port}"

    def configure(self, home, port, workers, main="", http="", server="sendfile on;", daemon="off"):
        (home / "nginx.conf").write_text(CONFIGURATION.format(
            home=home, address=self.address, port=port, site=self.site, workers=workers, main=main, http=http,
            server=server, daemon=daemon))

    def master_of(self, name="nginx", file="nginx.pid"):
        return int((self.directory / name / file).read_text())

    def end(self, master):
        try:
            os.kill(master, signal.SIGTERM)
            if not self.await_end(master):
                os.kill(master, signal.SIGKILL)
        except ProcessLookupError:
            pass

    @staticmethod
    def await_end(pid):
        """Whether a process that is no child of ours ended in time."""
        for _ in range(2000):
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                return True
            time.sleep(0.01)
        return False

    def curl(self, *arguments, **how):
        return self.run_program("curl", "-sS", "--noproxy", "*", "--max-time", "60", *arguments, **how)

    def get(self, *arguments):
        """One transfer by curl; gives its status and what came."""
        client = self.curl(*arguments)
        return client.status(60), bytes(client.out.data)

    def digest(self, *arguments):
        client = self.curl(*arguments, digest_only=True)
        return client.status(90), client.out.digest(), client.out.length

    def whole(self):
        return 0, hashlib.sha256(self.big).hexdigest(), len(self.big)

    def ab(self, url, *options, count, connections):
        """Runs ab; gives what must not differ between two runs."""
        client = self.run_program("ab", "-q", "-n", count, "-c", connections, *options, url)
        status = client.status(90)
        fields = dict(re.findall(rb"^([A-Z][\w -]+):\s+(\d+)", bytes(client.out.data), re.MULTILINE))
        return (status,) + tuple(fields.get(name) for name in (
            b"Complete requests", b"Failed requests", b"Non-2xx responses", b"Keep-Alive requests", b"Document Length"))

    def start_wrk(self, url, *options, seconds=1, connections=100):
        return self.run_program("wrk", "-t", "2", "-c", connections, "-d", f"{seconds}s", "--timeout", "20s", *options,
                                url)

    def wrk_ended(self, client):
        """wrk's exit status, answers that are no success, and errors but for those of reading. wrk calls EAGAIN after a
        readiness of epoll an error; that is what half a record looks like, and the kernel allows it too."""
        status = client.status(90)
        text, requests = bytes(client.out.data).decode(), requests_of(client)
        self.assertGreater(requests, 100, text)
        read = re.search(r"read (\d+)", text)
        self.assertLess(int(read.group(1)) if read else 0, requests / 50, text)
        errors = re.findall(r"(?:connect|write|timeout) (?!0\b)\d+|Non-2xx.*", text)
        return status, errors


class Static(Case):
    def assert_whole(self, url):
        """The large file whole, in parallel, in ranges, slowly; its end; what is empty and what is not there."""
        clients = [self.curl(url + "/big", digest_only=True) for _ in range(4)]
        for client in clients:
            self.assertEqual((client.status(90), client.out.digest(), client.out.length), self.whole())
        size = len(self.big)
        for first, last in ((0, 0), (1, 100_000), (size // 2, size - 1), (size - 3, size - 1)):
            wanted = hashlib.sha256(self.big[first:last + 1]).hexdigest()
            self.assertEqual(self.digest("-r", f"{first}-{last}", url + "/big"), (0, wanted, last + 1 - first))
        several = self.get("-r", "0-9,100-109", "-w", "%{http_code}", url + "/page.html")
        missing = self.get("-w", "%{http_code}", url + "/missing")
        return several[0], several[1][-3:], missing[0], missing[1][-3:], self.get("-I", url + "/empty")[0], self.get(
            url + "/page.html", url + "/empty", url + "/page.html")

    @both_modes
    def test_sendfile(self):
        _, url = self.serve(server="sendfile on; tcp_nopush on; sendfile_max_chunk 1m;")
        seen = self.assert_whole(url)
        client = self.curl("--limit-rate", "8M", "-r", f"0-{8 * MIB - 1}", url + "/big", digest_only=True)
        self.assertEqual((client.status(), client.out.digest()), (0, hashlib.sha256(self.big[:8 * MIB]).hexdigest()))
        return seen

    @full_only
    @both_modes
    def test_without_sendfile(self):
        return self.assert_whole(self.serve(server="sendfile off; output_buffers 2 256k;")[1])

    @both_modes
    def test_aio_threads(self):
        """Threads of a pool read the files, and call sendfile(2) on the connections of the worker."""
        _, url = self.serve(main="thread_pool default threads=8;", server="aio threads; sendfile on;")
        return self.assert_whole(url), self.wrk_ended(self.start_wrk(url + "/16k"))

    @full_only
    @both_modes
    def test_wget(self):
        _, url = self.serve()
        names = ("big", "page.html", "empty")
        client = self.run_program("wget", "-nv", "--no-proxy", "-t", "1", *(f"{url}/{name}" for name in names))
        status = client.status(60)
        same = [(self.directory / name).read_bytes() == (self.site / name).read_bytes() for name in names]
        (self.directory / "big").write_bytes(self.big[:5_000_000])
        again = self.run_program("wget", "-nv", "-c", "--no-proxy", "-t", "1", url + "/big")
        return status, same, again.status(60), (self.directory / "big").read_bytes() == self.big

    @both_modes
    def test_page_crosses_the_wire_unreadable(self):
        server, _ = self.serve()
        target = (self.address, self.ports[-1])
        recorder = wire.Wire(self, self.address, self.port(), target)
        seen = self.get(f"http://{self.address}:{self.ports[-1]}/page.html")
        wire.assert_sealed(self, recorder, PAGE, "GET /page.html HTTP")
        return seen, server.runs()


class Load(Case):
    SECONDS = 10 if sealed.FULL else 1

    @both_modes
    def test_wrk_with_400_connections(self):
        _, url = self.serve()
        return [self.wrk_ended(self.wrk_answered(url + path, connections=400)) for path in ("/page.html", "/16k")]

    def wrk_answered(self, url, **options):
        """wrk, for as long as a busy machine needs to make all connections."""
        for seconds in self.SECONDS, 5, 25:
            client = self.start_wrk(url, seconds=seconds, **options)
            client.status(90)
            if requests_of(client) > 100:
                break
        return client

    @full_only
    @both_modes
    def test_wrk_with_a_connection_for_each_request(self):
        _, url = self.serve()
        return self.wrk_ended(self.start_wrk(url + "/page.html", "-H", "Connection: close", seconds=self.SECONDS))

    @both_modes
    def test_ab(self):
        _, url = self.serve()
        count = 20_000 if sealed.FULL else 2000
        return [self.ab(url + "/page.html", count=count, connections=200),
                self.ab(url + "/page.html", "-k", count=count, connections=200),
                self.ab(url + "/16k", "-k", count=count, connections=50)]

    @full_only
    @both_modes
    def test_pipelined_requests_of_300_connections(self):
        """100 requests in one piece on each of 300 connections, twice; the server ends them when it is stopped."""
        server, url = self.serve()
        one = b"GET /page.html HTTP/1.1\r\nHost: test\r\nX-Padding: " + b"x" * 100 + b"\r\n\r\n"
        reply = len(self.get("-i", url + "/page.html")[1])
        request = self.directory / "request"
        request.write_bytes(one * 100)
        crowd = self.run_program(sealed.PYTHON, Path(sealed.__file__).with_name("crowd.py"), self.address,
                                 self.ports[0], 300, request, reply * 100, "round", "round", "wait", "ends")
        crowd.out.wait(lambda out: out.data.count(b"\n") == 2 or out.ended, 60)
        server.process.send_signal(signal.SIGTERM)
        crowd.type("go")
        status, text = crowd.status(60), bytes(crowd.out.data).decode()
        whole = sum(int(count) for count in re.findall(r"(\d+) x [0-9a-f]{16}", text))  # differing by the Date
        return status, whole, text.splitlines()[-1], server.status()


class Proxy(Case):
    def chain(self, **more):
        """A server behind a proxy: both listen sealed, and the proxy connects sealed."""
        port = self.port()
        front = self.port()
        upload = ("sendfile on; location /put/ { dav_methods PUT; client_body_temp_path %s/put; alias %s/put/; }"
                  % (self.directory, self.directory))
        (self.directory / "put").mkdir(exist_ok=True)
        (self.directory / "put").chmod(0o777)
        backend, _ = self.serve(port=port, name="backend", server=upload)
        upstream = f"upstream backend {{ server {self.address}:{port}; keepalive 32; }}"
        location = ("location / { proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection '';"
                    + more.get("location", "") + "}")
        proxy, url = self.serve(port=front, name="proxy", http=upstream, server=location)
        return backend, proxy, url

    def scenario(self, **more):
        _, _, url = self.chain(**more)
        self.assertEqual(self.digest(url + "/big"), self.whole())
        source = self.site / "big"
        uploaded = self.get("-T", source, "-w", "%{http_code}", url + "/put/copy")
        same = (self.directory / "put" / "copy").read_bytes() == self.big
        (self.directory / "put" / "copy").unlink()
        return (uploaded, same, self.get(url + "/page.html", url + "/page.html"),
                self.wrk_ended(self.start_wrk(url + "/16k", connections=100 if sealed.FULL else 50)))

    @both_modes
    def test_proxy_that_buffers(self):
        return self.scenario()

    @both_modes
    def test_proxy_that_passes_on_at_once(self):
        return self.scenario(location="proxy_buffering off; proxy_request_buffering off;")

    @full_only
    @both_modes
    def test_upstream_that_goes_away(self):
        backend, _, url = self.chain()
        seen = [self.get("-o", "/dev/null", "-w", "%{http_code}", url + "/page.html")]
        backend.process.terminate()
        backend.status()
        seen.append(self.get("-o", "/dev/null", "-w", "%{http_code}", url + "/page.html"))
        return seen


class Changes(Case):
    def await_line(self, text, count=1, name="nginx"):
        """Waits until the error log has the text this many times."""
        end = time.monotonic() + sealed.DEADLINE
        while (self.directory / name / "error.log").read_text().count(text) < count:
            if time.monotonic() > end:
                self.fail_with_report(f"nginx did not log {text!r} {count} times")
            time.sleep(0.02)

    @both_modes
    def test_reload_under_load(self):
        """Old workers finish what they have; each client that connects anew for each request sees nothing of it."""
        server, url = self.serve()
        load = self.run_program("ab", "-q", "-n", 30_000 if sealed.FULL else 4000, "-c", 50, url + "/page.html")
        download = self.curl("--limit-rate", "10M", url + "/big", digest_only=True)
        for number in range(5 if sealed.FULL else 2):
            download.out.wait(lambda output, most=(number + 1) << 20: output.length >= most, sealed.DEADLINE)
            server.process.send_signal(signal.SIGHUP)
            self.await_line("reconfiguring", number + 1)
        seen = load.status(90), self.failed(load)
        self.assertEqual((download.status(60), download.out.digest(), download.out.length), self.whole())
        return seen, server.runs()

    @staticmethod
    def failed(load):
        """What ab says of requests that failed."""
        return re.findall(rb"(?:Failed requests|Non-2xx responses):\s+(\d+)", bytes(load.out.data))

    @full_only
    @both_modes
    def test_reload_takes_up_a_new_configuration(self):
        server, url = self.serve(server="return 200 old;")
        seen = [self.get(url)]
        self.configure(self.directory / "nginx", self.ports[0], 1, server="return 200 new;")
        server.process.send_signal(signal.SIGHUP)
        self.await_line("exited with code 0", 3)
        seen.append(self.get(url))
        return seen, server.runs()

    @full_only
    @both_modes
    def test_binary_upgrade(self):
        """USR2: the master executes itself with its listening sockets; then QUIT for the old one."""
        names = ("LD_PRELOAD", "SOCKSEAL_PORTS", "SOCKSEAL_KEY_FILE", "SOCKSEAL_LOG", "SOCKSEAL_LOG_FILE")
        keep = "".join(f"env {name}; " for name in names)  # of its environment nginx hands on what is named here
        url = self.serve(workers=2, daemon="on", main=keep)[1]
        old = self.master_of()
        load = self.run_program("ab", "-q", "-n", 20_000 if sealed.FULL else 3000, "-c", 20, url + "/page.html")
        download = self.curl("--limit-rate", "10M", url + "/big", digest_only=True)
        download.out.wait(lambda output: output.length > 1 << 20, sealed.DEADLINE)
        os.kill(old, signal.SIGUSR2)
        self.await_line("start worker process ", 4)
        fresh = self.master_of()
        self.addCleanup(self.end, fresh)
        seen = [fresh != old, self.master_of(file="nginx.pid.oldbin") == old]
        os.kill(old, signal.SIGQUIT)
        seen += [load.status(90), self.failed(load)]
        self.assertEqual((download.status(60), download.out.digest(), download.out.length), self.whole())
        self.await_end(old)
        seen += [self.get(url + "/page.html"), self.wrk_ended(self.start_wrk(url + "/16k", connections=20))]
        return seen

    @full_only
    @both_modes
    def test_graceful_shutdown_during_a_download(self):
        server, url = self.serve()
        idle = self.curl("-K", "-", url + "/page.html")
        download = self.curl("--limit-rate", "20M", url + "/big", digest_only=True)
        download.out.wait(lambda out: out.length > 0, sealed.DEADLINE)
        server.process.send_signal(signal.SIGQUIT)
        self.assertEqual((download.status(60), download.out.digest(), download.out.length), self.whole())
        idle.end_input()
        return server.status(30), idle.status()

    @both_modes
    def test_killed_worker_is_replaced(self):
        """Its connections are reset, and the others serve on."""
        server, url = self.serve(workers=1)
        worker = int(Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()[0])
        download = self.curl("--limit-rate", "4M", url + "/big", digest_only=True)
        download.out.wait(lambda out: out.length > 0, sealed.DEADLINE)
        os.kill(worker, signal.SIGKILL)
        broken = download.status() in (18, 56)  # a partial file, or a reset connection: the kernel's buffers decide
        self.await_line("start worker process ", 2)
        return broken, download.out.length < len(self.big), self.get(url + "/page.html")


@full_only
class Long(Case):
    @both_modes
    def test_many_downloads_at_once(self):
        _, url = self.serve()
        clients = [self.curl(url + "/big", digest_only=True) for _ in range(30)]
        return {(client.status(200), client.out.digest(), client.out.length) == self.whole() for client in clients}


if __name__ == "__main__":
    unittest.main()
