#!/usr/bin/python3
# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
# packages: netcat-openbsd bubblewrap perl-base
"""The seal follows the process tree: programs that a sealed one starts with an environment of their own are sealed, and
those that the library cannot be loaded into are kept from the named ports by the kernel."""

import contextlib
import ctypes
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import sealed

from sealed import sealed_only

SOURCE = Path(__file__).resolve().parent / "programs" / "caller.c"
# Answers that one kernel or another gives where nothing is denied.
DENIED = {"connect": "EACCES", "bind": "EACCES", "sendto": "EOPNOTSUPP", "sendmsg": "EOPNOTSUPP",
          "sendmmsg": "EOPNOTSUPP", "mptcp": "EPROTONOSUPPORT", "smc": "EPROTONOSUPPORT", "io_uring": "ENOSYS"}
# Lets landlock_create_ruleset(2), 444, fail as in a kernel without it, and runs the rest of the words.
WITHOUT_LANDLOCK = """
import ctypes, os, struct, sys
filter = b"".join(struct.pack("HBBI", *i) for i in
                  ((0x20, 0, 0, 0), (0x15, 0, 1, 444), (0x06, 0, 0, 0x50000 | 38), (0x06, 0, 0, 0x7fff0000)))
buffer = ctypes.create_string_buffer(filter)
program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(filter) // 8, ctypes.addressof(buffer)))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, program, 0, 0) == 0, ctypes.get_errno()
os.environ["LD_PRELOAD"] = sys.argv[1]  # not before: the library would widen the filter
os.execvp(sys.argv[2], sys.argv[2:])
"""


def has_landlock():
    """Whether the kernel has rules for ports."""
    return ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), 1) >= 4


class Descendants(sealed.TestCase):
    def setUp(self):
        super().setUp()
        self.address = sealed.loopback()

    def tell(self, port, text=b"PLAINTEXT-MARKER\n"):
        """A stranger that does not seal says this; gives what it hears."""
        heard = b""
        with socket.create_connection((self.address, port), timeout=20) as stranger, \
             contextlib.suppress(ConnectionResetError):
            stranger.sendall(text)
            stranger.shutdown(socket.SHUT_WR)
            while chunk := stranger.recv(4096):
                heard += chunk
        return heard

    def serves_sealed(self, *wrapper, **settings):
        """A server under this wrapper serves a sealed client, and a stranger's words do not reach it."""
        for peer in ("stranger", "sealed"):
            port = self.port()
            server = self.run_program(*wrapper, "/bin/nc", "-l", self.address, port, sealed=True, **settings)
            self.wait_listening(port, server)
            if peer == "stranger":
                self.tell(port)
                server.status()
                self.assertNotIn(b"PLAINTEXT", bytes(server.out.data))
                continue
            client = self.run_program("nc", "-N", self.address, port, sealed=True)
            client.type("sealed words")
            server.expect("sealed words\n")

    @sealed_only
    def test_env_without_an_environment(self):
        self.serves_sealed("env", "-i")

    @sealed_only
    def test_an_environment_of_the_program_s_own(self):
        self.serves_sealed(sealed.PYTHON, "-c", "import os, sys; os.execve(sys.argv[1], sys.argv[1:], {'A': 'b'})")

    @sealed_only
    def test_a_child_with_an_environment_of_the_program_s_own(self):
        self.serves_sealed(sealed.PYTHON, "-c",
                           "import os, sys; os.waitpid(os.posix_spawn(sys.argv[1], sys.argv[1:], {}), 0)")

    @sealed_only
    def test_the_shell_of_a_program_that_has_cleared_its_environment(self):
        self.serves_sealed(sealed.PYTHON, "-c", "import ctypes, shlex, sys; libc = ctypes.CDLL(None); libc.clearenv(); "
                           "libc.system(shlex.join(sys.argv[1:]).encode())")

    @sealed_only
    def test_su(self):
        if os.geteuid() != 0:
            self.skipTest("needs root")
        self.serves_sealed("su", "-", "-s", "/bin/sh", "root", "-c", "exec \"$0\" \"$@\"", "--")

    @sealed_only
    def test_runuser(self):
        if os.geteuid() != 0:
            self.skipTest("needs root")
        self.serves_sealed("runuser", "-l", "root", "-s", "/bin/sh", "-c", "exec \"$0\" \"$@\"", "--")

    @sealed_only
    def test_setpriv(self):
        self.serves_sealed("setpriv", "--no-new-privs", "env", "-i")

    @sealed_only
    def test_bwrap_without_an_environment(self):
        sealed.need("bwrap")
        self.serves_sealed("bwrap", "--dev-bind", "/", "/", "--clearenv")

    @sealed_only
    def test_a_program_that_says_nothing_is_to_be_sealed(self):
        """SOCKSEAL_PORTS is there and empty: the way out."""
        port = self.port()
        server = self.run_program("env", "-i", "SOCKSEAL_PORTS=", "/bin/nc", "-l", self.address, port)
        self.wait_listening(port, server)
        self.tell(port)
        server.expect("PLAINTEXT-MARKER")

    # ---- out of the library's reach ----

    def denied(self, *wrapper, word, **settings):
        """A server under this wrapper cannot have the port; a log line says why."""
        if not has_landlock():
            self.skipTest("the kernel has no rules for ports")
        port = self.port()
        server = self.run_program(*wrapper, "/bin/nc", "-l", self.address, port, sealed=True, **settings)
        self.assertNotEqual(server.status(), 0)
        self.assertIn(b"Permission denied", bytes(server.err.data))
        server.expect_log(word, "are denied to it")
        port = self.port()
        server = self.run_program(*wrapper, "/bin/nc", "-l", self.address, port, sealed=True, SOCKSEAL_STRICT=1,
                                  **settings)
        self.assertNotEqual(server.status(), 0)
        server.expect_log("SOCKSEAL_STRICT", "exec is refused", word)

    def private_library(self, mode):
        """A copy of the library in a directory of this mode."""
        place = Path(tempfile.mkdtemp(prefix="sockseal-library-"))
        self.addCleanup(shutil.rmtree, place)
        copy = shutil.copy(sealed.LIBRARY, place / "libsockseal.so")
        place.chmod(mode)
        return copy

    @sealed_only
    def test_a_user_who_cannot_read_the_library(self):
        if os.geteuid() != 0:
            self.skipTest("needs root")
        self.denied("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                    word="libsockseal.so cannot be loaded", LD_PRELOAD=self.private_library(0o700))

    @sealed_only
    def test_root_who_loses_the_right_to_read_all(self):
        """exec(2) gives root what the bounding set has, and nothing under SECBIT_NOROOT (capabilities(7))."""
        if os.geteuid() != 0:
            self.skipTest("needs root")
        library = self.private_library(0o700)
        shutil.chown(Path(library).parent, user=65534)
        for option in "--bounding-set=-dac_override,-dac_read_search", "--securebits=+noroot":
            with self.subTest(option):
                self.denied("setpriv", option, word="libsockseal.so cannot be loaded", LD_PRELOAD=library)

    @sealed_only
    def test_a_user_for_files_who_can_read_the_library(self):
        """setfsuid(2) counts until exec(2)."""
        if os.geteuid() != 0:
            self.skipTest("needs root")
        self.denied(sealed.PYTHON, "-c", "import ctypes, os, sys; os.setresgid(65534, 65534, 0); "
                    "os.setresuid(65534, 65534, 0); ctypes.CDLL(None).setfsuid(0); os.execv(sys.argv[1], sys.argv[1:])",
                    word="libsockseal.so cannot be loaded", LD_PRELOAD=self.private_library(0o700))

    @sealed_only
    def test_another_security_domain(self):
        """A security module that is asked for a transition may have the dynamic linker preload nothing."""
        if os.geteuid() != 0:
            self.skipTest("needs root")
        asked = self.directory / "asked"
        asked.write_text("another_domain_t")
        self.denied("unshare", "-m", "sh", "-c", f"mount --bind {asked} /proc/$$/task/$$/attr/exec && exec \"$@\"", "sh",
                    word="another security domain")

    @sealed_only
    def test_another_root_directory(self):
        if os.geteuid() != 0:
            self.skipTest("needs root")
        jail = self.directory / "jail"
        program = os.path.realpath("/bin/nc")
        listed = subprocess.run(["ldd", program], stdout=subprocess.PIPE, text=True, check=True, timeout=20).stdout
        for file in [program] + [word for word in listed.split() if word.startswith("/")]:
            target = jail / file.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
        (jail / "bin").mkdir(exist_ok=True)
        shutil.copy(program, jail / "bin" / "nc")
        self.denied("chroot", str(jail), word="libsockseal.so cannot be loaded")

    @sealed_only
    def test_another_mount_namespace(self):
        if os.geteuid() != 0:
            self.skipTest("needs root")
        library = self.private_library(0o755)
        self.denied("unshare", "-m", "sh", "-c", f"mount -t tmpfs none {library.parent}; exec \"$@\"", "sh",
                    word="libsockseal.so cannot be loaded", LD_PRELOAD=library)

    @sealed_only
    def test_a_mount_without_execution(self):
        if os.geteuid() != 0:
            self.skipTest("needs root")
        library = self.private_library(0o755)
        self.denied("unshare", "-m", "sh", "-c",
                    f"mount --bind {library.parent} {library.parent} && "
                    f"mount -o remount,bind,noexec {library.parent}; exec \"$@\"", "sh",
                    word="libsockseal.so cannot be loaded", LD_PRELOAD=library)

    @sealed_only
    def test_an_empty_library(self):
        library = self.private_library(0o755)
        self.denied("sh", "-c", f"mv {library} {library}.kept; touch {library}; \"$@\"; status=$?; "
                    f"mv {library}.kept {library}; exit $status", "sh",
                    word="libsockseal.so cannot be loaded", LD_PRELOAD=library)


class Fence(sealed.TestCase):
    """A program that nothing can be loaded into."""

    @classmethod
    def setUpClass(cls):
        cls.place = Path(tempfile.mkdtemp(prefix="sockseal-caller-"))
        cls.place.chmod(0o755)
        cls.caller = cls.place / "caller"
        cls.dynamic = cls.place / "dynamic"
        for program, *flags in (cls.caller, "-static"), (cls.dynamic,):
            subprocess.run(["gcc", "-D_GNU_SOURCE", *flags, "-o", program, SOURCE], check=True, timeout=60)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.place)

    def setUp(self):
        super().setUp()
        self.address = sealed.loopback()

    def listen(self, port):
        """A listener without the library; what comes is collected once it is closed."""
        listener = socket.create_server((self.address, port))
        self.addCleanup(listener.close)
        return listener

    def received(self, listener):
        listener.settimeout(0.3)
        heard = b""
        with contextlib.suppress(TimeoutError):
            while True:
                connection, _ = listener.accept()
                connection.settimeout(2)
                with connection, contextlib.suppress(OSError):
                    heard += connection.recv(100)
        return heard

    def call(self, operation, port, start="{}", program=None, **settings):
        """What the caller says when a sealed shell has started it."""
        words = start.format(f"{program or self.caller} {operation} {self.address} {port}")
        shell = self.run_program("sh", "-c", words + "; true", sealed=True, **settings)
        shell.status()
        return bytes(shell.out.data).decode().strip(), shell

    def expect_denied(self, start="{}", program=None, **settings):
        """No call gets to the named port, and another port is free."""
        if not has_landlock():
            self.skipTest("the kernel has no rules for ports")
        named, free = self.port(), sealed.free_port()
        listeners = self.listen(named), self.listen(free)
        for operation, error in DENIED.items():
            self.assertIn(self.call(operation, named, start, program, **settings)[0], {error, "EACCES"}, operation)
        self.assertEqual(self.call("connect", free, start, program, **settings)[0], "ok")
        self.assertEqual(self.call("bind", sealed.free_port(), start, program, **settings)[0], "ok")
        self.assertEqual(self.received(listeners[0]), b"")
        self.assertEqual(self.received(listeners[1]), b"MARKER")

    @sealed_only
    def test_a_static_program(self):
        self.expect_denied()

    @sealed_only
    def test_what_a_static_program_starts(self):
        """A program with the library, below one without."""
        self.expect_denied(f"{self.caller} run /bin/sh -c \"{{}}\"", self.dynamic)

    @sealed_only
    def test_loaded_by_the_dynamic_linker(self):
        """It loads static programs, too, and jumps into them. A dynamic one is sealed: nothing is denied to it."""
        linker = "/lib64/ld-linux-x86-64.so.2"
        if not os.path.exists(linker):
            self.skipTest("another architecture's")
        if not has_landlock():
            self.skipTest("the kernel has no rules for ports")
        port = self.port()
        listener = self.listen(port)
        spawn = "import os; a = '{} {{}}'.split(); os.waitpid(os.posix_spawn(a[0], a, {{{{}}}}), 0)".format(linker)
        for start in linker + " --inhibit-cache --argv0 name {}", sealed.PYTHON + f' -c "{spawn}"':
            self.assertEqual(self.call("connect", port, start)[0], "EACCES", start)
        script = self.place / "script"
        script.write_text(f"#!{linker} {self.caller}\n")
        script.chmod(0o755)
        self.call("connect", port, program=script)[1].expect_log("is run by the dynamic linker", "are denied to it")
        self.assertEqual(self.received(listener), b"")
        said, shell = self.call("x", 1, f"{linker} {self.dynamic} run /bin/echo said; true {{}}")
        self.assertEqual(said, "said")
        self.assertNotIn("denied", shell.log())

    @sealed_only
    def test_by_posix_spawn(self):
        self.expect_denied(sealed.PYTHON + " -c \"import os; a = '{}'.split(); "
                           "os.waitpid(os.posix_spawn(a[0], a, {{}}), 0)\"")

    @sealed_only
    def test_by_popen(self):
        self.expect_denied("perl -e 'open(P, qq(exec {} |)); print <P>'")

    @sealed_only
    def test_a_user_without_privileges(self):
        if os.geteuid() != 0:
            self.skipTest("needs root")
        self.directory.chmod(0o755)
        copy = self.place / "libsockseal.so"
        shutil.copy(sealed.LIBRARY, copy)
        self.expect_denied("setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all {}", LD_PRELOAD=copy)

    @sealed_only
    def test_a_program_that_cannot_be_read(self):
        """Mode 0711, for a user who may run it alone."""
        if os.geteuid() != 0:
            self.skipTest("needs root")
        self.directory.chmod(0o755)
        copy, unreadable = self.place / "libsockseal.so", self.place / "unreadable"
        shutil.copy(sealed.LIBRARY, copy)
        shutil.copy(self.caller, unreadable)
        unreadable.chmod(0o711)
        self.expect_denied("setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --bounding-set=-all {}",
                           unreadable, LD_PRELOAD=copy)

    @sealed_only
    def test_a_set_group_id_program_of_root(self):
        """Whoever may, fences what gains rights, too."""
        if os.geteuid() != 0:
            self.skipTest("needs root")
        program = self.place / "setgid"
        shutil.copy(self.caller, program)
        shutil.chown(program, group=65534)
        program.chmod(0o2755)
        self.expect_denied(program=program)

    @sealed_only
    def test_a_rule_for_one_side(self):
        if not has_landlock():
            self.skipTest("the kernel has no rules for ports")
        port = self.port()
        listener = self.listen(port)
        self.assertEqual(self.call("connect", port, SOCKSEAL_PORTS=f"listen:{port}")[0], "ok")
        self.assertEqual(self.call("bind", port, SOCKSEAL_PORTS=f"listen:{port}")[0], "EACCES")
        self.assertEqual(self.call("connect", port, SOCKSEAL_PORTS=f"connect:{port}")[0], "EACCES")
        self.assertEqual(self.call("bind", port, SOCKSEAL_PORTS=f"connect:{port}")[0], "EADDRINUSE")
        self.assertEqual(self.call("connect", port, SOCKSEAL_PORTS=f"connect:192.0.2.1:{port}")[0], "EACCES")
        self.assertEqual(self.received(listener), b"MARKER")

    @sealed_only
    def test_a_kernel_without_rules_for_ports(self):
        """It runs, with a warning; once, however often it runs."""
        port = self.port()
        listener = self.listen(port)
        words = f"{self.caller} connect {self.address} {port}; " * 3
        shell = self.run_program(sealed.PYTHON, "-c", WITHOUT_LANDLOCK, sealed.LIBRARY, "sh", "-c", words,
                                 sealed=True, LD_PRELOAD=None)
        self.assertEqual(shell.status(), 0)
        self.assertEqual(bytes(shell.out.data), b"ok\n" * 3)
        shell.expect_log("warning", str(self.caller), "statically", "in the clear")
        self.assertEqual(shell.log().count("statically"), 1, shell.log())
        self.assertEqual(self.received(listener), b"MARKER" * 3)
        shell = self.run_program(sealed.PYTHON, "-c", WITHOUT_LANDLOCK, sealed.LIBRARY, "sh", "-c", words,
                                 sealed=True, LD_PRELOAD=None, SOCKSEAL_STRICT=1)
        shell.status()
        self.assertEqual(bytes(shell.out.data), b"")
        shell.expect_log("SOCKSEAL_STRICT", "exec is refused", "statically")

    @sealed_only
    def test_the_command_with_leave(self):
        """sockseal --allow-unsealed-program: the program itself is fenced; not without the option, not strictly."""
        if not has_landlock():
            self.skipTest("the kernel has no rules for ports")
        named, free = self.port(), sealed.free_port()
        listeners = self.listen(named), self.listen(free)
        command = [sealed.BUILD / "sockseal", "run", "-p", str(named), "-k", str(self.key_file)]
        for options, port, said, status in (([], named, "", 126), (["--allow-unsealed-program"], named, "EACCES", 0),
                                            (["--allow-unsealed-program"], free, "ok", 0),
                                            (["--allow-unsealed-program", "--strict"], free, "", 126)):
            result = subprocess.run([*command, *options, "--", self.caller, "connect", self.address, str(port)],
                                    capture_output=True, text=True, check=False, timeout=20, env=self.plain_env())
            self.assertEqual((result.stdout.strip(), result.returncode), (said, status), result.stderr)
            self.assertIn("statically", result.stderr)
        self.assertEqual(self.received(listeners[0]), b"")
        self.assertEqual(self.received(listeners[1]), b"MARKER")

    def has(self, prepare):
        """What the caller says of a socket that the code makes, and what was logged."""
        self.port()  # there is one to be sealed
        code = ("import os, socket; s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); "
                f"{prepare}; s.set_inheritable(True); os.execv({str(self.caller)!r}, ['caller', 'has', str(s.fileno())])")
        program = self.run_program(sealed.PYTHON, "-c", code, sealed=True)
        program.status()
        return bytes(program.out.data), program

    @sealed_only
    def test_a_bound_socket_is_kept_from_it(self):
        """It need not bind what it is given."""
        said, program = self.has(f"s.bind(({self.address!r}, {self.port()}))")
        self.assertEqual(said, b"EBADF\n")
        program.expect_log("warning", "a socket of a port that is to be sealed")

    @sealed_only
    def test_a_socket_without_a_connection_is_kept_from_it(self):
        """Another process that has it may connect it, or make it listen; one that listens elsewhere passes."""
        for prepare in "pass", f"s.bind(({self.address!r}, {sealed.free_port()}))":
            self.assertEqual(self.has(prepare)[0], b"EBADF\n", prepare)
        listens = f"s.bind(({self.address!r}, {sealed.free_port()})); s.listen()"
        self.assertEqual(self.has(listens)[0], b"ok\n")


if __name__ == "__main__":
    unittest.main()
