# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""Charts of a result, by gnuplot, as SVG: each names the machine and the command that made it."""
import shutil
import subprocess

from pathlib import Path

import machine
import peers as p

PUBLISHED = Path(__file__).with_name("charts")
COLOURS = {p.PLAIN: "#9a9a9a", p.AEGIS: "#1b7837", p.CHACHA: "#7fbf7b", p.TLS_AES: "#2166ac", p.TLS_CHACHA: "#92c5de",
           p.TLS_PSK: "#4393c3", p.STUNNEL: "#b2182b", p.SPIPED: "#ef8a62", p.SSH: "#8073ac", p.SOCAT: "#e0a030",
           p.KTLS: "#053061", p.WIREGUARD: "#8c510a"}
HEAD = """set terminal svg noenhanced size {width},{height} font "sans-serif,12" background rgb "white"
set output "{output}"
set datafile missing "?"
set title "{title}" font "sans-serif,15"
set label 1 "{machine}" at screen 0.01,0.08 font "sans-serif,10" textcolor rgb "#555555"
set label 2 "{programs}" at screen 0.01,0.05 font "sans-serif,10" textcolor rgb "#555555"
set label 3 "{command}" at screen 0.01,0.02 font "sans-serif,10" textcolor rgb "#555555"
set bmargin at screen 0.285
unset key
set grid ytics linecolor rgb "#dddddd"
set border 3
set tics nomirror out
"""
BULK = {"iperf3, 1 stream, client sends": "iperf3\\n1 stream", "iperf3, 1 stream, server sends": "iperf3 -R\\n1 stream",
        "iperf3, 8 streams, client sends": "iperf3\\n8 streams",
        "iperf3, 8 streams, server sends": "iperf3 -R\\n8 streams",
        "nginx, large file": "nginx\\nlarge file", "PostgreSQL, COPY TO STDOUT": "PostgreSQL\\nCOPY"}
REQUESTS = {"redis, 50 clients, GET": "redis GET\\n50 clients", "redis, 50 clients, SET": "redis SET\\n50 clients",
            "redis, 50 clients, -P 16, GET": "redis GET\\n-P 16",
            "redis, 50 clients, 64 KiB values, GET": "redis GET\\n64 KiB",
            "nginx, 1 KiB file, wrk, 50 connections": "nginx 1 KiB\\n50 connections",
            "PostgreSQL, pgbench -S, 10 clients": "pgbench -S\\n10 clients"}
LATENCY = {f"ping-pong, {size} B, {mode}, median": f"{size} B\\n{mode}"
           for mode in ("blocking", "epoll") for size in (1, 64, 1024, 16384)}
CONNECTIONS = {"connections, one after another": "one after another\\n(echo)",
               "connections, 16 at a time": "16 at a time\\n(echo)",
               "redis, a connection for each GET, 10 clients": "10 at a time\\n(redis GET)"}


class Chart:
    """A gnuplot script, and the file that it makes."""

    def __init__(self, result, path, title, width=1000, height=480):
        self.path = path
        self.script = HEAD.format(width=width, height=height, output=path, title=title,
                                  machine=machine.one_line(result["machine"]),
                                  programs=machine.programs(result["machine"]),
                                  command=f"{result['command']}   (median of {result['rounds']} rounds, interleaved)")

    def add(self, text):
        self.script += text + "\n"

    def legend(self, peers):
        """Names beside the colours of their bars, below the axis, five a line."""
        for index, peer in enumerate(peers):
            left, top = 0.02 + 0.2 * (index % 5), 0.16 - 0.037 * (index // 5)
            for number, text, x, colour in ((10, "■", left, COLOURS[peer]),
                                            (30, p.LABELS[peer], left + 0.016, "#222222")):
                self.add(f'set label {number + index} "{text}" at screen {x:.3f},{top:.3f} font "sans-serif,11" '
                         f'textcolor rgb "{colour}"')

    def draw(self):
        done = subprocess.run(["gnuplot"], input=self.script, text=True, capture_output=True, check=False, timeout=60)
        if done.returncode != 0:
            raise RuntimeError("gnuplot: " + done.stderr.strip()[-500:])
        text = "\n".join(line.rstrip() for line in self.path.read_text().splitlines())
        self.path.write_text(text.replace("\t", " ") + "\n")
        return self.path


def rows_by_label(result, part):
    return {row["label"]: row for row in result["parts"].get(part, {"rows": []})["rows"]}


def peers_of(rows):
    return [peer for peer in COLOURS if any(peer in row["peers"] for row in rows)]


def bars(result, path, title, axis, part, names, value, log=False):
    """Clusters of bars, one a work, a bar a peer; None when there is nothing to show."""
    found = rows_by_label(result, part)
    rows = {name: found[label] for label, name in names.items() if label in found}
    if not rows:
        return None
    chart = Chart(result, path, title)
    peers = peers_of(rows.values())
    chart.add("$data << END")
    for name, row in rows.items():
        cells = [value(row["peers"][peer]) if peer in row["peers"] else "?" for peer in peers]
        chart.add(f'"{name}" ' + " ".join(str(cell) for cell in cells))
    chart.add("END\nset style data histograms\nset style histogram clustered gap 1\nset style fill solid\n"
              f'set ylabel "{axis}"\nset xrange [-0.6:{len(rows) - 0.4}]\nset xtics scale 0\n'
              + ("set logscale y" if log else "set yrange [0:*]"))
    chart.legend(peers)
    columns = [f'$data using {number + 2}{":xtic(1)" if number == 0 else ""} '
               f'linecolor rgb "{COLOURS[peer]}"' for number, peer in enumerate(peers)]
    chart.add("plot " + ", ".join(columns))
    return chart.draw()


def lines(result, path):
    """Requests a second and the server's CPU time of one, over the number of connections."""
    found = rows_by_label(result, "scale")
    counts = [int(row["group"].split()[0]) for row in found.values() if row["metric"] == "" and
              row["group"].endswith(" connections")]
    if len(counts) < 2:
        return None
    chart = Chart(result, path, "64-byte requests over many connections at once")
    peers = peers_of([found[f"{count} connections"] for count in counts])
    chart.legend(peers)
    chart.add('set multiplot\nset logscale x\nset xlabel "connections" offset 0,0.5\n'
              'set yrange [0:*]\nset xrange [0.8:13000]')
    for number, (suffix, axis, unit) in enumerate((("", "thousand requests/s", 1000),
                                                   (", server's CPU", "server's CPU time a request, µs", 1))):
        for index, peer in enumerate(peers):
            chart.add(f"$p{number}_{index} << END")
            for count in counts:
                cell = found[f"{count} connections{suffix}"]["peers"].get(peer)
                if cell:
                    chart.add(f"{count} {cell['median'] / unit}")
            chart.add("END")
        left = 0.09 + 0.5 * number
        chart.add(f'set lmargin at screen {left}\nset rmargin at screen {left + 0.39}\nset ylabel "{axis}"')
        if number:
            chart.add("unset label\nset title ' '\nset logscale y\nset yrange [*:*]")
        chart.add("plot " + ", ".join(
            f'$p{number}_{index} with linespoints linewidth 2 pointtype 7 pointsize 0.5 '
            f'linecolor rgb "{COLOURS[peer]}"' for index, peer in enumerate(peers)))
    chart.add("unset multiplot")
    return chart.draw()


def median(cell):
    return cell["median"]


def per_cent(cell):
    return cell["ratio"] * 100 if cell["ratio"] is not None else "?"


def draw(result, directory):
    """Draws what the parts that ran give; the files."""
    if shutil.which("gnuplot") is None:
        return []
    directory.mkdir(parents=True, exist_ok=True)
    made = [bars(result, directory / "bulk.svg", "Bulk: many bytes", "Gbit/s (more is better)", "bulk", BULK, median),
            bars(result, directory / "requests.svg", "Requests a second, in per cent of plain TCP",
                 "per cent of plain TCP (more is better)", "requests", REQUESTS, per_cent),
            bars(result, directory / "latency.svg", "Ping-pong: median time until the reply is there",
                 "µs, logarithmic (less is better)", "latency", LATENCY, median, log=True),
            bars(result, directory / "connections.svg", "New connections with one request each",
                 "connections/s, logarithmic (more is better)", "connections", CONNECTIONS, median, log=True),
            lines(result, directory / "scale.svg")]
    return [path for path in made if path]


def publish(made):
    """Copies charts to where the README finds them."""
    PUBLISHED.mkdir(exist_ok=True)
    for path in made:
        shutil.copy(path, PUBLISHED / path.name)
