# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""Interleaved rounds (A B C A B C …), and what is kept of them."""
import resource
import statistics
import sys
import time

import peers as p
from procs import BenchError, cpu_clock, waited_children


class Metric:
    """One number of a measurement: its key there, how it is called, its unit, and whether more of it is better."""

    def __init__(self, key, label, unit, more_is_better=True):
        self.key, self.label, self.unit, self.more_is_better = key, label, unit, more_is_better


class Work:
    """One thing that is measured. measure(endpoint, seconds) gives a dict: the metrics' keys, and `ops`, over how many
    operations its CPU time is to be spread (left out: no CPU time is given). `peers`: only these take part."""

    def __init__(self, label, metrics, measure, cpu_unit=None, peers=None, warm_up=True):
        self.label, self.metrics, self.measure = label, metrics, measure
        self.cpu_unit, self.peers, self.warm_up = cpu_unit, peers, warm_up


class Settings:
    """What the command line chose."""

    def __init__(self, rounds, seconds, quick):
        self.rounds, self.seconds, self.quick = rounds, seconds, quick

    def short(self):
        """For what takes long and hardly varies: at most two rounds."""
        return Settings(min(self.rounds, 2), self.seconds, self.quick)


class Progress:
    """One line on the terminal that is written over; one line a work where it is none."""

    def __init__(self):
        self.stream, self.live = sys.stderr, sys.stderr.isatty()
        self.started, self.part = time.monotonic(), ""

    def show(self, text):
        if self.live:
            self.stream.write(f"\r\033[K{self._time()} {self.part}: {text}"[:160])
            self.stream.flush()

    def note(self, text):
        if self.live:
            self.stream.write("\r\033[K")
        self.stream.write(f"{self._time()} {self.part}: {text}\n")
        self.stream.flush()

    def _time(self):
        seconds = int(time.monotonic() - self.started)
        return f"[{seconds // 60:02d}:{seconds % 60:02d}]"


def service_cpu(endpoint):
    return sum(cpu_clock(pid) + waited_children(pid) for pid in endpoint.pids())


def client_cpu():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return int((usage.ru_utime + usage.ru_stime) * 1e9)


def measure_once(work, endpoint, seconds):
    """One measurement, with the CPU time of all processes that took part in it, in nanoseconds an operation."""
    services, clients = service_cpu(endpoint), client_cpu()
    result = work.measure(endpoint, seconds)
    spent = service_cpu(endpoint) - services + client_cpu() - clients
    if work.cpu_unit and result.get("ops"):
        result["cpu"] = spent / result["ops"]
    return result


def with_second_chance(work, endpoint, seconds, progress):
    """A failed measurement is made once more; the second failure is the peer's end in this work."""
    try:
        return measure_once(work, endpoint, seconds)
    except BenchError as error:
        progress.note(f"{work.label}: {endpoint.peer}: {error}; once more")
        time.sleep(0.5)
        return measure_once(work, endpoint, seconds)


def run_work(work, app, settings, progress, verify=None):
    """All rounds of one work; gives its rows. `verify(endpoint)` follows each peer's warm-up."""
    endpoints = [endpoint for peer, endpoint in app.endpoints.items() if work.peers is None or peer in work.peers]
    left_out, taken = dict(app.left_out), {endpoint.peer: [] for endpoint in endpoints}

    def attempt(endpoint, seconds, what):
        if endpoint.peer in left_out:
            return None
        progress.show(f"{work.label}: {what}, {p.LABELS[endpoint.peer]}")
        try:
            return with_second_chance(work, endpoint, seconds, progress)
        except BenchError as error:
            progress.note(f"{work.label}: {endpoint.peer}: left out: {error}")
            left_out[endpoint.peer] = str(error)
            return None

    for endpoint in endpoints if work.warm_up else ():
        if attempt(endpoint, settings.seconds / 2, "warming up") is not None and verify:
            verify(endpoint)
    for number in range(settings.rounds):
        for endpoint in endpoints:
            result = attempt(endpoint, settings.seconds, f"round {number + 1} of {settings.rounds}")
            if result is not None:
                taken[endpoint.peer].append(result)
    progress.note(f"{work.label}: done")
    return rows_of(work, taken, left_out)


def rows_of(work, taken, left_out):
    metrics = list(work.metrics)
    if work.cpu_unit:
        metrics.append(Metric("cpu", "CPU, both sides", work.cpu_unit, more_is_better=False))
    rows = []
    for metric in metrics:
        values = {peer: [result[metric.key] for result in results if metric.key in result]
                  for peer, results in taken.items() if peer not in left_out}
        rows.append(row(work.label, metric.label, metric.unit, metric.more_is_better, values, left_out))
    return rows


def row(group, metric, unit, more_is_better, values, left_out=None):
    """A row of the result: medians, spread, and the median of each round's ratio to the plain one."""
    plain = values.get(p.PLAIN) or values.get(p.NONE) or []
    cells = {}
    for peer, numbers in values.items():
        if not numbers:
            continue
        ratios = [mine / theirs for mine, theirs in zip(numbers, plain) if theirs]
        cells[peer] = {"values": numbers, "median": statistics.median(numbers), "min": min(numbers),
                       "max": max(numbers), "ratio": statistics.median(ratios) if ratios else None}
    return {"group": group, "metric": metric, "label": f"{group}, {metric}" if metric else group, "unit": unit,
            "more_is_better": more_is_better, "peers": cells,
            "left_out": left_out or {}}


def ratio(row_, peer, other):
    """The median over the rounds of one peer's value divided by the other's; None where one is missing."""
    mine, theirs = (row_["peers"].get(name, {}).get("values", []) for name in (peer, other))
    ratios = [a / b for a, b in zip(mine, theirs) if b]
    return statistics.median(ratios) if ratios else None
