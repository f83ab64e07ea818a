# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""Many connections at once: requests a second and CPU time of one, and the memory of idle ones."""
import re

from pathlib import Path

import peers as p
from apps import Echo
from loads import load, load_words
from procs import BenchError
from rounds import Metric, Work, run_work

COUNTS = (1, 10, 100, 1000, 10000)
IDLE = 10000
WHO = (p.PLAIN, p.AEGIS, p.CHACHA, p.TLS_AES, p.TLS_CHACHA, p.STUNNEL)
DIRECT = (p.PLAIN, p.AEGIS, p.CHACHA, p.TLS_AES)  # TLS takes the same whatever the suite
METRICS = [Metric("rate", "", "requests/s"), Metric("client_cpu", "client's CPU", "us", False),
           Metric("server_cpu", "server's CPU", "us", False)]
MEMORY = [Metric("server", "server", "bytes/connection", False), Metric("client", "client", "bytes/connection", False)]


def crowd(context, count):
    def measure(endpoint, seconds):
        # a round of 10,000 takes about 0.1 s by itself
        seconds = max(seconds, count / 10000)
        result = load(context, "crowd", endpoint, "--connections", count, "--seconds", seconds, "--warm", seconds / 4)
        return {"rate": result["rate"], "client_cpu": result["client_cpu"] / 1e3,
                "server_cpu": result["server_cpu"] / 1e3}
    return measure


# ---- memory ----

def shared_state(pid):
    """Bytes that the kernel holds for the shim's shared mapping of this process, whether mapped in or not."""
    for link in Path(f"/proc/{pid}/map_files").glob("*"):
        try:
            if "memfd:sockseal" in str(link.readlink()):
                return link.stat().st_blocks * 512
        except OSError:
            pass
    return 0


def memory_of(pid):
    """Proportional set size, in which what the shim shares counts whole: with every page that the kernel has."""
    fields = dict(re.findall(r"^(Pss\w*):\s+(\d+) kB$", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE))
    shared = max(int(fields["Pss_Shmem"]) * 1024, shared_state(pid))
    return (int(fields["Pss_Anon"]) + int(fields["Pss_File"])) * 1024 + shared


def idle(context, app, count):
    """A server of its own for each measurement: what an earlier crowd left behind is not counted."""
    def measure(endpoint, _seconds):
        port = p.free_port()
        env = context.peers.env(endpoint.peer, port)
        server = context.shop.wait_listening(port, app.launch(endpoint.peer, port, env))
        fresh = p.Endpoint(endpoint.peer, port, [server], env)
        try:
            few, many = (held(context, fresh, server, number) for number in (count // 100, count))
        finally:
            context.shop.stop(server)
        more = count - count // 100
        return {"server": (many[0] - few[0]) / more, "client": (many[1] - few[1]) / more}
    return measure


def held(context, endpoint, server, count):
    """Memory of server and client while so many idle connections stand."""
    client = context.shop.hold(load_words(context, "crowd", endpoint, "--connections", count, "--seconds", 0),
                               env=endpoint.env)
    try:
        if client.process.stdout.readline().strip() != b"idle":
            raise BenchError("crowd: " + client.printed().strip()[-200:])
        return memory_of(server.pid), memory_of(client.pid)
    finally:
        client.process.stdin.close()
        client.process.wait(30)
        client.process.stdout.close()
        context.shop.stop(client)


def run(context):
    rows = []
    app = context.start(Echo, "--epoll", only=WHO)
    most = context.open_files - 100  # of one process
    for count in COUNTS:
        if count > most:
            context.progress.note(f"{count} connections: not with {context.open_files} open files a process")
            continue
        if 2 * count > most and app.endpoints.pop(p.STUNNEL, None):
            app.left_out[p.STUNNEL] = f"it needs two descriptors a connection, and may have {context.open_files}"
        rows += run_work(Work(f"{count} connections", METRICS, crowd(context, count)), app, context.settings,
                         context.progress)
    count = min(IDLE, most)
    rows += run_work(Work(f"memory of an idle connection, {count}", MEMORY, idle(context, app, count), peers=DIRECT,
                          warm_up=False), app,
                     context.settings.short(), context.progress)
    app.stop()
    return rows
