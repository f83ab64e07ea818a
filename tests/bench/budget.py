# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""Where the nanoseconds of a small message and of a large one go, from the part `pieces`, as Markdown."""
import peers as p
from part_pieces import WHOLE

RECORD = 16384
SUITE = p.SEAL_SUITES


class Pieces:
    """Medians of the part, by label and peer."""

    def __init__(self, part):
        self._rows = {row["label"]: row["peers"] for row in part["rows"]}

    def get(self, label, peer=p.PLAIN):
        return self._rows[label][peer]["median"]

    def has(self, peer):
        return f"{SUITE[peer]} seal {RECORD}" in self._rows


def lines_of(pieces, peer, size, calls):
    """[what, nanoseconds] of so many calls: the kernel's part, the cipher's, and what is left for the shim."""
    record = min(size, RECORD)
    records = size // record * calls
    plain, sealed = (calls * pieces.get(WHOLE.format(size), who) for who in (p.PLAIN, peer))
    seal, opened = (records * pieces.get(f"{SUITE[peer]} {what} {record}") for what in ("seal", "open"))
    name = f"{records} record{'s' if records > 1 else ''}"
    return [[f"the kernel: {2 * calls} system calls, as plain", plain],
            [f"the cipher: sealing {name}", seal], [f"the cipher: opening {name}", opened],
            ["the shim: doors, look-up, roles, framing, copies, and the records' own bytes in the kernel",
             sealed - plain - seal - opened], ["all", sealed]]


def table(pieces, size, calls, title):
    peers = [peer for peer in (p.AEGIS, p.CHACHA) if pieces.has(peer)]
    columns = [lines_of(pieces, peer, size, calls) for peer in peers]
    lines = [f"| {title} | " + " | ".join(f"{p.LABELS[peer]}, ns" for peer in peers) + " |",
             "|---|" + "---:|" * len(peers)]
    for entries in zip(*columns):
        lines.append(f"| {entries[0][0]} | " + " | ".join(f"{entry[1]:,.0f}" for entry in entries) + " |")
    return lines


def limit(pieces, size):
    """The least that a sealed message can take of plain's time: the kernel's part and the cipher's, nothing else."""
    plain = pieces.get(WHOLE.format(size))
    record = min(size, RECORD)
    cipher = size // record * sum(pieces.get(f"{SUITE[p.AEGIS]} {what} {record}") for what in ("seal", "open"))
    sealed = pieces.get(WHOLE.format(size), p.AEGIS)
    return (f"With nothing but the kernel's part and the cipher's, AEGIS would take {(plain + cipher) / plain:.2f} of "
            f"plain's CPU time; it takes {sealed / plain:.2f}.")


def markdown(part):
    """Both tables and their limits."""
    pieces = Pieces(part)
    lines = []
    for size, calls, title in ((64, 1, "64 bytes"), (131072, 8, "1 MiB, in calls of 128 KiB")):
        lines += [*table(pieces, size, calls, title), ""]
        if pieces.has(p.AEGIS):
            lines += [limit(pieces, size), ""]
    return lines[:-1]
