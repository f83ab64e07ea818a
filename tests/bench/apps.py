# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""The servers that are measured, each once plain (the tunnels lead to that one), once for each kind of seal and, if it
speaks TLS itself, once for each suite."""
import getpass
import os
import pwd
import shutil
import signal

from pathlib import Path

import kernel_tls
import peers as p
import wireguard
from procs import BenchError

NGINX_CONF = """daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
{user}
events {{ worker_connections 16384; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000;
    client_body_temp_path {directory}/t1; proxy_temp_path {directory}/t2; fastcgi_temp_path {directory}/t3;
    uwsgi_temp_path {directory}/t4; scgi_temp_path {directory}/t5;
    server {{
        listen 127.0.0.1:{port} {ssl} backlog=4096;
        {certificate}
        root {root};
    }}
}}
"""
NGINX_CERTIFICATE = "ssl_certificate {cert}; ssl_certificate_key {key}; ssl_protocols TLSv1.3; {more}"
POSTGRES_SETTINGS = ("fsync=off", "synchronous_commit=off", "autovacuum=off", "shared_buffers=256MB",
                     "max_connections=40", "unix_socket_directories=", "listen_addresses=127.0.0.1",
                     "max_wal_senders=0", "wal_level=minimal", "checkpoint_timeout=1h")
SMALL_FILE, BIG_FILE = 1024, 1 << 27
COPY_ROWS = 131072  # of 1 KiB
PGBENCH_SCALE = 5


class App:
    """One server program. `tls` says for which of the OWN_TLS peers it can be started."""

    name = "app"
    tls = ()

    def __init__(self, peers):
        self.peers, self.shop = peers, peers.shop
        self.endpoints, self.left_out = {}, {}

    def start(self, wanted):
        """Starts what the wanted peers need; whoever cannot take part is in left_out, with the reason."""
        for peer in (p.PLAIN, *(peer for peer in wanted if peer != p.PLAIN)):
            if peer in p.OWN_TLS and peer not in self.tls:
                self.left_out[peer] = f"{self.name} has no such TLS"
                continue
            try:
                self.endpoints[peer] = self._start_peer(peer)
            except (BenchError, OSError) as error:
                self.left_out[peer] = str(error)
                if peer == p.PLAIN:
                    raise
        return self

    def _start_peer(self, peer):
        if peer in p.TUNNELS:
            plain = self.endpoints[p.PLAIN]
            endpoint = self.peers.tunnel(peer, plain.port)
            endpoint.services = endpoint.services + plain.services
            return endpoint
        port = p.free_port()
        env = self.peers.env(peer, port)
        service = self.shop.wait_listening(port, self.launch(peer, port, env))
        endpoint = p.Endpoint(peer, port, [service], env)
        if peer in p.OWN_TLS:
            self.check_tls(endpoint)
        return endpoint

    def launch(self, peer, port, env):
        """Starts the server on the port; gives the Service."""
        raise NotImplementedError

    def check_tls(self, endpoint):
        self.peers.check_suite(endpoint.port, p.SUITES[endpoint.peer])

    def stop(self):
        """Ends everything, in the reverse order of its start."""
        services = {id(s): s for endpoint in self.endpoints.values() for s in endpoint.services}
        for service in reversed(list(services.values())):
            self.shop.stop(service)
        self.endpoints.clear()


class Echo(App):
    """tests/bench/echo.c: the server of the programs that this directory brings along."""

    name = "echo"
    tls = p.OWN_TLS

    def __init__(self, peers, mode="--epoll"):
        super().__init__(peers)
        self.mode = mode

    def launch(self, peer, port, env):
        program = self.peers.build / "tests/bench/echo"
        return self.shop.start([program, "--port", port, self.mode, *self.peers.own_tls(peer)], env=env)

    def check_tls(self, endpoint):
        """The load programs print the suite of each run."""


class Iperf(App):
    name = "iperf3"

    def launch(self, peer, port, env):
        return self.shop.start(["iperf3", "-s", "-p", port, "-B", "127.0.0.1"], env=env)

    def _start_peer(self, peer):
        if peer != p.WIREGUARD:
            return super()._start_peer(peer)
        network = wireguard.Network(self.shop)
        port = p.free_port()
        server = self.shop.start([*network.inside, "iperf3", "-s", "-p", port, "-B", network.host])
        wireguard.wait_listening(network, port, server)
        return p.Endpoint(peer, port, [server, *network.services], host=network.host)


class Redis(App):
    name = "redis"
    tls = (p.TLS_AES, p.TLS_CHACHA)

    def launch(self, peer, port, env):
        words = ["redis-server", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--maxclients", "20000",
                 "--daemonize", "no", "--tcp-backlog", "4096"]
        if peer in p.OWN_TLS:
            words += ["--port", "0", "--tls-port", port, "--tls-protocols", "TLSv1.3", "--tls-session-caching", "no",
                      "--tls-cert-file", self.peers.cert, "--tls-key-file", self.peers.cert_key,
                      "--tls-ca-cert-file", self.peers.cert, "--tls-ciphersuites", p.SUITES[peer]]
        else:
            words += ["--port", port]
        return self.shop.start(words, env=env)

    def client_words(self, peer):
        """What redis-benchmark and redis-cli need to speak this peer's TLS."""
        if peer not in p.OWN_TLS:
            return []
        return ["--tls", "--cert", self.peers.cert, "--key", self.peers.cert_key, "--cacert", self.peers.cert,
                "--tls-ciphersuites", p.SUITES[peer]]

    def check_tls(self, endpoint):
        self.peers.check_suite(endpoint.port, p.SUITES[endpoint.peer],
                               ["-cert", self.peers.cert, "-key", self.peers.cert_key])


NGINX_TLS = (*p.OWN_TLS, p.KTLS)


class Nginx(App):
    name = "nginx"
    tls = (p.TLS_AES, p.TLS_CHACHA)

    def _start_peer(self, peer):
        if peer != p.KTLS:
            return super()._start_peer(peer)
        before = kernel_tls.sessions()
        endpoint = super()._start_peer(peer)
        self.check_tls(endpoint)
        self.shop.run(["curl", "-s", "--cacert", self.peers.cert, "-o", "/dev/null", self.url(endpoint, "small")])
        if kernel_tls.sessions() == before:
            self.shop.stop(endpoint.services[0])
            raise BenchError("nginx or its OpenSSL leaves TLS out of the kernel")
        return endpoint

    def __init__(self, peers):
        super().__init__(peers)
        self.root = self.shop.directory / "www"
        self.root.mkdir()
        (self.root / "small").write_bytes(os.urandom(SMALL_FILE))
        (self.root / "big").write_bytes(os.urandom(1 << 20) * (BIG_FILE >> 20))  # stays in the page cache

    def launch(self, peer, port, env):
        directory = self.shop.directory / f"nginx-{port}"
        directory.mkdir()
        ssl = peer in NGINX_TLS
        more = "ssl_conf_command Options KTLS;" if peer == p.KTLS else ""
        conf = directory / "nginx.conf"
        conf.write_text(NGINX_CONF.format(
            directory=directory, port=port, root=self.root, ssl="ssl" if ssl else "",
            user=f"user {getpass.getuser()};" if os.geteuid() == 0 else "",
            certificate=NGINX_CERTIFICATE.format(cert=self.peers.cert, key=self.peers.cert_key,
                                                 more=more) if ssl else ""))
        return self.shop.start(["/usr/sbin/nginx", "-p", directory, "-c", conf, "-e", directory / "error.log"], env=env)

    def url(self, endpoint, name):
        scheme = "https" if endpoint.peer in NGINX_TLS else "http"
        return f"{scheme}://127.0.0.1:{endpoint.port}/{name}"


class Postgres(App):
    """A server each, on copies of one data directory. It refuses to run as root."""

    name = "PostgreSQL"
    tls = (p.TLS_AES, p.TLS_CHACHA)

    def __init__(self, peers):
        super().__init__(peers)
        self.bin = max(Path("/usr/lib/postgresql").glob("*/bin"), default=Path("/usr/bin"))
        self.user = "postgres" if os.geteuid() == 0 else getpass.getuser()
        self.key_file = peers.write_key_file("keys-postgres", peers.psk, self.user)
        self.directory = self.shop.directory / "postgres"
        self.directory.mkdir()
        self._give(self.directory)
        self._make_template()

    def _give(self, path):
        if os.geteuid() == 0:
            pwd.getpwnam(self.user)
            shutil.chown(path, self.user, self.user)

    def _run(self, *argv, env=None):
        return self.shop.run(argv, env=env, user=self.user)

    def _make_template(self):
        self.template = self.directory / "template"
        self._run(self.bin / "initdb", "-D", self.template, "-U", "bench", "-A", "trust", "-N", "-E", "UTF8",
                  "--locale=C")
        port = p.free_port()
        service = self.shop.wait_listening(port, self._launch(self.template, port, {}, []))
        client = {"PGHOST": "127.0.0.1", "PGPORT": str(port), "PGUSER": "bench", "PGDATABASE": "postgres"}
        self._run("psql", "-q", "-c", "CREATE UNLOGGED TABLE big AS SELECT string_agg(md5(n::text || k::text), '') AS t"
                  f" FROM generate_series(1, {COPY_ROWS}) n, generate_series(1, 32) k GROUP BY n", env=client)
        self._run("pgbench", "-i", "-q", "-s", PGBENCH_SCALE, "--unlogged-tables", env=client)
        self.shop.stop(service)

    def _launch(self, directory, port, env, settings):
        words = [self.bin / "postgres", "-D", directory, "-p", port]
        for setting in (*POSTGRES_SETTINGS, *settings):
            words += ["-c", setting]
        return self.shop.start(words, env=env, user=self.user, end_signal=signal.SIGINT)

    def launch(self, peer, port, env):
        directory = self.directory / peer
        self._run("cp", "-a", self.template, directory)
        settings = []
        if peer in p.OWN_TLS:
            for source, name in ((self.peers.cert, "cert"), (self.peers.cert_key, "key")):
                shutil.copy(source, directory / name)
                (directory / name).chmod(0o600)
                self._give(directory / name)
            settings = ["ssl=on", f"ssl_cert_file={directory}/cert", f"ssl_key_file={directory}/key"]
        if peer in p.SEALED:
            env = dict(env, SOCKSEAL_KEY_FILE=str(self.key_file))
        return self._launch(directory, port, env, settings)

    def check_tls(self, endpoint):
        self.peers.check_suite(endpoint.port, p.SUITES[endpoint.peer], starttls="postgres")

    def client_env(self, endpoint):
        tls = endpoint.peer in p.OWN_TLS
        return dict(endpoint.env, PGHOST="127.0.0.1", PGPORT=str(endpoint.port), PGUSER="bench",
                    PGDATABASE="postgres", PGSSLMODE="verify-ca" if tls else "disable", PGGSSENCMODE="disable",
                    PGSSLROOTCERT=str(self.peers.cert))
