# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""CPython's own tests of its network modules, on plain TCP and with every TCP port sealed: none may be lost but those of
cpython-lost.txt. Both runs of a module go side by side. `make test-cpython` runs 27 modules whole.
"""
# packages: libpython3.N-testsuite
# time-limit: 600

import concurrent.futures
import functools
import os
import re
import signal
import subprocess
import tempfile
import unittest

from pathlib import Path

import sealed

PYTHON = "/usr/bin/python3"
VERSION = subprocess.run([PYTHON, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], capture_output=True,
                         text=True, check=True).stdout.strip()
TESTS = Path(f"/usr/lib/python{VERSION}/test")
LOST = Path(__file__).with_name("cpython-lost.txt")
TEST_SECONDS = 200  # CPython's own limit for one of its files, which then says where each thread hangs
MODULE_SECONDS = 300
PROGRAMS = {"CPython's tests": ["/usr/bin/python3", "--version"]}

# Runs what follows in a network of its own: tests that bind a port which they have just seen free would meet the other
# tests' ports there, on other addresses, and then hang, on plain TCP too.
ALONE = """
import fcntl, os, socket, struct, sys
with socket.socket() as control:
    fcntl.ioctl(control, 0x8914, struct.pack("16sH14x", b"lo", 1 | 64))  # SIOCSIFFLAGS: IFF_UP | IFF_RUNNING
os.execv(sys.argv[1], sys.argv[1:])
"""

# Module -> patterns of what to run: what has found bugs here, less what sleeps or takes no descriptor of ours.
QUICK = {
    "test_socket": ["*GeneralModuleTests*", "*BasicTCPTest*", "*RecvmsgTCP*", "*RecvmsgIntoTCP*", "*SendmsgStream*",
                    "*SendmsgTCP*", "*RecvmsgSCMRightsStreamTest*", "*FileObject*", "*NonBlockingTCPTests*",
                    "*NetworkConnection*", "*TCPTimeoutTest*", "*ContextManager*", "*SendfileUsing*", "*BufferIO*",
                    "*InterruptedSend*", "*InterruptedRecv*", "*CreateServer*"],
    "test_select": ["*"],
    "test_epoll": ["*"],
    "test_poll": ["*poll1", "*poll2", "*poll3", "*poll_blocks*"],
    "test_selectors": ["*Select*TestCase.test_select*", "*Poll*TestCase.test_select*", "*Epoll*TestCase.test_*"],
    "test_socketserver": ["*"],
    "test_asyncio": ["*test_streams*", "*test_sock_lowlevel*", "*test_sslproto*", "*test_subprocess*",
                     "*test_sendfile*", "*test_server*", "*test_buffered_proto*", "*SelectEventLoopTests*"],
    "test_ftplib": ["*TestFTPClass.*"],
    "test_httplib": ["*"],
    "test_smtplib": ["*SimTests*", "*DebuggingServerTests*"],
    "test_telnetlib": ["*"],
    "test_wsgiref": ["*"],
    "test_ssl": ["*ThreadedTests.test_echo", "*ThreadedTests.test_nonblocking_send", "*ThreadedTests.test_recv_*",
                 "*ThreadedTests.test_sendfile", "*ThreadedTests.test_asyncore_server", "*ThreadedTests.test_starttls",
                 "*SimpleBackgroundTests*"],
    "test_subprocess": ["*pass_fds*", "*close_fds*", "*communicate*"],
    "test_multiprocessing_fork": ["*TestPicklingConnections*", "*TestListener*", "*TestConnection*", "*TestPoll.*"],
}
# What a test is called, then, perhaps lines later, its verdict.
START = re.compile(r"^\w+ \((test\.[\w.]+)\)")
VERDICT = re.compile(r"(ok|skipped .*|FAIL|ERROR|expected failure)$")


@functools.cache
def alone():
    """What runs a program in a network of its own; nothing where that is not permitted."""
    allowed = os.geteuid() == 0 and subprocess.run(["unshare", "--net", "true"], check=False).returncode == 0
    return ["unshare", "--net", PYTHON, "-c", ALONE] if allowed else []


def verdicts(text):
    """{test: verdict} from the output of `python -m test -v`; a test that never ended has the verdict "no end"."""
    found, current = {}, None
    for line in text.splitlines():
        start = START.match(line)
        if start:
            current = start.group(1)
            found[current] = "no end"
        verdict = VERDICT.search(line) if current else None
        if verdict:
            found[current], current = verdict.group(1).split()[0], None
    return found


def told_of(tests, output):
    """What the output says of these tests: their lines and the reports of their failures."""
    reports = re.split(r"^={70}$", output, flags=re.MULTILINE)
    lines = [line for line in reports[0].splitlines() if any(test in line for test in tests)]
    return "\n".join(lines + [part[:3000] for part in reports[1:] if any(test in part for test in tests)])


def expected_losses():
    lines = (line.partition("#")[0].split() for line in LOST.read_text().splitlines())
    return {words[0] for words in lines if words}


def allow_interrupt():
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background job ignores it, and the tests send it


class CPython(sealed.TestCase):
    """Runs CPython's tests twice and compares the verdicts."""

    def run_module(self, module, patterns, env):
        """The output of one run, in a directory and a session of its own."""
        command = [*alone(), PYTHON, "-m", "test", "-v", "-u", "network", "--timeout", str(TEST_SECONDS), "-i", "*VSOCK*"]
        for pattern in patterns:
            command += ["-m", pattern]
        with tempfile.TemporaryDirectory(dir=self.directory) as cwd, tempfile.TemporaryFile() as output:
            with subprocess.Popen(command + [module], cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=output,
                                  stderr=output, start_new_session=True, preexec_fn=allow_interrupt) as process:
                try:
                    process.wait(MODULE_SECONDS)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
            output.seek(0)
            return output.read().decode(errors="replace")

    def lost(self, module, patterns, sealed_env):
        """Tests of the module that pass plain and do not pass sealed, and the sealed run's output."""
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            plain = pool.submit(self.run_module, module, patterns, self.plain_env())
            under = pool.submit(self.run_module, module, patterns, sealed_env)
            expected, seen = verdicts(plain.result()), verdicts(under.result())
        passed = {test for test, verdict in expected.items() if verdict == "ok"}
        self.assertTrue(passed, f"{module}: no test passed on plain TCP:\n{plain.result()[-2000:]}")
        return {test for test in passed if seen.get(test) != "ok"}, under.result()

    def flaky(self, module, tests):
        """Those of the tests that fail on plain TCP too, within a few runs: nothing is to be learnt from them."""
        patterns = ["*" + test.removeprefix(f"test.{module}.") for test in sorted(tests)]
        found = set()
        for _ in range(5):
            seen = verdicts(self.run_module(module, patterns, self.plain_env()))
            found |= {test for test in tests if seen.get(test) != "ok"}
        return found

    def check(self, module):
        log = self.directory / "log"
        env = self.seal_env(log, SOCKSEAL_PORTS="1-65535")
        lost, output = self.lost(module, QUICK[module], env)
        lost -= expected_losses()
        if lost and not sealed.PLAIN_ONLY:
            lost -= self.flaky(module, lost)
        logged = log.read_text(errors="replace")[-2000:] if log.exists() else ""
        self.assertEqual(sorted(lost), [], f"lost in {module}:\n{told_of(lost, output)}\n"
                         f"the end of the sealed run:\n{output[-3000:]}\nlog:\n{logged}")


def test_of(module):
    @sealed.sealed_only
    def test(self):
        self.check(module)
    test.__doc__ = f"CPython's {module} passes sealed what it passes plain"
    return test


for name in QUICK:
    if (TESTS / name).is_dir() or (TESTS / f"{name}.py").exists():  # 3.13 has no telnetlib any more
        setattr(CPython, name, test_of(name))


if __name__ == "__main__":
    if not (TESTS / "test_socket.py").exists():
        sealed.missing(f"libpython{VERSION}-testsuite")
    unittest.main()
