# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""One request at a time between pingpong.c and echo.c: how long until its reply is there."""
from apps import Echo
from loads import load
from rounds import Metric, Work, run_work

SIZES = (1, 64, 1024, 16384)
METRICS = [Metric("p50", "median", "us", False), Metric("p99", "p99", "us", False),
           Metric("p999", "p99.9", "us", False)]


def pingpong(context, mode, size):
    def measure(endpoint, seconds):
        result = load(context, "pingpong", endpoint, mode, "--size", size, "--seconds", seconds / 2)
        return {"p50": result["p50"] / 1e3, "p99": result["p99"] / 1e3, "p999": result["p999"] / 1e3,
                "ops": result["count"] * 1000}
    return measure


def run(context):
    rows = []
    for mode in ("--blocking", "--epoll"):
        app = context.start(Echo, mode)
        for size in SIZES:
            rows += run_work(Work(f"ping-pong, {size} B, {mode[2:]}", METRICS, pingpong(context, mode, size), "us"),
                             app, context.settings, context.progress)
        app.stop()
    return rows
