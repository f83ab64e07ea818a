# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""Instructions and system calls of one operation. No rounds: they are repeatable. UPDATE=1 writes counts.json."""
import counts as c
import peers as p
from rounds import row


def run(context):
    counter, found, rows = c.Counter(context.peers), {}, []
    for operation in c.OPERATIONS:
        seen = {}
        for peer in c.PEERS:
            context.progress.show(f"{operation.name}: {p.LABELS[peer]}")
            seen[peer] = counter.count(operation, peer)
        found[operation.name] = seen
        context.progress.note(f"{operation.name}: done")
        for part in operation.functions:
            values = {peer: [seen[peer]["instructions"][part]] for peer in c.PEERS}
            rows.append(row(operation.name, part, "instructions", False, values))
        values = {peer: [sum(seen[peer]["calls"].values())] for peer in c.PEERS}
        rows.append(row(operation.name, "", "system calls", False, values))
    if context.update:
        c.write_table(found)
        context.progress.note(f"wrote {c.TABLE.relative_to(p.ROOT)}")
    return rows
