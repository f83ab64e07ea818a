# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""The pieces of a sealed call by themselves (micro.c): how fast the ciphers are, and what the kernel takes."""
import json

import peers as p
from rounds import row


def run(context):
    taken = {}
    for number in range(context.settings.rounds):
        context.progress.show(f"round {number + 1} of {context.settings.rounds}")
        out = context.shop.run([context.build / "tests/bench/micro", context.settings.seconds * 2])
        for name, nanoseconds in json.loads(out).items():
            taken.setdefault(name, []).append(nanoseconds)
    context.progress.note("done")
    return [row(name, "", "ns", False, {p.PLAIN: values}) for name, values in taken.items()]
