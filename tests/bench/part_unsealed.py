# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""What a loaded shim costs a program in which nothing is sealed."""
import json
import subprocess
import time

import peers as p
from rounds import Metric, Work, run_work

TRUES = 1000
DD_BYTES = 1 << 30
DD_SMALL = 1 << 27


class Nothing:
    """Stands for the servers that there are none of: the peers here are ways to start a program."""

    def __init__(self, context):
        library = {"LD_PRELOAD": str(context.peers.library)}
        envs = {p.NONE: {}, p.EMPTY: {"LD_PRELOAD": str(context.build / "tests/bench/empty.so")}, p.UNSET: library,
                p.ELSEWHERE: dict(library, SOCKSEAL_PORTS="1", SOCKSEAL_KEY_FILE=str(context.peers.key_file))}
        self.endpoints = {name: p.Endpoint(name, 0, [], env) for name, env in envs.items()}
        self.left_out = {}


def pipes(context):
    def measure(endpoint, seconds):
        out = context.shop.run([context.build / "tests/bench/pipe", seconds], env=endpoint.env)
        return json.loads(out)
    return measure


def dd(context, block, size):
    """From /dev/zero to /dev/null: nothing but the calls."""
    def measure(endpoint, _seconds):
        started = time.monotonic()
        context.shop.run(["dd", "if=/dev/zero", "of=/dev/null", f"bs={block}", f"count={size // block}"],
                         env=endpoint.env, stdout=subprocess.DEVNULL)
        return {"call": (time.monotonic() - started) * 1e9 / (size // block) / 2}
    return measure


def load_time(context, count):
    def measure(endpoint, _seconds):
        words = [f"{name}={value}" for name, value in endpoint.env.items()]
        out = context.shop.run([context.build / "tests/bench/spawn", count, "/bin/true", *words])
        return {"ms": json.loads(out)["median"] / 1e6}
    return measure


def run(context):
    app, rows = Nothing(context), []
    works = [Work("pipe", [Metric("pingpong", "two processes", "ns", False),
                           Metric("one_process", "one process", "ns", False)], pipes(context)),
             Work("dd bs=512", [Metric("call", "a read or a write", "ns", False)], dd(context, 512, DD_SMALL)),
             Work("dd bs=64k", [Metric("call", "a read or a write", "ns", False)], dd(context, 65536, DD_BYTES)),
             Work(f"starting /bin/true, median of {TRUES}", [Metric("ms", "", "ms", False)],
                  load_time(context, TRUES if not context.settings.quick else TRUES // 5))]
    for work in works:
        rows += run_work(work, app, context.settings, context.progress)
    return rows
