# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""Several hosts on one machine: a network namespace each, with a veth pair to a bridge in one more. Takes root.

A link that is cut drops everything in silence, as a pulled cable behind a switch does: no reset tells either side.
"""

import os
import subprocess
import time
import unittest

# Runs inside a namespace, and keeps it as long as its standard input is open.
_HOLDER = "ip link set lo up && echo ready && exec cat >/dev/null"


class _Namespace:
    def __init__(self):
        self._holder = subprocess.Popen(["unshare", "--net", "sh", "-c", _HOLDER], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        if self._holder.stdout.readline() != b"ready\n":
            self.close()
            raise unittest.SkipTest("no permission to make a network namespace")
        self.pid = self._holder.pid
        self.enter = ["nsenter", f"--net=/proc/{self.pid}/ns/net"]

    def run(self, *words, check=True):
        return subprocess.run([*self.enter, *map(str, words)], capture_output=True, text=True, timeout=20, check=check)

    def close(self):
        self._holder.stdin.close()
        self._holder.stdout.close()
        self._holder.kill()
        self._holder.wait()


class Host(_Namespace):
    """One host. Programs on it are started with the words of `enter` before their own."""

    def __init__(self, switch, number):
        super().__init__()
        self.address, self.number = f"10.77.0.{number}", number
        self._switch, self._port = switch, f"port{number}"
        switch.run("ip", "link", "add", self._port, "type", "veth", "peer", "name", "eth0", "netns", self.pid)
        switch.run("ip", "link", "set", self._port, "master", "bridge", "up")
        self.run("ip", "address", "add", self.address + "/24", "dev", "eth0")
        self.run("ip", "link", "set", "eth0", "up")

    def cut(self):
        self._switch.run("ip", "link", "set", self._port, "down")

    def heal(self):
        self._switch.run("ip", "link", "set", self._port, "up")

    def slow_down(self):
        """Lets what goes to this host wait: 30 ms each, or behind 4 Mbit/s where the kernel has no netem."""
        netem = self._switch.run("tc", "qdisc", "add", "dev", self._port, "root", "netem", "delay", "30ms", check=False)
        if netem.returncode != 0:
            self._switch.run("tc", "qdisc", "add", "dev", self._port, "root", "tbf", "rate", "4mbit", "burst", "16kb",
                             "latency", "400ms")

    def speed_up(self):
        self._switch.run("tc", "qdisc", "del", "dev", self._port, "root")


def make(case, count):
    """The hosts, which can reach each other when this returns; they are gone after the test."""
    if os.geteuid() != 0:
        raise unittest.SkipTest("hosts take root")
    switch = _Namespace()
    case.addCleanup(switch.close)
    switch.run("ip", "link", "add", "bridge", "type", "bridge", "forward_delay", "0")
    switch.run("ip", "link", "set", "bridge", "up")
    hosts = []
    for number in range(1, count + 1):
        hosts.append(Host(switch, number))
        case.addCleanup(hosts[-1].close)
    for host in hosts:
        for other in hosts:
            reach(host, other)
    return hosts


_PROBE = """
import socket, sys
with socket.socket() as probe:
    probe.settimeout(1)
    print(probe.connect_ex((sys.argv[1], 9)))
"""


def reach(host, other, timeout=10):
    """Waits until packets go to and fro: a port where nobody listens refuses, ECONNREFUSED being 111."""
    end = time.monotonic() + timeout
    while host.run("/usr/bin/python3", "-c", _PROBE, other.address).stdout.strip() != "111":
        if time.monotonic() > end:
            raise AssertionError(f"host {host.number} does not reach host {other.number}")
        time.sleep(0.05)
