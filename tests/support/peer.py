# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""A small TCP program for the tests, which knows nothing of sockseal:

    peer.py connect|serve ADDRESS PORT STEP...

takes the steps in turn and prints one line for each: its name and what came of it, an errno by its name. A step is
send:TEXT, sendn:COUNT, recv (one call), recvn:COUNT, recvall, shutdown, close, sleep:SECONDS, wait (for a line on
standard input), accept (serve: closes the connection there was and takes the next one).
"""

import errno
import hashlib
import os
import socket
import sys
import time


class Peer:
    def __init__(self, role, address, port):
        self.listener = self.sock = None
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        if role == "serve":
            self.listener = socket.create_server((address, port), family=family)
            self.step("accept")
        else:
            self.sock = socket.socket(family)
            self.attempt("connect", lambda: self.sock.connect((address, port)))

    @staticmethod
    def attempt(name, function):
        try:
            result = function()
        except OSError as error:
            result = errno.errorcode.get(error.errno, repr(error))
        # One write(2), so that nobody sees half of the line.
        sys.stdout.write(f"{name} {'ok' if result is None else result}\n")
        sys.stdout.flush()

    def step(self, word):
        name, _, argument = word.partition(":")
        self.attempt(name, lambda: getattr(self, "do_" + name)(*([argument] if argument else [])))

    def do_accept(self):
        if self.sock:
            self.sock.close()
        self.sock, _ = self.listener.accept()

    def do_send(self, text):
        self.sock.sendall(text.encode())

    def do_sendn(self, count):
        sent, sha = 0, hashlib.sha256()
        while sent < int(count):
            block = os.urandom(min(1 << 20, int(count) - sent))
            self.sock.sendall(block)
            sha.update(block)
            sent += len(block)
        return sha.hexdigest()

    def do_recv(self):
        data = self.sock.recv(65536)
        return repr(data) if data else "EOF"

    def do_recvn(self, count):
        left, sha = int(count), hashlib.sha256()
        while left and (data := self.sock.recv(min(left, 1 << 18))):
            sha.update(data)
            left -= len(data)
        return sha.hexdigest() + (f" short by {left}" if left else "")

    def do_recvall(self):
        """Reads to the end, and says how it ended: EOF or an errno."""
        data, end = b"", "EOF"
        try:
            while chunk := self.sock.recv(65536):
                data += chunk
        except OSError as error:
            end = errno.errorcode[error.errno]
        return f"{data!r} {end}" if len(data) < 1000 else f"{len(data)} bytes {hashlib.sha256(data).hexdigest()} {end}"

    def do_shutdown(self):
        self.sock.shutdown(socket.SHUT_WR)

    def do_close(self):
        self.sock.close()

    @staticmethod
    def do_sleep(seconds):
        time.sleep(float(seconds))

    @staticmethod
    def do_wait():
        sys.stdin.readline()


if __name__ == "__main__":
    peer = Peer(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    for argument in sys.argv[4:]:
        peer.step(argument)
