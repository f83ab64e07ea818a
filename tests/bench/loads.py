# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""Running the load programs of this directory."""
import json

import peers as p
from procs import BenchError


def load_words(context, program, endpoint, *words):
    return [context.build / "tests/bench" / program, "--port", endpoint.port, *words,
            *context.peers.own_tls(endpoint.peer)]


def load(context, program, endpoint, *words, errors_allowed=False):
    """Runs one of them against an endpoint; gives its line of JSON, checked: no errors, and the suite asked for."""
    pids = ",".join(str(pid) for pid in endpoint.pids()[:32])
    out = context.shop.run(load_words(context, program, endpoint, *words, "--server-pids", pids), env=endpoint.env)
    result = json.loads(next(line for line in out.splitlines() if line.startswith("{")))
    wanted = p.SUITES.get(endpoint.peer, "plain")
    if not errors_allowed and (result["errors"] or not result["count"]):
        raise BenchError(f"{program}: {result['errors']} of {result['errors'] + result['count']} failed")
    if result["count"] and result["suite"] != wanted:
        raise BenchError(f"{program}: the connection was {result['suite']}, not {wanted}")
    return result
