# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""Running real programs under the shim, for tests/apps and tests/interop.

A scenario is written once. @both_modes runs it on plain TCP first and sealed afterwards and compares what it returned:
the plain run is the specification. With SOCKSEAL_TEST_PLAIN=1 only the plain run happens, which checks the test itself.
With SOCKSEAL_TEST_FULL=1, as `make test-apps` sets it, FULL is true and the tests under @full_only exist too.

Every wait has a time limit; when it passes, the failure tells what each process hangs in, what it printed so far and
what the shim logged.
"""

import atexit
import contextlib
import functools
import hashlib
import itertools
import os
import pty
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import termios
import threading
import time
import unittest

from pathlib import Path

import hang

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("SOCKSEAL_BUILD", ROOT / "build")).resolve()
PLAIN_ONLY = os.environ.get("SOCKSEAL_TEST_PLAIN") == "1"
FULL = os.environ.get("SOCKSEAL_TEST_FULL") == "1"  # make test-apps: the sizes and cases that take long
PEER = Path(__file__).resolve().with_name("peer.py")
PYTHON = "/usr/bin/python3"
DEADLINE = 20.0  # seconds; a wait that succeeds takes milliseconds
IDENTITY = "test"


def _open_to_all(path):
    """The file, where programs that run as another user can read it too: a copy, if the way to it is closed to them."""
    if os.geteuid() != 0 or not path.exists() or all(place.stat().st_mode & stat.S_IXOTH for place in path.parents):
        return path
    copy = Path(tempfile.mkdtemp(prefix="sockseal-test-")) / path.name
    atexit.register(shutil.rmtree, copy.parent)
    for place in (copy.parent, copy.parent.parent):
        if place.name.startswith("sockseal-test-"):
            place.chmod(0o711)
    return Path(shutil.copy(path, copy))


LIBRARY = _open_to_all(BUILD / "libsockseal.so")

# Below the kernel's range for connecting sockets, so that no connection of a parallel test takes a port picked here.
_PORT_FIRST, _PORT_COUNT = 15000, 15000
_ports = itertools.count(os.getpid() * 101)
_addresses = itertools.count(1)


def loopback():
    """A loopback address that no other test process uses."""
    pid = os.getpid()
    return f"127.{1 + (pid >> 8) % 250}.{pid % 256}.{1 + next(_addresses) % 250}"


def free_port(address="::"):
    """A TCP port that is free on every local address."""
    while True:
        port = _PORT_FIRST + next(_ports) % _PORT_COUNT
        try:
            with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
                probe.bind((address, port))
            return port
        except OSError:
            continue


def missing(what):
    """Skips the test; with SOCKSEAL_TEST_ALL=1, where everything has been installed, fails it."""
    if os.environ.get("SOCKSEAL_TEST_ALL") == "1":
        raise AssertionError(f"missing: {what}")
    raise unittest.SkipTest(f"missing: {what}")


def need(program):
    """Skips the test if the program is not installed."""
    if shutil.which(program) is None:
        missing(program)


class Output:
    """What a program writes to one descriptor, collected by a thread; with `digest_only`, its length and SHA-256."""

    def __init__(self, fd, digest_only=False):
        # A number of its own, which the thread closes: the program's may be closed and used again at any moment.
        self._fd, self._digest_only = os.dup(fd), digest_only
        self._sha, self._changed = hashlib.sha256(), threading.Condition()
        self.data, self.length, self.ended = bytearray(), 0, False
        threading.Thread(target=self._collect, daemon=True).start()

    def _collect(self):
        while True:
            try:
                chunk = os.read(self._fd, 1 << 18)
            except OSError:  # a pty's master gives EIO once the program is gone
                chunk = b""
            if self._digest_only:
                self._sha.update(chunk)
            with self._changed:
                self.length += len(chunk)
                if not self._digest_only:
                    self.data += chunk
                self.ended = not chunk
                self._changed.notify_all()
            if not chunk:
                os.close(self._fd)
                return

    def wait(self, predicate, timeout):
        """Whether predicate(self) came true in time."""
        with self._changed:
            return self._changed.wait_for(lambda: predicate(self), timeout)

    def digest(self):
        return self._sha.hexdigest() if self._digest_only else hashlib.sha256(self.data).hexdigest()


class Program:
    """One process: argv, sealed or not, its output, its shim's log. Made by TestCase.run_program()."""

    def __init__(self, case, argv, env, log, stdin, on_pty, digest_only):
        self.case, self.argv, self.log_file = case, [str(word) for word in argv], log
        self._master = slave = None
        if on_pty:
            self._master, slave = pty.openpty()
            attributes = termios.tcgetattr(slave)
            attributes[1] &= ~termios.OPOST  # what the program writes comes out byte for byte
            attributes[3] &= ~termios.ECHO  # so that only what came over the network is seen
            termios.tcsetattr(slave, termios.TCSANOW, attributes)
        self.process = subprocess.Popen(
            self.argv, env=env, bufsize=0, start_new_session=True, cwd=case.directory,
            stdin=slave if on_pty else subprocess.PIPE if stdin is None else stdin,
            stdout=slave if on_pty else subprocess.PIPE, stderr=subprocess.PIPE)
        if on_pty:
            os.close(slave)
        self.pid = self.process.pid
        self._input = self._master if on_pty else self.process.stdin.fileno() if self.process.stdin else None
        self.out = Output(self._master if on_pty else self.process.stdout.fileno(), digest_only)
        self.err = Output(self.process.stderr.fileno())

    def type(self, data):
        """Writes to the program's standard input, a str as one line."""
        view = memoryview(data.encode() + b"\n" if isinstance(data, str) else data)
        while view:
            view = view[os.write(self._input, view):]

    def feed(self, chunks):
        """Writes the chunks in a thread of its own and leaves standard input open; gives the thread."""
        def write():
            try:
                for chunk in chunks:
                    self.type(chunk)
            except OSError:
                pass  # the program ended early: what it did is judged by its output
        thread = threading.Thread(target=write, daemon=True)
        thread.start()
        return thread

    def end_input(self):
        if self._master is not None:
            os.write(self._master, b"\x04")
        elif self.process.stdin and not self.process.stdin.closed:
            self.process.stdin.close()

    def expect(self, text, timeout=DEADLINE, stream="out"):
        """Waits until the text (str or bytes) has been printed."""
        wanted = text.encode() if isinstance(text, str) else text
        output = getattr(self, stream)
        output.wait(lambda o: wanted in o.data or o.ended, timeout)
        if wanted not in output.data:
            self.case.fail_with_report(f"{self.name()} did not print {text!r} within {timeout} s")

    def expect_length(self, length, timeout=DEADLINE):
        """Waits until standard output has this many bytes or has ended; gives their SHA-256."""
        if not self.out.wait(lambda o: o.length >= length or o.ended, timeout) or self.out.length != length:
            self.case.fail_with_report(f"{self.name()} gave {self.out.length} bytes of {length} within {timeout} s")
        return self.out.digest()

    def status(self, timeout=DEADLINE):
        """Waits for the end; gives the exit status, with all output collected."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout)
        if self.runs():
            self.case.fail_with_report(f"{self.name()} did not end within {timeout} s")
        for output in (self.out, self.err):
            output.wait(lambda o: o.ended, 2)
        return self.process.returncode

    def runs(self):
        return self.process.poll() is None

    def stop(self):
        if self.runs():
            os.killpg(self.pid, signal.SIGKILL)  # it leads a session of its own: its workers end with it
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe:
                pipe.close()
        if self._master is not None:
            os.close(self._master)
            self._master = None

    def name(self):
        return f"{os.path.basename(self.argv[0])}[{self.pid}]"

    def log(self):
        """What the shim logged in this process, and in the processes that it started."""
        try:
            return self.log_file.read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def expect_log(self, *words, timeout=DEADLINE):
        """Waits for one log line with every one of the words in it, in any letter case; gives it."""
        end = time.monotonic() + timeout
        while True:
            for line in self.log().splitlines():
                if all(word.lower() in line.lower() for word in words):
                    return line
            if time.monotonic() > end:
                self.case.fail_with_report(f"{self.name()} logged no line with {words}")
            time.sleep(0.02)

    def report(self):
        """What a person needs to see why this program did not do what was expected."""
        lines = [f"--- {self.name()} {' '.join(self.argv)[:400]}"]
        if self.runs():
            lines += [hang.describe(pid) for pid in hang.with_descendants({self.pid})]
        else:
            lines.append(f"ended with status {self.process.returncode}")
        lines.append(f"stdout ({self.out.length} bytes): {bytes(self.out.data[-500:])!r}")
        lines.append(f"stderr: {bytes(self.err.data[-1500:]).decode(errors='replace')}")
        lines.append(f"shim's log: {self.log()[-2000:]}")
        return "\n".join(lines)


class TestCase(unittest.TestCase):
    """A test of real programs. `sealed` says whether the present run is under the shim."""

    sealed = not PLAIN_ONLY
    log_level = os.environ.get("SOCKSEAL_TEST_LOG", "info")

    def setUp(self):
        if not PLAIN_ONLY and not LIBRARY.exists():
            self.fail(f"{LIBRARY} is missing: run make first")
        self.programs, self.wires, self._scratch = [], [], tempfile.TemporaryDirectory(prefix="sockseal-test-")
        self.directory = Path(self._scratch.name)
        self._final_cleanups = [self._scratch.cleanup]
        self.key = secrets.token_hex(32)
        self.key_file = self.write_keys("keys", (IDENTITY, self.key))
        self.ports, self._logs, self.started = [], itertools.count(), time.monotonic()

    def tearDown(self):
        self.doCleanups()
        for cleanup in self._final_cleanups:
            cleanup()

    def write_keys(self, name, *pairs, mode=0o600):
        """Writes a key file of (identity, hex) pairs; replaces an older one as a careful person would, by renaming."""
        path = self.directory / name
        fresh = path.with_suffix(".new")
        fresh.write_text("".join(f"{identity}:{key}\n" for identity, key in pairs))
        fresh.chmod(mode)
        return fresh.rename(path)

    def port(self):
        """A free port, which the programs of this test seal."""
        self.ports.append(free_port())
        return self.ports[-1]

    def seal_env(self, log, **settings):
        """The environment of a sealed program; a setting that is None is left out."""
        env = self.plain_env()
        env.update({"LD_PRELOAD": str(LIBRARY), "SOCKSEAL_PORTS": ",".join(str(port) for port in self.ports),
                    "SOCKSEAL_KEY_FILE": str(self.key_file), "SOCKSEAL_LOG_FILE": str(log),
                    "SOCKSEAL_LOG": self.log_level})
        for name, value in settings.items():
            env.pop(name, None)
            if value is not None:
                env[name] = str(value)
        return env

    @staticmethod
    def plain_env():
        env = {k: v for k, v in os.environ.items() if not k.startswith("SOCKSEAL_") and k != "LD_PRELOAD"}
        env.update(LC_ALL="C.UTF-8", PYTHONUNBUFFERED="1", PYTHONDONTWRITEBYTECODE="1")
        return env

    def run_program(self, *argv, sealed=None, stdin=None, on_pty=False, digest_only=False, **settings):
        """Starts a program, sealed as the present run is unless told; `settings` are SOCKSEAL_* variables."""
        log = self.directory / f"log.{next(self._logs)}"
        env = self.seal_env(log, **settings) if (self.sealed if sealed is None else sealed) else self.plain_env()
        program = Program(self, argv, env, log, stdin, on_pty, digest_only)
        self.programs.append(program)
        self.addCleanup(self.programs.remove, program)
        self.addCleanup(program.stop)
        return program

    def run_stock(self, *argv, **options):
        """Starts a program that is never sealed."""
        return self.run_program(*argv, sealed=False, **options)

    def run_peer(self, *argv, **options):
        """Starts tests/support/peer.py."""
        return self.run_program(PYTHON, PEER, *argv, **options)

    def wait_listening(self, port, program, timeout=DEADLINE):
        """Waits until the program or a child of its session listens on the port, without connecting to it. (A test
        beside this one may use the same number on another address.)"""
        suffix, end = f":{port:04X}", time.monotonic() + timeout
        while time.monotonic() < end and program.runs():
            inodes = {inode for local, _, state, inode in self._sockets(program.pid)
                      if local.endswith(suffix) and state == "0A"}
            if inodes and inodes & self._held(program.pid):
                return program
            time.sleep(0.01)
        return self.fail_with_report(f"{program.name()} does not listen on port {port}")

    def wait_asleep(self, *programs, timeout=DEADLINE):
        """Waits until every thread of the programs sleeps in a system call, and has not run between two looks: they
        have done what there is to do. A program that has ended has, too."""
        before, end = None, time.monotonic() + timeout
        while True:
            sleeps = [self._sleeps(program) for program in programs]
            if None not in sleeps and sleeps == before:
                return
            if time.monotonic() > end:
                self.fail_with_report("a program does not come to rest")
            before = sleeps
            time.sleep(0.01)

    @staticmethod
    def _sleeps(program):
        """How often each thread has gone to sleep so far (proc(5)); None: one is at work."""
        counts = {}
        for thread in Path(f"/proc/{program.pid}/task").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it has ended
                text = (thread / "status").read_text()
                if "\nState:\tS" not in text and "\nState:\tZ" not in text:
                    return None
                counts[thread.name] = text[text.index("voluntary_ctxt_switches:"):]
        return counts

    @staticmethod
    def _sockets(pid):
        for table in ("tcp", "tcp6"):
            try:
                lines = Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
            except OSError:
                continue
            for line in lines:
                words = line.split()
                yield words[1], words[2], words[3], words[9]

    @staticmethod
    def _held(session):
        """The inodes of the sockets that the processes of a session have."""
        held = set()
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if int((process / "stat").read_text().rsplit(")", 1)[1].split()[3]) != session:
                    continue
                links = [os.readlink(entry) for entry in (process / "fd").iterdir()]
            except OSError:  # it has ended meanwhile, or a descriptor was closed
                continue
            held.update(link[8:-1] for link in links if link.startswith("socket:["))
        return held

    def fail_with_report(self, message):
        """Fails, with all that is known about the programs of this test."""
        ports = tuple(f":{port:04X}" for port in self.ports)
        sockets = [line.split()[1:5] for table in ("tcp", "tcp6")
                   for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
                   if any(port in line for port in ports) and line.split()[3] != "06"]  # without TIME_WAIT
        mode = "sealed" if self.sealed else "plain"
        parts = [f"{message} ({mode} run, {time.monotonic() - self.started:.1f} s after the start)"]
        parts += [program.report() for program in self.programs]
        parts += [wire.report() for wire in self.wires]
        parts += ["sockets (local, remote, state, send:receive queue):"] + [" ".join(entry) for entry in sockets]
        self.fail("\n".join(parts))


def both_modes(scenario):
    """Runs the scenario on plain TCP, then sealed; what it returns must be equal."""
    @functools.wraps(scenario)
    def test(self, *arguments):
        self.sealed = False
        with noted(self, "plain"):
            expected = scenario(self, *arguments)
        if PLAIN_ONLY:
            return
        self.doCleanups()
        self.ports, self.sealed = [], True
        with noted(self, "sealed"):
            seen = scenario(self, *arguments)
            if seen != expected:
                self.fail_with_report(f"plain TCP gave {expected!r}, sealed gave {seen!r}")
    return test


@contextlib.contextmanager
def noted(case, mode):
    """Writes for the table of `make test-apps` how a run in this mode ended."""
    result = "failed"
    try:
        yield
        result = "passed"
    finally:
        if path := os.environ.get("SOCKSEAL_TEST_RESULTS"):
            with open(path, "a", encoding="utf-8") as file:
                file.write(f"{case.id()} {mode} {result}\n")


def full_only(test):
    """For a test, or a whole class, that is too long for `make test`."""
    return test if FULL else None


def sealed_only(test):
    """For tests that say nothing on plain TCP."""
    return unittest.skipIf(PLAIN_ONLY, "about sealed connections only")(test)


def stream(size, seed=0):
    """Unrepeating chunks of `size` bytes in all: random once, then stamped with a counter."""
    block = bytearray(secrets.token_bytes(1 << 18))
    for number in range(0, size, len(block)):
        block[:16] = seed.to_bytes(8, "big") + number.to_bytes(8, "big")
        yield bytes(block[: min(len(block), size - number)])


class HashedStream:
    """An iterable of chunks whose SHA-256 is known once it has been used up."""

    def __init__(self, size, seed=0):
        self._chunks, self._sha = stream(size, seed), hashlib.sha256()

    def __iter__(self):
        for chunk in self._chunks:
            self._sha.update(chunk)
            yield chunk

    def digest(self):
        return self._sha.hexdigest()
