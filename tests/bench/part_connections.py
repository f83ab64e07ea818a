# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""New connections: connect, one request of 64 bytes, its reply, close; a full handshake each time. And how much of a
server's time it takes to refuse one."""
import re
import secrets

import peers as p
from apps import Echo, Redis
from loads import load
from part_bulk import run_checked
from procs import BenchError
from rounds import Metric, Work, run_work

RATE = Metric("rate", "", "connections/s")
SETUP = [RATE, Metric("p50", "set-up time, median", "us", False), Metric("p99", "set-up time, p99", "us", False)]
NO_HANDSHAKE = "one connection carries all: there is no handshake to measure"


def connects(context, *words):
    def measure(endpoint, seconds):
        result = load(context, "connects", endpoint, *words, "--seconds", seconds)
        return {"rate": result["rate"], "p50": result["p50"] / 1e3, "p99": result["p99"] / 1e3,
                "ops": result["count"] * 1000}
    return measure


def redis_connects(context, app):
    speeds = {}

    def measure(endpoint, seconds):
        count = max(200, int(speeds.get(endpoint.peer, 0) * seconds))
        argv = ["redis-benchmark", "-h", "127.0.0.1", "-p", endpoint.port, "-c", 10, "-n", count, "-t", "get", "-k", 0,
                "--csv", *app.client_words(endpoint.peer)]
        if endpoint.peer in speeds:  # a log line for each connection would be measured too
            out = context.shop.run(argv, env=endpoint.env)
        else:
            out = run_checked(context, endpoint, argv)
        rate = re.search(r'"GET","([\d.]+)"', out)
        if not rate:
            raise BenchError("redis-benchmark printed " + out.strip()[-200:])
        speeds[endpoint.peer] = float(rate.group(1))
        return {"rate": speeds[endpoint.peer], "ops": count * 1000}
    return measure


# ---- refusals ----

def refused(context, env_of):
    """Clients that cannot get in: refused connections a second of the server's CPU time, its log line included."""
    def measure(endpoint, seconds):
        client = p.Endpoint(p.PLAIN, endpoint.port, endpoint.services, env_of(endpoint))
        result = load(context, "connects", client, "--seconds", seconds, errors_allowed=True)
        if result["count"] or not result["errors"]:
            raise BenchError(f"{result['count']} clients without the key were served, {result['errors']} refused")
        # the program spreads the CPU time over the replies; there were none, so what it gives is the sum
        return {"per_core": result["errors"] * 1e9 / result["server_cpu"]}
    return measure


def refusals(context, app):
    wrong = context.peers.write_key_file("wrong-keys", secrets.token_hex(32))
    stranger = context.shop.directory / "strangers-keys"
    stranger.touch(mode=0o600)
    stranger.write_text(f"stranger:{secrets.token_hex(32)}\n")
    metric = [Metric("per_core", "", "refused/s per core")]
    rows = []
    for label, key_file in (("refused: bytes that are no TLS", None), ("refused: wrong key", wrong),
                            ("refused: unknown identity", stranger)):
        def env_of(endpoint, key_file=key_file):
            env = context.peers.env(endpoint.peer, endpoint.port, key_file=key_file)
            return dict(env, SOCKSEAL_LOG="quiet") if key_file else {}
        rows += run_work(Work(label, metric, refused(context, env_of), peers=p.SEALED), app, context.settings,
                         context.progress)
    return rows


def run(context):
    rows = []
    app = context.start(Echo, "--epoll", extra=(p.TLS_PSK,))
    app.endpoints.pop(p.SSH, None)
    app.left_out[p.SSH] = NO_HANDSHAKE
    rows += run_work(Work("connections, one after another", SETUP, connects(context, "--blocking"), "us"), app,
                     context.settings, context.progress)
    rows += run_work(Work("connections, 16 at a time", SETUP, connects(context, "--epoll", "--connections", 16), "us"),
                     app, context.settings, context.progress)
    rows += refusals(context, app)
    app.stop()
    app = context.start(Redis)
    app.endpoints.pop(p.SSH, None)
    app.left_out[p.SSH] = NO_HANDSHAKE
    rows += run_work(Work("redis, a connection for each GET, 10 clients", [RATE], redis_connects(context, app), "us"),
                     app, context.settings, context.progress)
    app.stop()
    return rows
