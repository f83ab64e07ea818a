# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""Servers that hand a connection to another program: ncat and socat with their children, and Python's ways."""
# packages: ncat socat bash

import contextlib
import socket
import sys
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import sealed
import wire

from sealed import both_modes

PROGRAMS = {"ncat": ["ncat", "--version"]}
LINES = b"".join(b"line %d\n" % number for number in range(200))


class Processes(sealed.TestCase):
    def setUp(self):
        super().setUp()
        self.address = sealed.loopback()

    def front(self, port):
        """A recorder before the port; gives the port to connect to, and the recorder."""
        return self.port(), wire.Wire(self, self.address, self.ports[-1], (self.address, port))

    def talk(self, port, data, close=True):
        """A client that says this; with `close` it ends its direction then, and hears the other to its end."""
        client = self.run_program("socat", "-t", "10" if close else "0.1", "STDIO", f"TCP:{self.address}:{port}")
        client.feed([data]).join()
        if close:
            client.end_input()
        return client

    # ---- listening sockets ----

    def exec_with_a_listener(self, argv):
        """A server that runs another program with an empty environment, which gets its listening socket as {}."""
        port = self.port()
        code = ("import os, socket; s = socket.create_server((%r, %d)); s.set_inheritable(True); "
                "os.execve(%r, [a.format(s.fileno()) for a in %r], {})" % (self.address, port, argv[0], argv))
        return port, self.run_program(sealed.PYTHON, "-c", code, sealed=True)

    def test_a_listener_goes_to_a_program_with_an_empty_environment(self):
        code = "import socket; s = socket.socket(fileno={}); c, _ = s.accept(); c.sendall(b'words'); c.recv(1)"
        port, server = self.exec_with_a_listener([sealed.PYTHON, "-c", code])
        self.wait_listening(port, server)
        client = self.run_program("nc", self.address, port, sealed=True)
        client.expect("words")
        client.end_input()

    def test_a_listener_in_a_program_with_an_empty_environment_tells_a_stranger_nothing(self):
        code = "import socket; s = socket.socket(fileno={}); c, _ = s.accept(); c.sendall(b'words'); c.recv(1)"
        port, server = self.exec_with_a_listener([sealed.PYTHON, "-c", code])
        self.wait_listening(port, server)
        with socket.create_connection((self.address, port), timeout=20) as stranger:
            stranger.sendall(b"hello\r\n")
            said = b""
            with contextlib.suppress(ConnectionResetError):
                while chunk := stranger.recv(4096):
                    said += chunk
        self.assertNotIn(b"words", said)
        server.status()

    # ---- ncat ----

    def ncat(self, *options):
        port = self.port()
        server = self.run_program("ncat", "-k", "-l", *options, self.address, port)
        return port, self.wait_listening(port, server)

    @both_modes
    def test_ncat_with_a_command_for_the_shell(self):
        command = "echo $NCAT_PROTO; while read l && [ \"$l\" != quit ]; do echo \"<$l>\"; done"
        port, server = self.ncat("--sh-exec", command)
        front, recorder = self.front(port)
        results = []
        for _ in range(3):
            client = self.talk(front, LINES + b"quit\n", close=False)
            results.append((client.status(), bytes(client.out.data)))
        wire.assert_sealed(self, recorder, "line 17\n", "<line 17>")
        self.assertEqual(results[0][1], b"TCP\n" + LINES.replace(b"line", b"<line").replace(b"\n", b">\n"))
        return results, server.runs()

    @both_modes
    def test_ncat_with_an_interactive_shell(self):
        port, _ = self.ncat("--exec", "/bin/bash --norc --noprofile -i")
        front, recorder = self.front(port)
        client = self.talk(front, b"", close=False)
        for number in range(5):
            client.type(f"echo the answer is $(({number} + 40)); /bin/echo by a child")
            client.expect(f"the answer is {number + 40}\nby a child\n")
        client.type("exec 2>&1; no-such-command-at-all; ls /nonexistent/file")
        client.expect("no-such-command-at-all: command not found")
        client.expect("No such file or directory")
        client.type("ls / | head -c 3000 | wc -l >/dev/null; seq 5000 | tail -1")
        client.expect("5000\n")
        client.type("exit")
        status = client.status()
        wire.assert_sealed(self, recorder, "the answer is 4", "by a child", "command not found")
        return status

    @both_modes
    def test_ncat_clients_at_once(self):
        """ncat 7.95 does not read what the shell says last; one that SIGPIPE ended could not close the connection in
        good order."""
        port, server = self.ncat("--sh-exec", "trap '' PIPE; cat; echo end")
        clients = [self.talk(port, b"client %d\n" % number, close=False) for number in range(8)]
        for number, client in enumerate(clients):
            client.expect(f"client {number}\n")
        for client in reversed(clients):
            client.end_input()
        return [(client.status(), bytes(client.out.data)) for client in clients], server.runs()

    @both_modes
    def test_ncat_as_client_with_a_program(self):
        """The connecting side runs the program."""
        port = self.port()
        server = self.wait_listening(port, self.run_program("ncat", "-l", self.address, port))
        client = self.run_program("ncat", "--sh-exec", "while read l; do echo \"got $l\"; done", self.address, port)
        server.type("one")
        server.expect("got one\n")
        server.type("two")
        server.expect("got two\n")
        server.end_input()
        return client.status()

    # ---- socat ----

    def socat(self, options, program, *flags):
        port = self.port()
        server = self.run_program("socat", *flags, f"TCP-LISTEN:{port},bind={self.address},reuseaddr{options}", program)
        return port, self.wait_listening(port, server)

    def converse(self, options, program, *flags, expected=LINES):
        port, server = self.socat(options, program, *flags)
        front, recorder = self.front(port)
        results = []
        for _ in range(3 if "fork" in options else 1):
            client = self.talk(front, LINES)
            results.append((client.status(), bytes(client.out.data)))
        wire.assert_sealed(self, recorder, "line 17\n")
        self.assertEqual(results[0], (0, expected))
        return results, "fork" in options and server.runs()

    @both_modes
    def test_socat_exec(self):
        return self.converse(",fork", "EXEC:/bin/cat", "-t", "10")

    @both_modes
    def test_socat_exec_with_pipes(self):
        return self.converse(",fork", "EXEC:/bin/cat,pipes", "-t", "0.2")

    @both_modes
    def test_socat_exec_with_a_terminal(self):
        return self.converse(",fork", "EXEC:/bin/cat,pty,raw,echo=0,setsid,ctty", "-t", "0.2")

    @both_modes
    def test_socat_exec_with_standard_error(self):
        return self.converse(",fork", "SYSTEM:'cat >&2',stderr", "-t", "10")

    @both_modes
    def test_socat_exec_without_a_process_between(self):
        """nofork: the program has the connection itself."""
        return self.converse("", "EXEC:/bin/cat,nofork")

    @both_modes
    def test_socat_system(self):
        return self.converse(",fork", "SYSTEM:cat | sort | uniq -c | wc -l", "-t", "10", expected=b"200\n")

    @both_modes
    def test_socat_system_without_a_process_between(self):
        return self.converse("", "SYSTEM:sort | wc -l; exec echo end,nofork", expected=b"200\nend\n")

    @both_modes
    def test_socat_as_client_with_a_program(self):
        port, server = self.socat("", "SYSTEM:echo question; read answer; echo \"$answer\" >&2")
        client = self.run_program("socat", f"TCP:{self.address}:{port}", "SYSTEM:read q; echo \"$q answered\",nofork")
        status = client.status()
        server.expect("question answered\n", stream="err")
        return status, server.status()

    # ---- Python ----

    PYTHON_SERVER = """
import os, socket, subprocess, sys
listener = socket.create_server((sys.argv[1], int(sys.argv[2])))
for turn in range(int(sys.argv[3])):
    connection, _ = listener.accept()
    if turn % 4 == 0:
        process = subprocess.Popen(["cat"], stdin=connection, stdout=connection, stderr=connection)
    elif turn % 4 == 1:
        process = subprocess.Popen("cat", shell=True, stdin=connection, stdout=connection, start_new_session=True)
    elif turn % 4 == 2:
        number = connection.fileno()
        process = subprocess.Popen(["sh", "-c", f"cat <&{number} >&{number}"], pass_fds=[number], env={"PATH": "/bin"})
    else:
        pid = os.posix_spawn("/bin/cat", ["cat"], {}, file_actions=[
            (os.POSIX_SPAWN_DUP2, connection.fileno(), 0), (os.POSIX_SPAWN_DUP2, connection.fileno(), 1)])
        process = None
    connection.close()
    if process:
        process.wait()
    else:
        os.waitpid(pid, 0)
"""

    @both_modes
    def test_pythons_ways(self):
        """subprocess by vfork, with a shell, with inherited numbers and an environment of its own, and posix_spawn."""
        turns, port = 8, self.port()
        server = self.run_program(sealed.PYTHON, "-c", self.PYTHON_SERVER, self.address, port, turns)
        self.wait_listening(port, server)
        front, recorder = self.front(port)
        results = []
        for _ in range(turns):
            client = self.talk(front, LINES)
            results.append((client.status(), bytes(client.out.data)))
        wire.assert_sealed(self, recorder, "line 17\n")
        self.assertEqual(results, [(0, LINES)] * turns)
        return server.status()


if __name__ == "__main__":
    unittest.main()
