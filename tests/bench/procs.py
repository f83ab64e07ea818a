# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""Processes of a benchmark: started in sessions of their own, watched by CPU clock, and surely ended.

Whatever runs here carries a mark in its environment and is told by the kernel when this process dies, so that neither
an exception nor Ctrl-C nor a kill leaves anything behind.
"""
import ctypes
import os
import re
import resource
import shutil
import signal
import subprocess
import tempfile
import time

from pathlib import Path

MARK = "SOCKSEAL_BENCH_RUN"
PR_SET_PDEATHSIG = 1
DEADLINE = 30.0  # seconds for a server to listen
OPEN_FILES = 65536
_libc = ctypes.CDLL(None, use_errno=True)


class BenchError(Exception):
    """A measurement that could not be made; its text goes into the output in place of a number."""


def cpu_clock(pid):
    """CPU time of a process in nanoseconds, by its clock in the kernel (CPUCLOCK_SCHED); 0 if it is gone."""
    try:
        return time.clock_gettime_ns((~pid << 3) | 2)
    except OSError:
        return 0


def waited_children(pid):
    """CPU time of a process's children that ended, in nanoseconds, as exactly as the kernel tells (10 ms)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return (int(fields[13]) + int(fields[14])) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def descendants(pid):
    """The process and all that it has started and that still live."""
    found, waiting = [], [pid]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                waiting += [int(child) for child in Path(f"/proc/{pid}/task/{task}/children").read_text().split()]
        except OSError:
            pass  # it has just ended
    return found


class Service:
    """A process that stays until the end of its part of the benchmark."""

    def __init__(self, process, argv, output, end_signal):
        self.process, self.argv, self.output, self._end_signal = process, argv, output, end_signal
        self.pid = process.pid

    def runs(self):
        return self.process.poll() is None

    def pids(self):
        return descendants(self.pid)

    def printed(self):
        return self.output.read_text(errors="replace")

    def stop(self):
        if self.runs():
            self.process.send_signal(self._end_signal)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                pass
        for pid in self.pids():
            end_process(pid)
        self.process.wait()


def end_process(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


class Workshop:
    """A temporary directory, and the processes that work in it. Use it in a `with`."""

    def __init__(self):
        self.directory = Path(tempfile.mkdtemp(prefix="sockseal-bench-"))
        self.directory.chmod(0o711)  # a server under another user finds its own files by name
        self._mark = f"{os.getpid()}-{time.monotonic_ns()}"
        self._services, self._count, self._at_end = [], 0, []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop_all()
        self._end_marked()
        for call in self._at_end:
            call()
        shutil.rmtree(self.directory, ignore_errors=True)

    def at_end(self, call):
        """Has something called when all processes have ended: what the kernel keeps without them."""
        self._at_end.append(call)

    def environment(self, extra=None):
        env = {name: value for name, value in os.environ.items()
               if not name.startswith("SOCKSEAL_") and name not in ("LD_PRELOAD", "MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
        env.update({MARK: self._mark, "LC_ALL": "C.UTF-8", "TMPDIR": str(self.directory)}, **(extra or {}))
        return env

    def _options(self, env, user, end_signal):
        def prepare():
            _libc.prctl(PR_SET_PDEATHSIG, int(end_signal))
            _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        options = {"env": self.environment(env), "start_new_session": True, "preexec_fn": prepare,
                   "cwd": self.directory}
        if user and os.geteuid() == 0:
            options.update(user=user, group=user, extra_groups=[])
        return options

    def _file(self, name):
        self._count += 1
        return self.directory / f"{name}.{self._count}"

    def start(self, argv, env=None, user=None, end_signal=signal.SIGTERM):
        """Starts a server; gives a Service. What it prints goes to a file."""
        argv = [str(word) for word in argv]
        output = self._file(os.path.basename(argv[0]))
        with open(output, "wb") as file:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                                       **self._options(env, user, end_signal))
        service = Service(process, argv, output, end_signal)
        self._services.append(service)
        return service

    def hold(self, argv, env=None, user=None):
        """Starts a program whose standard input and output the caller has; it is a service too."""
        argv = [str(word) for word in argv]
        output = self._file(os.path.basename(argv[0]))
        with open(output, "wb") as file:
            process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file,
                                       **self._options(env, user, signal.SIGKILL))
        service = Service(process, argv, output, signal.SIGKILL)
        self._services.append(service)
        return service

    def run(self, argv, env=None, user=None, timeout=120, stdout=None, may_fail=False):
        """Runs a program to its end; gives what it printed. Raises BenchError if it fails or takes too long."""
        argv = [str(word) for word in argv]
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=stdout or subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, **self._options(env, user, signal.SIGKILL))
        try:
            out, err = process.communicate(timeout=timeout)
        except BaseException as error:
            for pid in descendants(process.pid):
                end_process(pid)
            process.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                raise BenchError(f"{os.path.basename(argv[0])} was not done after {timeout} s") from None
            raise
        if process.returncode != 0 and not may_fail:
            raise BenchError(f"{os.path.basename(argv[0])} ended with status {process.returncode}: "
                             f"{(err or out or '').strip()[-300:]}")
        return (out or "") + (err or "")

    def wait_listening(self, port, service):
        """Waits until somebody listens on the port, without connecting to it."""
        pattern = re.compile(rf":{port:04X} \S+ 0A ")
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end and service.runs():
            if any(pattern.search(Path(table).read_text()) for table in ("/proc/net/tcp", "/proc/net/tcp6")):
                return service
            time.sleep(0.02)
        raise BenchError(f"{os.path.basename(service.argv[0])} does not listen: {service.printed().strip()[-300:]}")

    def stop(self, service):
        service.stop()
        self._services.remove(service)

    def stop_all(self):
        for service in reversed(self._services):
            service.stop()
        self._services.clear()

    def _end_marked(self):
        """What got away from its parent: daemons, orphans."""
        needle = f"{MARK}={self._mark}".encode()
        for entry in os.listdir("/proc"):
            if not entry.isdigit() or int(entry) == os.getpid():
                continue
            try:
                if needle in Path(f"/proc/{entry}/environ").read_bytes().split(b"\0"):
                    end_process(int(entry))
            except OSError:
                pass


def raise_limits():
    """Room for 10,000 connections in one process; gives how many descriptors a process may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, OPEN_FILES), max(hard, OPEN_FILES)))
    except (ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
