# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""Requests a second of programs that people run: redis-benchmark, wrk against nginx, pgbench."""
import csv
import re

import peers as p
from apps import Nginx, Postgres, Redis
from part_bulk import check_postgres, run_checked
from procs import BenchError
from rounds import Metric, Work, run_work

PER_SECOND = "requests/s"
CPU_PER_REQUEST = "us"
CLIENTS = 50


def redis(context, app, words, factor):
    """Each command runs `factor` times as long as other measurements: setting the connections up is in its time."""
    speeds = {}

    def measure(endpoint, seconds):
        count = max(1000, int(speeds.get(endpoint.peer, 0) * seconds * factor))
        argv = ["redis-benchmark", "-h", "127.0.0.1", "-p", endpoint.port, "-c", CLIENTS, "-n", count, "-t", "set,get",
                "--csv", *words, *app.client_words(endpoint.peer)]
        lines = run_checked(context, endpoint, argv).splitlines()
        rates = {line[0]: float(line[1]) for line in csv.reader(lines) if line and line[0] in ("SET", "GET")}
        if len(rates) != 2:
            raise BenchError("redis-benchmark printed " + " ".join(lines)[-200:])
        speeds[endpoint.peer] = min(rates.values())
        return {"set": rates["SET"], "get": rates["GET"], "ops": 2 * count * 1000}
    return measure


def web(context, app):
    def measure(endpoint, seconds):
        argv = ["wrk", "-t", 1, "-c", CLIENTS, "-d", f"{max(1, round(seconds))}s", app.url(endpoint, "small")]
        out = run_checked(context, endpoint, argv)
        rate, count = re.search(r"Requests/sec:\s*([\d.]+)", out), re.search(r"(\d+) requests in", out)
        errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", out)
        # wrk takes a wake-up without data for an error and opens another connection; a few do not matter here
        if not rate or "Non-2xx" in out or (errors and sum(map(int, errors.groups())) > CLIENTS):
            raise BenchError("wrk printed " + out.strip()[-200:])
        if errors:
            context.progress.note(f"wrk, {p.LABELS[endpoint.peer]}: {errors.group(0)}")
        return {"rate": float(rate.group(1)), "ops": int(count.group(1)) * 1000}
    return measure


def select(context, app):
    def measure(endpoint, seconds):
        argv = ["pgbench", "-S", "-n", "-M", "prepared", "-c", 10, "-j", 1, "-T", max(1, round(seconds))]
        out = run_checked(context, endpoint, argv, env=app.client_env(endpoint))
        rate = re.search(r"tps = ([\d.]+) \(without initial", out)
        count = re.search(r"actually processed: (\d+)", out)
        if not rate or not count:
            raise BenchError("pgbench printed " + out.strip()[-200:])
        return {"rate": float(rate.group(1)), "ops": int(count.group(1)) * 1000}
    return measure


def run(context):
    rows = []
    app = context.start(Redis)
    both = [Metric("set", "SET", PER_SECOND), Metric("get", "GET", PER_SECOND)]
    for label, words, factor in ((f"redis, {CLIENTS} clients", [], 2),
                                 (f"redis, {CLIENTS} clients, -P 16", ["-P", "16"], 1),
                                 (f"redis, {CLIENTS} clients, 64 KiB values", ["-d", "65536"], 1)):
        rows += run_work(Work(label, both, redis(context, app, words, factor), CPU_PER_REQUEST), app,
                         context.settings, context.progress)
    app.stop()
    rate = [Metric("rate", "", PER_SECOND)]
    app = context.start(Nginx)
    rows += run_work(Work(f"nginx, 1 KiB file, wrk, {CLIENTS} connections", rate, web(context, app), CPU_PER_REQUEST),
                     app, context.settings, context.progress)
    app.stop()
    app = context.start(Postgres)
    rows += run_work(Work("PostgreSQL, pgbench -S, 10 clients", rate, select(context, app), CPU_PER_REQUEST), app,
                     context.settings, context.progress, verify=lambda e: check_postgres(context, app, e))
    app.stop()
    return rows
