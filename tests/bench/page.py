# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""What UPDATE=1 writes into the two READMEs: the figures between their markers, with machine and command."""
import re
import textwrap

import budget
import machine
import peers as p
from report import number

TOP, HERE = p.ROOT / "README.md", p.ROOT / "tests/bench/README.md"
COLUMNS = (p.AEGIS, p.CHACHA, p.TLS_AES, p.STUNNEL, p.SSH, p.SPIPED)
HEADINGS = {p.AEGIS: "sockseal AEGIS", p.CHACHA: "sockseal ChaCha20", p.TLS_AES: "own TLS", p.STUNNEL: "stunnel",
            p.SSH: "`ssh -L`", p.SPIPED: "spiped"}
ROWS = (("bulk", "iperf3, 1 stream, client sends", "iperf3, one stream"),
        ("bulk", "nginx, large file", "a large file from nginx"),
        ("bulk", "PostgreSQL, COPY TO STDOUT", "COPY out of PostgreSQL"),
        ("requests", "redis, 50 clients, GET", "redis GET, 50 clients"),
        ("requests", "redis, 50 clients, -P 16, GET", "the same, 16 at a time"),
        ("requests", "nginx, 1 KiB file, wrk, 50 connections", "a small file from nginx"),
        ("requests", "PostgreSQL, pgbench -S, 10 clients", "pgbench -S"),
        ("latency", "ping-pong, 64 B, epoll, median", "ping-pong of 64 bytes, less is better"),
        ("connections", "connections, 16 at a time", "new connections, one request each"))


def between(path, name, lines):
    """Replaces what stands between the markers of this name. False if the file has none."""
    text = path.read_text()
    pattern = re.compile(rf"(<!-- {name}: begin.*?-->\n).*?(<!-- {name}: end -->)", re.DOTALL)
    changed, count = pattern.subn(lambda found: found.group(1) + "\n".join(lines) + "\n" + found.group(2), text)
    if count:
        path.write_text(changed)
    return count == 1


def source(result):
    return f"{machine.one_line(result['machine'])}; `{result['command']}`, median of {result['rounds']} rounds."


def figures(result):
    """The table of the top README; None unless every row was measured."""
    lines = ["| work | plain TCP | " + " | ".join(HEADINGS[peer] for peer in COLUMNS) + " |",
             "|---|---:|" + "---:|" * len(COLUMNS)]
    for part, label, name in ROWS:
        row = next((row for row in result["parts"].get(part, {"rows": []})["rows"] if row["label"] == label), None)
        if row is None:
            return None
        cells = [f"{row['peers'][peer]['ratio']:.2f}" if peer in row["peers"] else "-" for peer in COLUMNS]
        unit = row["unit"].replace("us", "µs")
        lines.append(f"| {name} | {number(row['peers'][p.PLAIN]['median'])} {unit} | " + " | ".join(cells) + " |")
    return [*lines, "", source(result)]


COSTS = (("bulk", "iperf3, 1 stream, client sends"), ("requests", "redis, 50 clients, GET"),
         ("connections", "connections, 16 at a time"))
COST_OF = ((p.AEGIS, "sockseal"), (p.STUNNEL, "stunnel"), (p.SSH, "`ssh -L`"), (p.SPIPED, "spiped"))


def cost(result):
    """The sentence below the comparison in the top README; None unless every row was measured."""
    rows = [next((row for row in result["parts"].get(part, {"rows": []})["rows"] if row["label"] == label), None)
            for part, label in COSTS]
    if None in rows:
        return None
    ratios = [name + " " + ", ".join(f"{row['peers'][peer]['ratio']:.2f}" if peer in row["peers"] else "-" for row in rows)
              for peer, name in COST_OF]
    text = ("What is left of plain TCP's speed (1.00 = all of it), by iperf3 in one stream, by redis GET with 50 clients, and by "
            f"new connections with one request each: {'; '.join(ratios)}. WireGuard and meshes are not measured. "
            "The table is [below](#how-fast).")
    return textwrap.wrap(text, 128, break_on_hyphens=False)


def publish(result):
    """Writes what the parts that ran allow; gives the names of the files."""
    changed = []
    table = figures(result)
    sentence = cost(result)
    if sentence and between(TOP, "cost", sentence) and table and between(TOP, "figures", table):
        changed.append("README.md")
    if "pieces" in result["parts"]:
        lines = [*budget.markdown(result["parts"]["pieces"]), "", source(result)]
        if between(HERE, "budget", lines):
            changed.append("tests/bench/README.md")
    return changed
