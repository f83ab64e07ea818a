# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""Many bytes: iperf3 in both directions with one stream and eight, a file from nginx, COPY out of PostgreSQL."""
import json
import re
import subprocess
import time

import peers as p
from apps import BIG_FILE, COPY_ROWS, Iperf, Nginx, Postgres
from procs import BenchError
from rounds import Metric, Work, run_work

GBITS = "Gbit/s"
CPU_PER_GIB = "s/GiB"
GIB = 1 << 30


def sealed_log(context, endpoint):
    """The environment of a client whose connections are to be seen in a log, and the log's path."""
    if endpoint.peer not in p.SEALED:
        return endpoint.env, None
    log = context.shop.directory / f"client-{endpoint.peer}.log"
    log.unlink(missing_ok=True)
    return dict(endpoint.env, SOCKSEAL_LOG="info", SOCKSEAL_LOG_FILE=str(log)), log


def run_checked(context, endpoint, argv, env=None, **options):
    """Runs a client; a sealed one's log must tell of the suite."""
    logged, log = sealed_log(context, endpoint)
    out = context.shop.run(argv, env={**(env or {}), **logged}, **options)
    if log:
        context.peers.check_sealed(endpoint.peer, log)
    return out


def volume(bits_per_second, count, size):
    """A result in Gbit/s; the CPU time is spread over GiB (times 1e9, since it is in nanoseconds)."""
    return {"rate": bits_per_second / 1e9, "ops": count * size / GIB * 1e9}


def iperf(context, words):
    def measure(endpoint, seconds):
        env, log = sealed_log(context, endpoint)
        argv = ["iperf3", "-c", endpoint.host, "-p", endpoint.port, "-t", max(1, round(seconds)), "-J", *words]
        result = {}
        for _ in range(20):  # the server may still be busy with the end of the run before
            out = context.shop.run(argv, env=env, timeout=30, may_fail=True)
            result = json.loads(out) if out.startswith("{") else {"error": out}
            if "busy" not in result.get("error", ""):
                break
            time.sleep(0.05)
        if "sum_received" not in result.get("end", {}):
            raise BenchError("iperf3: " + result.get("error", "no result").strip()[-200:])
        if log:
            context.peers.check_sealed(endpoint.peer, log)
        end = result["end"]["sum_received"]
        return volume(end["bits_per_second"], end["bytes"], 1)
    return measure


def file_from_nginx(context, nginx):
    speeds = {}  # bytes a second, by peer: a measurement fetches the file as often as its time allows

    def measure(endpoint, seconds):
        count = int(min(64, max(1, speeds.get(endpoint.peer, 0) * seconds / BIG_FILE)))
        url = nginx.url(endpoint, f"big?[1-{count}]")
        out = run_checked(context, endpoint, ["curl", "-s", "-S", "--tlsv1.3", "--cacert", context.peers.cert, "-o",
                                              "/dev/null", "-w", "%{size_download} %{time_total}\n", url])
        sizes, times = zip(*(map(float, line.split()) for line in out.splitlines()))
        if sum(sizes) != count * BIG_FILE:
            raise BenchError(f"curl got {sum(sizes):.0f} bytes of {count * BIG_FILE}")
        speeds[endpoint.peer] = sum(sizes) / sum(times)
        return volume(speeds[endpoint.peer] * 8, count, BIG_FILE)
    return measure


def copy_out(context, postgres):
    def measure(endpoint, _seconds):
        started = time.monotonic()
        run_checked(context, endpoint, ["psql", "-q", "-c", "COPY big TO STDOUT"], stdout=subprocess.DEVNULL,
                    env=postgres.client_env(endpoint))
        size = COPY_ROWS * 1025
        return volume(size * 8 / (time.monotonic() - started), size, 1)
    return measure


def run(context):
    rate = [Metric("rate", "", GBITS)]
    rows = []
    app = context.start(Iperf, extra=(p.WIREGUARD,))
    for label, words in (("iperf3, 1 stream, client sends", []), ("iperf3, 1 stream, server sends", ["-R"]),
                         ("iperf3, 8 streams, client sends", ["-P", "8"]),
                         ("iperf3, 8 streams, server sends", ["-P", "8", "-R"])):
        rows += run_work(Work(label, rate, iperf(context, words), CPU_PER_GIB), app, context.settings,
                         context.progress)
    app.stop()
    app = context.start(Nginx, extra=(p.KTLS,))
    rows += run_work(Work("nginx, large file", rate, file_from_nginx(context, app), CPU_PER_GIB), app,
                     context.settings, context.progress)
    app.stop()
    app = context.start(Postgres)
    rows += run_work(Work("PostgreSQL, COPY TO STDOUT", rate, copy_out(context, app), CPU_PER_GIB), app,
                     context.settings, context.progress, verify=lambda e: check_postgres(context, app, e))
    app.stop()
    return rows


def check_postgres(context, app, endpoint):
    """That a client of this peer speaks the TLS asked for, by the server's own word."""
    if endpoint.peer not in p.OWN_TLS:
        return
    query = "SELECT version, cipher FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    out = context.shop.run(["psql", "-At", "-c", query], env=app.client_env(endpoint))
    if not re.match(rf"TLSv1.3\|{p.SUITES[endpoint.peer]}$", out.strip()):
        raise BenchError(f"PostgreSQL says {out.strip()}")
