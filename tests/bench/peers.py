# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""The ways in which a connection is protected here, all configured for the same strength.

128 bits or more, forward secrecy by X25519 (socat and PostgreSQL: P-256; spiped: a 2048-bit group), both ends
authenticated (nginx and PostgreSQL: the server alone, as they usually are, which is to their advantage), no resumption,
TCP_NODELAY.
"""
import getpass
import os
import re
import secrets
import shutil
import subprocess
import sys
import time

from pathlib import Path

from procs import BenchError

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))
from sealed import free_port  # noqa: E402  (the path first)

PLAIN, AEGIS, CHACHA = "plain", "aegis", "chacha"
TLS_AES, TLS_CHACHA, TLS_PSK = "tls-aes", "tls-chacha", "tls-psk"
STUNNEL, SPIPED, SSH, SOCAT = "stunnel", "spiped", "ssh", "socat"
WIREGUARD, KTLS = "wireguard", "ktls"  # measured where a part asks for them
# where there are no peers but ways to start a program: without a library, with an empty one, with the shim
NONE, EMPTY, UNSET, ELSEWHERE = "none", "empty", "unset", "elsewhere"
SEALED = (AEGIS, CHACHA)
OWN_TLS = (TLS_AES, TLS_CHACHA, TLS_PSK)
TUNNELS = (STUNNEL, SPIPED, SSH, SOCAT)
ALL = (PLAIN, AEGIS, CHACHA, TLS_AES, TLS_CHACHA, STUNNEL, SPIPED, SSH, SOCAT)



def best_aegis():
    """The suite that two sockseals on this machine agree on, as SOCKSEAL_SUITES names it."""
    flags = Path("/proc/cpuinfo").read_text().split()
    wide = "x4" if {"vaes", "avx512vl"} <= set(flags) else "x2" if {"vaes", "avx2"} <= set(flags) else "l"
    return f"aegis128{wide}"


BEST_AEGIS = best_aegis()
LABELS = {PLAIN: "plain TCP", AEGIS: f"sockseal AEGIS-{BEST_AEGIS[5:].upper()}", CHACHA: "sockseal ChaCha20", TLS_AES: "own TLS AES-128-GCM",
          TLS_CHACHA: "own TLS ChaCha20", TLS_PSK: "own TLS PSK AES-128-GCM", STUNNEL: "stunnel PSK AES-128-GCM",
          NONE: "no library", EMPTY: "an empty library", UNSET: "sockseal, no SOCKSEAL_PORTS",
          ELSEWHERE: "sockseal, other ports", SPIPED: "spiped", SSH: "ssh -L AES-128-GCM",
          SOCAT: "socat OPENSSL AES-128-GCM", WIREGUARD: "WireGuard", KTLS: "own TLS AES-128-GCM in the kernel"}
SUITES = {AEGIS: f"{'TLS' if BEST_AEGIS == 'aegis128l' else 'SOCKSEAL'}_AEGIS_{BEST_AEGIS[5:].upper()}_SHA256", CHACHA: "TLS_CHACHA20_POLY1305_SHA256",
          TLS_AES: "TLS_AES_128_GCM_SHA256", TLS_CHACHA: "TLS_CHACHA20_POLY1305_SHA256",
          TLS_PSK: "TLS_AES_128_GCM_SHA256", KTLS: "TLS_AES_128_GCM_SHA256"}
SEAL_SUITES = {AEGIS: BEST_AEGIS, CHACHA: "chacha20"}
SSH_CIPHER = "aes128-gcm@openssh.com"

OPENSSL_CONF = """openssl_conf = all
[all]
ssl_conf = ssl
[ssl]
system_default = system
[system]
MinProtocol = TLSv1.3
Ciphersuites = {suite}
Groups = X25519:P-256
Options = -SessionTicket
"""
STUNNEL_CONF = """foreground = yes
pid =
syslog = no
debug = 4
socket = l:TCP_NODELAY=1
socket = r:TCP_NODELAY=1
[bench]
client = {client}
accept = 127.0.0.1:{accept}
connect = 127.0.0.1:{connect}
sslVersionMin = TLSv1.3
ciphersuites = {suite}
curves = X25519
PSKsecrets = {secrets}
PSKidentity = bench
sessionResume = no
options = NO_TICKET
"""
SSHD_CONF = """Port {port}
ListenAddress 127.0.0.1
HostKey {key}
AuthorizedKeysFile {key}.pub
PidFile none
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
Ciphers {cipher}
"""


class Endpoint:
    """Where a client of one peer connects to, with what environment, and which processes work for it."""

    def __init__(self, peer, port, services, env=None, host="127.0.0.1"):
        self.peer, self.port, self.services, self.env, self.host = peer, port, services, env or {}, host

    def pids(self):
        return [pid for service in self.services for pid in service.pids()]


class Peers:
    """Keys, certificates and tunnels of one run."""

    def __init__(self, shop, build):
        self.shop, self.build = shop, build
        self.library = build / "libsockseal.so"
        self.psk = secrets.token_hex(32)
        self.key_file = self.write_key_file("keys", self.psk)
        self.conf = {peer: self._write(f"openssl-{peer}.cnf", OPENSSL_CONF.format(suite=SUITES[peer]))
                     for peer in (*OWN_TLS, KTLS)}
        self.cert, self.cert_key = self._make_certificate()

    def _write(self, name, text, mode=0o644):
        path = self.shop.directory / name
        path.touch(mode=mode)
        path.write_text(text)
        path.chmod(mode)
        return path

    def write_key_file(self, name, psk, user=None):
        path = self._write(name, f"bench:{psk}\n", 0o600)
        if user and os.geteuid() == 0:
            shutil.chown(path, user)
        return path

    def _make_certificate(self):
        cert, key = self.shop.directory / "cert.pem", self.shop.directory / "key.pem"
        self.shop.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                       "-keyout", key, "-out", cert, "-subj", "/CN=localhost", "-days", "2",
                       "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
        key.chmod(0o600)
        return cert, key

    # ---- environments ----

    def seal_env(self, peer, *ports, key_file=None):
        """The environment of a program that is sealed on these ports."""
        return {"LD_PRELOAD": str(self.library), "SOCKSEAL_PORTS": ",".join(str(port) for port in ports),
                "SOCKSEAL_KEY_FILE": str(key_file or self.key_file), "SOCKSEAL_SUITES": SEAL_SUITES[peer]}

    def env(self, peer, port, key_file=None):
        """The environment of both ends of a peer that needs no tunnel."""
        if peer in SEALED:
            return self.seal_env(peer, port, key_file=key_file)
        return {"OPENSSL_CONF": str(self.conf[peer])} if peer in self.conf else {}

    def own_tls(self, peer):
        """What the load programs need to speak this peer's TLS themselves."""
        if peer == TLS_PSK:
            return ["--psk", self.psk, "--suite", SUITES[peer]]
        if peer in OWN_TLS:
            return ["--cert", self.cert, "--key", self.cert_key, "--ca", self.cert, "--suite", SUITES[peer]]
        return []

    # ---- tunnels ----

    def tunnel(self, peer, target):
        """An Endpoint that leads through this peer's tunnel to a port."""
        middle, near = free_port(), free_port()
        services = getattr(self, "_start_" + peer)(near, middle, target)
        return Endpoint(peer, near, services)

    def _start_stunnel(self, near, middle, target):
        key = self._write("stunnel-psk", f"bench:{self.psk}\n", 0o600)
        services = []
        for client, accept, connect in (("no", middle, target), ("yes", near, middle)):
            conf = self._write(f"stunnel-{accept}.conf", STUNNEL_CONF.format(
                client=client, accept=accept, connect=connect, secrets=key, suite=SUITES[TLS_AES]))
            services.append(self.shop.wait_listening(accept, self.shop.start(["stunnel4", conf])))
        self.check_suite(middle, SUITES[TLS_AES], ["-psk_identity", "bench", "-psk", self.psk])
        return services

    def _start_spiped(self, near, middle, target):
        key = self.shop.directory / "spiped.key"
        key.write_bytes(bytes.fromhex(self.psk))
        key.chmod(0o600)
        return [self.shop.wait_listening(source, self.shop.start(
            ["spiped", "-F", way, "-s", f"[127.0.0.1]:{source}", "-t", f"[127.0.0.1]:{to}", "-k", key, "-n", "0"]))
                for way, source, to in (("-d", middle, target), ("-e", near, middle))]

    def _start_ssh(self, near, middle, target):
        key = self.shop.directory / "ssh-key"
        if not key.exists():
            self.shop.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key])
        conf = self._write("sshd.conf", SSHD_CONF.format(port=middle, key=key, cipher=SSH_CIPHER))
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # as the package does when the machine starts
        server = self.shop.wait_listening(middle, self.shop.start(["/usr/sbin/sshd", "-D", "-e", "-f", conf]))
        client = self.shop.start(
            ["ssh", "-v", "-N", "-F", "none", "-p", middle, "-i", key, "-c", SSH_CIPHER, "-o", "Compression=no",
             "-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={key}.known", "-o", "BatchMode=yes",
             "-o", "ExitOnForwardFailure=yes", "-L", f"127.0.0.1:{near}:127.0.0.1:{target}",
             f"{getpass.getuser()}@127.0.0.1"])
        self.shop.wait_listening(near, client)
        if client.printed().count(f"cipher: {SSH_CIPHER}") < 2:
            raise BenchError("ssh did not agree on " + SSH_CIPHER)
        return [server, client]

    def _start_socat(self, near, middle, target):
        tls = f"cert={self.cert},key={self.cert_key},cafile={self.cert},verify=1,nodelay"
        listening = "bind=127.0.0.1,reuseaddr,fork,backlog=4096,nodelay"
        services = []
        for port, left, right in (
                (middle, f"OPENSSL-LISTEN:{middle},{listening},{tls}", f"TCP:127.0.0.1:{target},nodelay"),
                (near, f"TCP-LISTEN:{near},{listening}", f"OPENSSL:127.0.0.1:{middle},{tls},commonname=localhost")):
            services.append(self.shop.wait_listening(port, self.shop.start(
                ["socat", "-b", "65536", left, right], env={"OPENSSL_CONF": str(self.conf[TLS_AES])})))
        self.check_suite(middle, SUITES[TLS_AES], ["-cert", self.cert, "-key", self.cert_key])
        return services

    # ---- checks ----

    def check_suite(self, port, suite, extra=(), starttls=None):
        """That a TLS server agrees on this suite with a client that offers all."""
        words = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-brief", *extra]
        words += ["-starttls", starttls] if starttls else []
        for attempt in range(3):
            try:
                text = self.shop.run(words, timeout=10)
                break
            except BenchError as error:
                text = str(error)
                time.sleep(0.2 * (attempt + 1))
        if "TLSv1.3" not in text or suite not in text:
            raise BenchError(f"port {port} did not agree on {suite}: {text.strip()[-200:]}")

    def check_sealed(self, peer, log):
        """That a sealed client's log tells of a connection with this peer's suite."""
        text = Path(log).read_text(errors="replace") if Path(log).exists() else ""
        if f"sealed with {SUITES[peer]}" not in text:
            raise BenchError(f"the client's connections were not sealed with {SUITES[peer]}: {text.strip()[-200:]}")


def version_of(*argv):
    """The first line with a version number that a program prints, or None if it is not there."""
    if shutil.which(argv[0]) is None:
        return None
    result = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20)
    lines = (result.stdout + result.stderr).splitlines()
    return next((line.strip() for line in lines if re.search(r"\d\.\d", line)), None)
