#!/usr/bin/python3
# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""sockseal status: what it tells of real processes, and that it believes nothing that it reads."""

import json
import os
import pty
import re
import shlex
import shutil
import struct
import subprocess
import sys
import time
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import sealed

from sealed import sealed_only

SOCKSEAL = sealed.BUILD / "sockseal"
FORKING = """
import os, socket, sys
server = socket.create_server((sys.argv[1], int(sys.argv[2])))
while True:
    connection, _ = server.accept()
    if os.fork() == 0:
        server.close()
        connection.sendall(connection.recv(100))
        print("served", flush=True)
        connection.recv(100)
        os._exit(0)
    connection.close()
"""
# diag/statuspage.h
HEADER, ENTRY, SIZE, MAGIC = 65536, 256, 65536 + 65536 * 256, 0x736c7374
DAMAGED = """
import ctypes, fcntl, os, sys
fd = os.memfd_create(sys.argv[1], os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
os.ftruncate(fd, int(sys.argv[3]))
for word in sys.argv[4:]:
    offset, data = word.split("=")
    os.pwrite(fd, bytes.fromhex(data).replace(b"PID!", os.getpid().to_bytes(4, "little")), int(offset))
open("/proc/self/comm", "w").write(sys.argv[2])
print("ready", flush=True)
sys.stdin.read()
"""


def parse_prometheus(text):
    """{(name, labels): value}, of the text format 0.0.4, which this takes at its word."""
    samples, types, current = {}, {}, None
    label = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*"'
    assert text.endswith("\n")
    for line in text[:-1].split("\n"):
        comment = re.fullmatch(r"# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)", line)
        if comment:
            kind, name, rest = comment.groups()
            if kind == "HELP":
                assert name not in types, f"{name} is in two places"
                current, types[name] = name, None
            else:
                assert name == current and types[name] is None and rest in ("counter", "gauge"), line
                types[name] = rest
            continue
        sample = re.fullmatch(rf"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{{({label}(?:,{label})*)\}})? ([0-9]+)", line)
        assert sample, line
        name, labels, value = sample.groups()
        assert name == current and types[name], line
        assert (types[name] == "counter") == name.endswith("_total"), line
        labels = frozenset(re.findall(r'([a-zA-Z0-9_]+)="((?:[^"\\]|\\.)*)"', labels or ""))
        assert (name, labels) not in samples, f"{line} is there twice"
        samples[name, labels] = int(value)
    return samples


class StatusTest(sealed.TestCase):
    def setUp(self):
        super().setUp()
        self.address = sealed.loopback()

    def status(self, *arguments, code=0, env=None, user=None, errors="^$"):
        result = subprocess.run([SOCKSEAL, "status", *map(str, arguments)], env={**self.plain_env(), **(env or {})},
                                capture_output=True, text=True, timeout=30, check=False, user=user)
        self.assertIn(result.returncode, code if isinstance(code, tuple) else (code,), result.stderr + result.stdout)
        self.assertRegex(result.stderr, errors)
        return result.stdout

    def read(self, program, settled=lambda process: True, **options):
        """The one process's JSON, once `settled` is true of it."""
        end = time.monotonic() + sealed.DEADLINE
        while True:
            (process,) = json.loads(self.status("--json", program if isinstance(program, int) else program.pid,
                                                **options))["processes"]
            if settled(process):
                return process
            if time.monotonic() > end:
                self.fail_with_report(json.dumps(process, indent=1))
            time.sleep(0.01)

    def pair(self, *steps, server_steps=("recv", "send:thanks", "wait"), **settings):
        """A server and a client, both sealed; the client has received the answer."""
        port = self.port()
        server = self.run_peer("serve", self.address, port, *server_steps, **settings)
        self.wait_listening(port, server)
        client = self.run_peer("connect", self.address, port, *(steps or ("send:please", "recv", "wait")), **settings)
        client.expect("recv b'thanks")
        server.expect("send ok")
        return port, server, client


@sealed_only
class Connections(StatusTest):
    def test_both_ends(self):
        port, server, client = self.pair()
        accepted, made = self.read(server), self.read(client)
        (here,), (there,) = accepted["connections"], made["connections"]
        self.assertEqual((here["local"], here["peer"]), (f"{self.address}:{port}", there["local"]))
        self.assertEqual(there["peer"], here["local"])
        self.assertEqual((here["direction"], there["direction"]), ("in", "out"))
        for end, sent, received in ((here, 6, 6), (there, 6, 6)):
            self.assertEqual((end["state"], end["identity"], end["errno"]), ("sealed", sealed.IDENTITY, 0))
            self.assertEqual((end["sent_bytes"], end["received_bytes"]), (sent, received))
            self.assertEqual((end["sent_records"], end["received_records"]), (1, 1))
            self.assertRegex(end["suite"], "_SHA256$")
            self.assertGreater(end["handshake_microseconds"], 0)
            self.assertGreater(end["cookie"], 0)
            self.assertLess(end["age_seconds"], 60)
        self.assertEqual((accepted["counts"]["handshakes_in"], accepted["counts"]["handshakes_out"]), (1, 0))
        self.assertEqual((made["counts"]["handshakes_in"], made["counts"]["handshakes_out"]), (0, 1))
        self.assertEqual(accepted["program"], Path(f"/proc/{server.pid}/comm").read_text().rstrip("\n"))

    def test_bytes_and_records_of_large_writes(self):
        port = self.port()
        server = self.run_peer("serve", self.address, port, "recvn:1000000", "wait")
        self.wait_listening(port, server)
        client = self.run_peer("connect", self.address, port, "sendn:1000000", "wait")
        server.expect("recvn")
        client.expect("sendn")
        (sent,), (got,) = self.read(client)["connections"], self.read(server)["connections"]
        self.assertEqual((sent["sent_bytes"], got["received_bytes"]), (1000000, 1000000))
        self.assertEqual(sent["sent_records"], got["received_records"])
        self.assertGreaterEqual(sent["sent_records"], 62)

    def test_a_closed_connection_is_gone_and_counted(self):
        _, server, client = self.pair(server_steps=("recv", "send:thanks", "close", "wait"))
        process = self.read(server, lambda process: not process["connections"])
        self.assertEqual((process["counts"]["closed_sent_bytes"], process["counts"]["closed_received_bytes"]), (6, 6))
        self.read(client, lambda process: process["connections"][0]["state"] in ("peer_closed", "sealed"))

    def test_a_server_that_waits_is_seen(self):
        port = self.port()
        server = self.wait_listening(port, self.run_peer("serve", self.address, port, "wait"))
        self.assertEqual(self.read(server)["connections"], [])

    def test_what_no_rule_names(self):
        port = self.port()
        server = self.run_peer("serve", self.address, port, "recv", "wait", SOCKSEAL_PORTS="1")
        self.wait_listening(port, server)
        client = self.run_peer("connect", self.address, port, "send:open", "wait", SOCKSEAL_PORTS="1")
        server.expect("recv b'open'")
        for program in (server, client):
            self.status(program.pid, code=1, errors="it has sealed nothing yet")
        self.assertEqual([name for name in os.listdir(f"/proc/{client.pid}/fd")
                          if "sockseal" in os.readlink(f"/proc/{client.pid}/fd/{name}")], [])

    def test_unsealed_connections_are_counted(self):
        port, other = self.port(), sealed.free_port()
        listener = self.run_stock(sealed.PYTHON, sealed.PEER, "serve", self.address, other, "wait")
        self.wait_listening(other, listener)
        script = ("import socket, sys\n"
                  f"socket.create_connection(('{self.address}', {other}))\n"
                  f"socket.create_server(('{self.address}', {port}))\n"
                  "print('ready', flush=True)\nsys.stdin.read()\n")
        program = self.run_program(sealed.PYTHON, "-c", script)
        program.expect("ready")
        self.assertEqual(self.read(program)["counts"]["no_rule"], 1)

    def test_a_child_has_its_own_and_shares_the_counts(self):
        port = self.port()
        server = self.run_program(sealed.PYTHON, "-c", FORKING, self.address, port)
        self.wait_listening(port, server)
        client = self.run_peer("connect", self.address, port, "send:please", "recv", "wait")
        server.expect("served")
        (child,) = [int(pid) for pid in Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()]
        own = self.read(child)
        self.assertEqual([(end["sent_bytes"], end["received_bytes"]) for end in own["connections"]], [(6, 6)])
        parent = self.read(server)
        self.assertEqual((parent["connections"], parent["counts"]), ([], own["counts"]))
        self.assertEqual(parent["counts"]["handshakes_in"], 1)
        client.end_input()
        end = time.monotonic() + sealed.DEADLINE
        while self.read(server)["counts"]["closed_sent_bytes"] != 6:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)

    def test_exec_takes_the_connection_along(self):
        port = self.port()
        script = ("import os, socket, sys\n"
                  f"connection, _ = socket.create_server(('{self.address}', {port})).accept()\n"
                  "connection.recv(100)\n"
                  "connection.set_inheritable(True)\n"
                  "os.execl('/bin/sh', 'sh', '-c', 'echo thanks >&$0; echo there; read line', str(connection.fileno()))\n")
        server = self.run_program(sealed.PYTHON, "-c", script)
        self.wait_listening(port, server)
        client = self.run_peer("connect", self.address, port, "send:please", "recv", "wait")
        server.expect("there")
        client.expect("recv b'thanks")
        process = self.read(server)
        self.assertEqual(process["program"], "sh")
        self.assertEqual([(end["state"], end["identity"], end["sent_bytes"]) for end in process["connections"]],
                         [("sealed", sealed.IDENTITY, 7)])

    def test_failures_by_reason(self):
        port = self.port()
        server = self.run_peer("serve", self.address, port, "recv", "accept", "recv", "accept", "recv", "wait")
        self.wait_listening(port, server)
        other = self.write_keys("other", (sealed.IDENTITY, "ab" * 32))
        self.run_peer("connect", self.address, port, "send:x", "recv", SOCKSEAL_KEY_FILE=other).status()
        self.run_stock(sealed.PYTHON, sealed.PEER, "connect", self.address, port, "send:GET / HTTP/1.0", "recv").status()
        self.run_stock(sealed.PYTHON, sealed.PEER, "connect", self.address, port).status()
        process = self.read(server, lambda process: sum(process["counts"]["failures"].values()) == 3)
        self.assertEqual({name: value for name, value in process["counts"]["failures"].items() if value},
                         {"key_rejected": 1, "plaintext_refused": 1, "probed": 1})
        self.assertEqual(process["counts"]["handshakes_in"], 0)
        text = self.status("--failures", server.pid)
        self.assertIn("failures: key rejected 1, plaintext refused 1, probed 1\n", text)

    def test_no_key(self):
        client = self.run_peer("connect", self.address, self.port(), "wait", SOCKSEAL_KEY_FILE=self.directory / "none")
        client.expect("connect ENOKEY")
        self.assertEqual(self.read(client)["counts"]["failures"]["no_key"], 1)

    def test_plaintext_served(self):
        port = self.port()
        server = self.run_peer("serve", self.address, port, "recv", "send:thanks", "wait", SOCKSEAL_PLAINTEXT="accept")
        self.wait_listening(port, server)
        self.run_stock(sealed.PYTHON, sealed.PEER, "connect", self.address, port, "send:please", "recv", "wait").expect(
            "recv b'thanks")
        process = self.read(server)
        self.assertEqual(process["counts"]["plaintext_served"], 1)
        self.assertEqual([end["state"] for end in process["connections"]], ["plaintext"])
        self.assertIn("NOT SEALED", self.status(server.pid))

    def test_no_secret_is_in_the_pages(self):
        _, server, _ = self.pair()
        key, found = bytes.fromhex(self.key), 0
        for name in os.listdir(f"/proc/{server.pid}/fd"):
            link = f"/proc/{server.pid}/fd/{name}"
            if os.readlink(link) in ("/memfd:sockseal-status (deleted)", "/memfd:sockseal-connections (deleted)"):
                data = Path(link).read_bytes()
                found += 1
                self.assertEqual([place for place in range(0, len(key) - 7, 8) if key[place:place + 8] in data], [])
        self.assertEqual(found, 2)


@sealed_only
class Output(StatusTest):
    def test_the_table_fits_80_columns(self):
        port, server, client = self.pair()
        text = self.status(server.pid, client.pid)
        self.assertLessEqual(max(map(len, text.splitlines())), 80, text)
        self.assertRegex(text, rf"(?m)^  {self.address}:{port} <- 127.0.0.1:\d+ +sealed +\d+\.\ds$")
        self.assertRegex(text, rf"(?m)^      {sealed.IDENTITY}, [-A-Z0-9]+, out 6 B/1, in 6 B/1$")
        self.assertRegex(text, r"(?m)^  handshakes: 0 in, 1 out, 0 failed$")

    def test_ipv6(self):
        port = self.port()
        server = self.run_peer("serve", "::1", port, "recv", "wait")
        self.wait_listening(port, server)
        self.run_peer("connect", "::1", port, "send:x", "wait")
        server.expect("recv b'x'")
        self.assertRegex(self.status(server.pid), rf"(?m)^  \[::1\]:{port} <- \[::1\]:\d+ +sealed")

    def run_on_terminal(self, *arguments, **env):
        master, slave = pty.openpty()
        subprocess.run([SOCKSEAL, "status", *map(str, arguments)], stdout=slave, timeout=30, check=True,
                       env={**self.plain_env(), "TERM": "xterm", **env})
        os.close(slave)
        with os.fdopen(master, "rb") as file:
            return file.read1(65536)

    def test_colour_on_a_terminal_only(self):
        _, server, _ = self.pair()
        self.assertNotIn("\033", self.status(server.pid))
        self.assertIn(b"\033[32msealed", self.run_on_terminal(server.pid))
        for quiet in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
            self.assertNotIn(b"\033", self.run_on_terminal(server.pid, **quiet))

    def test_prometheus(self):
        _, server, client = self.pair()
        text = self.status("--prometheus", server.pid, client.pid)
        samples = parse_prometheus(text)
        name = Path(f"/proc/{server.pid}/comm").read_text().rstrip("\n")
        process = (("pid", str(server.pid)), ("program", name))
        for metric, labels, value in (("connections", (("state", "sealed"),), 1), ("connections", (("state", "failed"),), 0),
                                      ("handshakes_total", (("direction", "in"),), 1),
                                      ("failures_total", (("reason", "timeout"),), 0),
                                      ("sent_bytes_total", (), 6), ("received_bytes_total", (), 6),
                                      ("unsealed_total", (), 0), ("plaintext_served_total", (), 0)):
            self.assertEqual(samples["sockseal_" + metric, frozenset(process + labels)], value, metric)

    @unittest.skipUnless(shutil.which("promtool"), "promtool is not installed (Debian: prometheus)")
    def test_promtool_takes_it(self):
        _, server, client = self.pair()
        for arguments in ((server.pid, client.pid), ()):
            result = subprocess.run(["promtool", "check", "metrics"], input=self.status("--prometheus", *arguments),
                                    capture_output=True, text=True, check=False, timeout=30)
            self.assertEqual((result.returncode, result.stdout + result.stderr), (0, ""))

    def test_a_file_is_replaced_whole(self):
        _, server, _ = self.pair()
        target = self.directory / "sockseal.prom"
        target.write_text("old\n")
        with target.open() as old:
            self.assertEqual(self.status("--prometheus", "-o", target, server.pid), "")
            self.assertEqual(old.read(), "old\n")
        parse_prometheus(target.read_text())
        self.assertEqual(target.stat().st_mode & 0o777, 0o644)
        self.assertEqual([path.name for path in self.directory.glob("sockseal.prom*")], ["sockseal.prom"])
        self.status("--json", "-o", self.directory / "none" / "file", server.pid, code=1, errors="No such file")

    def test_watch_goes_on(self):
        _, server, _ = self.pair()
        watch = self.run_stock(SOCKSEAL, "status", "--watch", server.pid)
        watch.expect("handshakes: 1 in")
        self.assertTrue(watch.runs())

    def test_usage(self):
        for arguments in (["--nonsense"], ["-o"], ["x"], ["-1"], ["0"], ["--json", "--failures"], ["-w", "-o", "x"]):
            self.status(*arguments, code=125, errors="sockseal: status: .")
        self.assertIn("usage: sockseal status", self.status("--help"))

    def test_a_process_that_is_not_there(self):
        self.status(2 ** 22 + 1, code=1, errors="there is no such process")
        self.status(os.getpid(), code=1, errors="does not have the library")
        with subprocess.Popen(["true"], env=self.plain_env()) as ended:
            os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
            self.status(ended.pid, code=1, errors="it runs no program: it has ended")


@sealed_only
class Distrust(StatusTest):
    """What a process publishes may be anything."""

    def publish(self, name, comm, size, *writes):
        program = self.run_stock(sealed.PYTHON, "-c", DAMAGED, name, comm, str(size), *writes)
        program.expect("ready")
        return program

    @staticmethod
    def header(blocks=1, version=1, magic=MAGIC, pid=b"PID!"):
        data = struct.pack("<IIQ4sII", magic, version, 1, pid, blocks, 0)
        return f"0={data.hex()}"

    @staticmethod
    def entry(number, sequence=2, state=3, direction=1, identity=b"me", identity_len=None, family=2, error=0):
        length = len(identity) if identity_len is None else identity_len
        data = struct.pack("<QQIBBBBiHHI4xQ16x", 1, 1, sequence, state, direction, length, 0, error, 0xffff, 0xffff, 5, 7)
        address = struct.pack("<HH16s", family, 99, b"\x0a\x00\x00\x01")
        data += struct.pack("<QQq", 2 ** 64 - 1, 1, -5) + address * 2
        return f"{HEADER + number * ENTRY}={(data + identity.ljust(128, b'!')).hex()}"

    def connections(self, *writes, size=SIZE):
        program = self.publish("sockseal-connections", "damaged", size, *writes)
        return self.read(program)["connections"] if size == SIZE else program

    def test_what_makes_sense_is_shown(self):
        (end,) = self.connections(self.header(), self.entry(3))
        self.assertEqual((end["identity"], end["local"], end["suite"], end["age_seconds"]), ("me", "10.0.0.1:99", "unknown", 0))

    def test_entries_that_make_no_sense_are_passed_over(self):
        ends = self.connections(self.header(), self.entry(0, state=200), self.entry(1, direction=9),
                                self.entry(2, identity_len=255), self.entry(3, family=77), self.entry(4, state=0),
                                self.entry(1023, identity=b"last"))
        self.assertEqual([(end["identity"], end["local"]) for end in ends], [("me", "-"), ("last", "10.0.0.1:99")])

    def test_an_entry_that_is_always_being_changed(self):
        program = self.publish("sockseal-connections", "damaged", SIZE, self.header(), self.entry(0, sequence=3))
        process = self.read(program)
        self.assertEqual((process["connections"], process["not_shown"]), ([], 1))

    def test_more_blocks_than_there_are(self):
        self.assertEqual(len(self.connections(self.header(blocks=2 ** 32 - 1), self.entry(65535))), 1)

    def test_another_layout_and_another_process(self):
        for header in (self.header(version=2), self.header(magic=1), self.header(pid=b"\1\0\0\0")):
            self.assertEqual(self.connections(header, self.entry(0)), [])

    def test_a_file_of_another_size(self):
        program = self.connections(self.header(), size=SIZE - 1)
        self.status(program.pid, code=1, errors="does not have the library")

    def test_text_that_drives_a_terminal(self):
        evil = b'\033[2J"\\\n\xff,}'
        program = self.publish("sockseal-connections", "\033]0;x", SIZE, self.header(), self.entry(0, identity=evil))
        for form in ((), ("--failures",), ("--prometheus",), ("--json",)):
            text = self.status(*form, program.pid)
            self.assertEqual(re.findall(r"[^\n -~]", text), [], form)
        (end,) = json.loads(self.status("--json", program.pid))["processes"][0]["connections"]
        self.assertEqual(end["identity"].encode("latin-1"), evil)
        parse_prometheus(self.status("--prometheus", program.pid))

    def test_counts_that_are_huge(self):
        data = struct.pack("<III4x", MAGIC, 1, 5) + b"\xff" * 144
        program = self.publish("sockseal-status", "damaged", 160, f"0={data.hex()}")
        self.assertEqual(self.read(program)["counts"]["no_rule"], 2 ** 64 - 1)
        parse_prometheus(self.status("--prometheus", program.pid))

    @unittest.skipUnless(os.geteuid() == 0, "becomes another user")
    def test_another_users_process(self):
        _, server, _ = self.pair()
        command = shutil.copy(SOCKSEAL, self.directory / "sockseal")
        self.directory.chmod(0o755)
        result = subprocess.run([command, "status", str(server.pid)], capture_output=True, text=True, timeout=30,
                                check=False, user=65534, env=self.plain_env())
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertIn(f"process {server.pid}: this user may not look into it; root may", result.stderr)
        result = subprocess.run([command, "status"], capture_output=True, text=True, timeout=30, check=True, user=65534,
                                env=self.plain_env())
        self.assertRegex(result.stdout, r"\d+ process(es)? of other users cannot be looked into")


@sealed_only
class Ending(StatusTest):
    def test_processes_end_while_they_are_read(self):
        port = self.port()
        server = self.run_program(sealed.PYTHON, "-c", FORKING, self.address, port)
        self.wait_listening(port, server)
        script = ("while [ ! -e stop ]; do "
                  f"echo please | {shlex.quote(sealed.PYTHON)} {sealed.PEER} connect {self.address} {port} send:please recv;"
                  " done")
        clients = [self.run_program("sh", "-c", script) for _ in range(3)]
        seen = set()
        while len(seen) < 20:
            report = json.loads(self.status("--json"))
            for process in report["processes"]:
                self.assertNotEqual(process["program"], "")
                seen.add(process["pid"])
                self.status("--json", process["pid"], code=(0, 1), errors="^$|there is no such process|sealed nothing yet|it has ended|library loaded")
            self.assertTrue(server.runs())
        (self.directory / "stop").touch()
        for client in clients:
            self.assertEqual(client.status(), 0)

    def test_watch_ends_with_the_process(self):
        _, server, _ = self.pair()
        watch = self.run_stock(SOCKSEAL, "status", "--watch", server.pid)
        watch.expect("handshakes: 1 in")
        server.stop()
        self.assertEqual(watch.status(), 1)
        self.assertIn("there is no such process", watch.err.data.decode())


@sealed_only
@unittest.skipUnless(os.geteuid() == 0 and subprocess.run(["unshare", "--mount", "--pid", "--fork", "true"],
                                                          check=False, stderr=subprocess.DEVNULL).returncode == 0,
                     "no namespaces for this user")
class OtherProc(StatusTest):
    """Where /proc shows less than there is, or other numbers."""

    INSIDE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")

    def inside(self, *arguments, way=("unshare", "--mount"), setup="true", nobody=False, code=0):
        """The command's standard output and error, in namespaces of its own."""
        command = shutil.copy(SOCKSEAL, self.directory / "sockseal")
        self.directory.chmod(0o755)
        drop = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if nobody else []
        result = subprocess.run([*way, "sh", "-ec", setup + '; exec "$@"', "sh", *drop, command, "status",
                                 *map(str, arguments)], env=self.plain_env(), capture_output=True, text=True, timeout=30,
                                check=False)
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        return result.stdout, result.stderr

    def hidden(self, level, *arguments, **options):
        return self.inside(*arguments, setup=f"mount -t proc -o hidepid={level} proc /proc", **options)

    def child(self, program):
        (child,) = [int(pid) for pid in Path(f"/proc/{program.pid}/task/{program.pid}/children").read_text().split()]
        return child

    def test_hidden_processes(self):
        _, server, _ = self.pair()
        out, _ = self.hidden(2, nobody=True)
        self.assertIn("/proc hides the processes of other users (hidepid): root sees all\n", out)
        report = json.loads(self.hidden(2, "--json", nobody=True)[0])
        self.assertTrue(report["hidden"])
        self.assertNotIn(server.pid, [process["pid"] for process in report["processes"]])
        out, _ = self.hidden(2, "--prometheus", nobody=True)
        self.assertEqual(parse_prometheus(out)["sockseal_processes_hidden", frozenset()], 1)
        _, errors = self.hidden(2, server.pid, nobody=True, code=1)
        self.assertIn("there is no such process, or /proc hides it (hidepid)", errors)
        report = json.loads(self.hidden(2, "--json")[0])  # root
        self.assertFalse(report["hidden"])
        self.assertIn(server.pid, [process["pid"] for process in report["processes"]])

    def test_processes_without_their_files(self):
        _, server, _ = self.pair()
        out, _ = self.hidden(1, nobody=True)
        self.assertRegex(out, r"\d+ process(es)? of other users cannot be looked into: root sees all\n")
        _, errors = self.hidden(1, server.pid, nobody=True, code=1)
        self.assertIn(f"process {server.pid}: this user may not look into it; root may", errors)

    def serve_inside(self):
        port = self.port()
        server = self.run_program(*self.INSIDE, sealed.PYTHON, sealed.PEER, "serve", self.address, port, "recv",
                                  "send:thanks", "wait")
        self.wait_listening(port, server)
        client = self.run_peer("connect", self.address, port, "send:please", "recv", "wait")
        client.expect("recv b'thanks")
        server.expect("send ok")
        return server, client

    def test_a_process_of_an_inner_namespace(self):
        server, _ = self.serve_inside()
        process = self.read(self.child(server))
        self.assertEqual([(end["state"], end["sent_bytes"]) for end in process["connections"]], [("sealed", 6)])

    def test_from_within_a_namespace(self):
        server, client = self.serve_inside()
        within = ("nsenter", "--pid", "--mount", "--target", str(self.child(server)))
        (process,) = json.loads(self.inside("--json", way=within)[0])["processes"]
        self.assertEqual((process["pid"], [end["state"] for end in process["connections"]]), (1, ["sealed"]))
        # The numbers of the namespace above, of which /proc is.
        out, _ = self.inside("--json", client.pid, way=("unshare", "--pid", "--fork"))
        (process,) = json.loads(out)["processes"]
        self.assertEqual([end["state"] for end in process["connections"]], ["sealed"])

    def test_proc_of_another_namespace(self):
        server, client = self.serve_inside()
        within = ("nsenter", "--mount", "--target", str(self.child(server)))
        for arguments in ((), (1,)):
            out, errors = self.inside(*arguments, way=within, code=1)
            self.assertEqual(out, "")
            self.assertIn("/proc is not mounted, or is that of another PID namespace", errors)
        _, errors = self.inside(client.pid, setup="mount -t tmpfs none /proc", code=1)
        self.assertIn("/proc is not mounted", errors)


if __name__ == "__main__":
    unittest.main()
