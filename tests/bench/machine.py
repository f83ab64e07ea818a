# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""What a result was measured on."""
import os
import platform
import re
import subprocess
import time

from pathlib import Path

from peers import ROOT, version_of

PROGRAMS = {"iperf3": ["iperf3", "--version"], "redis": ["redis-server", "--version"], "nginx": ["nginx", "-v"],
            "PostgreSQL": ["psql", "--version"], "curl": ["curl", "--version"], "wrk": ["wrk", "-v"],
            "stunnel": ["stunnel4", "-version"], "spiped": ["spiped", "-v"], "OpenSSH": ["ssh", "-V"],
            "socat": ["socat", "-V"], "OpenSSL": ["openssl", "version"], "valgrind": ["valgrind", "--version"],
            "gcc": ["gcc", "--version"]}


def cpu_model():
    match = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return match.group(1) if match else platform.machine()


def cpu_flags():
    match = re.search(r"^(?:flags|Features)\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return set(match.group(1).split()) if match else set()


def commit():
    def git(*words):
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    return (git("rev-parse", "--short", "HEAD") or "unknown") + ("+" if git("status", "--porcelain", "shim") else "")


def short_version(line):
    """The version number in such a line: "7.0.15" of "Redis server v=7.0.15 sha=...", "9.2p1" of "OpenSSH_9.2p1"."""
    found = re.search(r"\d+\.\d+[\w.]*", line or "missing")
    return found.group(0) if found else "missing"


def describe():
    memory = int(re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text()).group(1))
    flags = cpu_flags()
    return {"cpu": cpu_model(), "cores": os.cpu_count(), "memory_gib": round(memory / 1048576, 1),
            "features": sorted(flags & {"aes", "vaes", "avx2", "avx512f", "pclmulqdq", "vpclmulqdq", "hypervisor"}),
            "kernel": platform.release(), "libc": " ".join(platform.libc_ver()),
            "distribution": platform.freedesktop_os_release().get("PRETTY_NAME", "unknown"),
            "commit": commit(), "date": time.strftime("%Y-%m-%d"),
            "versions": {name: short_version(version_of(*argv)) for name, argv in PROGRAMS.items()}}


def one_line(machine):
    virtual = ", virtual machine" if "hypervisor" in machine["features"] else ""
    return (f"{machine['cpu']}, {machine['cores']} cores{virtual}, Linux {machine['kernel'].split('-')[0]}, "
            f"{machine['distribution']}, {machine['date']}, commit {machine['commit']}")


def programs(machine):
    """The programs that took part, with versions."""
    return ", ".join(f"{name} {version}" for name, version in machine["versions"].items()
                     if name not in ("valgrind", "gcc", "curl", "wrk"))
