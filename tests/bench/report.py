# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""The tables on the terminal."""
import textwrap

import budget
import peers as p

ORDER = (p.PLAIN, p.NONE, p.EMPTY, p.UNSET, p.ELSEWHERE, p.AEGIS, p.CHACHA, p.TLS_AES, p.TLS_CHACHA, p.TLS_PSK,
         p.KTLS, *p.TUNNELS, p.WIREGUARD)


def number(value):
    """Three or four significant digits, with separators for thousands."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.2f}" if abs(value) >= 10 else f"{value:.3f}"


def spread(cell):
    """How far the rounds lie apart: half the way from least to most, in per cent of the median."""
    if len(cell["values"]) == 1 or not cell["median"]:
        return ""
    return f"±{(cell['max'] - cell['min']) / 2 / abs(cell['median']) * 100:.0f}%"


def times(cell, peer):
    """The ratio to plain."""
    ratio = cell["ratio"]
    if ratio is None or peer in (p.PLAIN, p.NONE):
        return ""
    return f"{ratio:.2f}x" if ratio < 10 else f"{ratio:,.0f}x"


def cell_text(row, peer):
    cell = row["peers"].get(peer)
    if not cell:
        return "-".rjust(24)
    return f"{number(cell['median']):>10s} {spread(cell):>5s} {times(cell, peer):>7s}"


def heading(row):
    return " ".join(filter(None, (row["metric"], row["unit"], "↑" if row["more_is_better"] else "↓")))


def group_lines(rows):
    lines = ["", rows[0]["group"], " " * 31 + "".join(" " + heading(row)[:24].rjust(24) for row in rows)]
    for peer in ORDER:
        if any(peer in row["peers"] for row in rows):
            lines.append((f"  {p.LABELS[peer]:29s}" + "".join(" " + cell_text(row, peer) for row in rows)).rstrip())
    return lines


def groups(rows):
    found = {}
    for row in rows:
        found.setdefault(row["group"], []).append(row)
    return found.values()


def pieces_lines(part):
    """The whole calls as a table, the pieces one a line, and what they add up to."""
    lines = []
    for row in part["rows"]:
        if len(row["peers"]) > 1:
            lines += group_lines([row])
    lines += ["", "pieces"]
    lines += [f"  {row['label']:36s} {number(row['peers'][p.PLAIN]['median']):>10s} ns {spread(row['peers'][p.PLAIN])}"
              for row in part["rows"] if len(row["peers"]) == 1]
    return [*lines, "", *budget.markdown(part)]


def left_out_lines(rows):
    reasons = {}
    for row in rows:
        for peer, reason in row["left_out"].items():
            reasons.setdefault((peer, reason), {})[row["group"]] = None
    lines = [""] if reasons else []
    for (peer, reason), where in reasons.items():
        lines += textwrap.wrap(f"left out: {p.LABELS.get(peer, peer)} in {'; '.join(where)}: {reason}", 118,
                               subsequent_indent="    ")
    return lines


def table(name, part):
    """One part: median, spread and ratio to plain, by peer."""
    lines = ["", f"=== {name}: median of {part['rounds']} rounds, ± half the range, ratio to plain; ↑ more is "
                 f"better, ↓ less ({part['seconds']} s)"]
    if name == "pieces":
        return "\n".join(lines + pieces_lines(part))
    for rows in groups(part["rows"]):
        lines += group_lines(rows)
    return "\n".join(lines + left_out_lines(part["rows"]))
