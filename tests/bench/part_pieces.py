# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""What a sealed call is made of: its pieces by themselves (micro.c), and whole calls of one thread that sends a message
and receives it (ops.c), so that no waiting and no second core is in the time."""
import json
import resource

import peers as p
from rounds import row

SEALS = (p.PLAIN, p.AEGIS, p.CHACHA)
MESSAGES = {64: 8000, 16384: 20000, 131072: 100000}  # bytes to nanoseconds, roughly
WHOLE = "send and receive, {} B, one thread"


def cpu_time():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (usage.ru_utime + usage.ru_stime) * 1e9


def message(context, peer, size):
    """CPU time in nanoseconds of one message; the difference of two runs, so that start and handshake cancel out."""
    count = int(context.settings.seconds * 1e9 / MESSAGES[size]) + 1
    times = []
    for number in (count // 10, count + count // 10):
        port, before = p.free_port(), cpu_time()
        context.shop.run([context.build / "tests/bench/ops", port, "message", size, number],
                         env=context.peers.env(peer, port))
        times.append(cpu_time() - before)
    return (times[1] - times[0]) / count


def run(context):
    pieces, whole = {}, {size: {peer: [] for peer in SEALS} for size in MESSAGES}
    for number in range(context.settings.rounds):
        context.progress.show(f"round {number + 1} of {context.settings.rounds}")
        out = context.shop.run([context.build / "tests/bench/micro", context.settings.seconds * 2])
        for name, nanoseconds in json.loads(out).items():
            pieces.setdefault(name, []).append(nanoseconds)
        for size, taken in whole.items():
            for peer in SEALS:
                taken[peer].append(message(context, peer, size))
    context.progress.note("done")
    return [*(row(WHOLE.format(size), "", "ns of CPU", False, taken) for size, taken in whole.items()),
            *(row(name, "", "ns", False, {p.PLAIN: values}) for name, values in pieces.items())]
