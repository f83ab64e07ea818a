# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""What the project wants to reach, and whether the run did. Ratios are medians over the rounds."""
import statistics

import peers as p
from report import number
from rounds import ratio

BULK = ("iperf3, 1 stream, client sends", "iperf3, 1 stream, server sends")
REDIS = ("redis, 50 clients, SET", "redis, 50 clients, GET")
PINGPONG = ("ping-pong, 64 B, blocking, median", "ping-pong, 64 B, epoll, median")
CONNECTIONS = ("connections, one after another", "connections, 16 at a time")
NOISE = 1.02  # below this ratio no cost counts as measured
RECORD = 16384


class Rows:
    """The rows of a result by part and label."""

    def __init__(self, parts):
        self._rows = {(name, row["label"]): row for name, part in parts.items() for row in part["rows"]}

    def get(self, part, label):
        return self._rows.get((part, label))

    def starting(self, part, label):
        return [row for (name, other), row in self._rows.items() if name == part and other.startswith(label)]

    def median(self, part, label, peer):
        row = self.get(part, label)
        return row["peers"][peer]["median"] if row and peer in row["peers"] else None


def at_least(rows, part, labels, peer, factors):
    """Lines for `peer` against others: factors maps the other peer to the least ratio."""
    for label in labels:
        row = rows.get(part, label)
        for other, least in factors.items():
            measured = ratio(row, peer, other) if row else None
            if measured is not None:
                yield line(f"{label}: {p.LABELS[peer]} / {p.LABELS[other]}", f">= {least:g}", measured,
                           measured >= least)


def line(what, target, measured, met):
    return {"what": what, "target": target, "measured": measured, "met": bool(met)}


def latency(rows):
    for label in PINGPONG:
        row = rows.get("latency", label)
        measured = ratio(row, p.AEGIS, p.PLAIN) if row else None
        if measured is not None:
            yield line(f"{label}: {p.LABELS[p.AEGIS]} / plain TCP", "<= 1.05", measured, measured <= 1.05)


def memory(rows):
    for row in rows.starting("scale", "memory of an idle connection"):
        for peer in p.SEALED:
            if peer in row["peers"] and p.PLAIN in row["peers"]:
                more = row["peers"][peer]["median"] - row["peers"][p.PLAIN]["median"]
                yield line(f"{row['label']}: {p.LABELS[peer]}, bytes more than plain", "<= 1024", more, more <= 1024)


def unsealed(rows):
    """Calls against an empty library, which shifts what lies where in memory as much; loading against none."""
    for part, start in (("unsealed", "pipe"), ("unsealed", "dd")):
        for row in rows.starting(part, start):
            for peer in (p.UNSET, p.ELSEWHERE):
                measured = ratio(row, peer, p.EMPTY)
                if measured is None:
                    continue
                within = row["peers"][peer]["min"] <= row["peers"][p.EMPTY]["max"]
                yield line(f"{row['label']}: {p.LABELS[peer]} / an empty library",
                           f"<= {NOISE} or ranges overlap", measured, measured <= NOISE or within)
    for row in rows.starting("unsealed", "starting"):
        for peer in (p.UNSET, p.ELSEWHERE):
            pairs = zip(row["peers"][peer]["values"], row["peers"][p.NONE]["values"])
            more = statistics.median(mine - plain for mine, plain in pairs)
            yield line(f"loading: {p.LABELS[peer]}, ms more than no library", "<= 0.3", more, more <= 0.3)


def cipher_limit(rows, peer, name, target):
    """Against what plain TCP and the cipher in one thread allow together: 1 / (1/plain + 1/cipher)."""
    seal = rows.median("pieces", f"{name} seal {RECORD}", p.PLAIN)
    for label in BULK:
        plain, mine = (rows.median("bulk", label, who) for who in (p.PLAIN, peer))
        if not seal or not plain or not mine:
            continue
        cipher = RECORD * 8 / seal  # bits a nanosecond are Gbit/s
        allowed = 1 / (1 / plain + 1 / cipher)
        yield line(f"{label}: {p.LABELS[peer]} / what plain ({plain:.1f}) and cipher ({cipher:.1f}) allow, "
                   f"{allowed / plain:.2f} of plain", f">= {target:g}" if target else "(to compare)", mine / allowed,
                   mine >= (target or 0) * allowed)


def evaluate(parts):
    rows = Rows(parts)
    return [*at_least(rows, "bulk", BULK, p.AEGIS, {p.PLAIN: 0.95, p.STUNNEL: 4, p.SPIPED: 10}),
            *at_least(rows, "requests", REDIS, p.AEGIS, {p.PLAIN: 0.97, p.TLS_AES: 1.3, p.STUNNEL: 5}),
            *latency(rows),
            *at_least(rows, "connections", CONNECTIONS, p.AEGIS, {p.TLS_AES: 1.5, p.STUNNEL: 3}),
            *memory(rows), *unsealed(rows),
            *cipher_limit(rows, p.CHACHA, "chacha20", 0.9), *cipher_limit(rows, p.AEGIS, p.BEST_AEGIS, None)]


def table(found):
    lines = ["", "=== targets", f"{'':4s}{'target':22s} {'measured':>9s}  what"]
    for entry in found:
        met = "" if entry["target"].startswith("(") else "yes" if entry["met"] else "NO"
        lines.append(f"{met:4s}{entry['target']:22s} {number(entry['measured']):>9s}  "
                     f"{entry['what']}")
    if not found:
        lines.append("    none can be judged by the parts that ran")
    return "\n".join(lines)
