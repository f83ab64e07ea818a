# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""Many connections of one process to a server, a small program for the tests that knows nothing of sockseal:

    crowd.py ADDRESS PORT CONNECTIONS REQUEST REPLY_BYTES STEP...

opens all the connections without blocking, takes the steps in turn, and prints one line for each. A step is
round (sends the contents of the file REQUEST on each connection, all at once, and reads REPLY_BYTES from each),
ends (waits until the server has ended each connection), wait (for a line on standard input), close.
"""

import collections
import errno
import hashlib
import selectors
import socket
import sys
import time

LIMIT = 45.0  # seconds for a step; a test's own limit is shorter


class Connection:
    """What one connection still has to send and to read, and how it ended."""

    def __init__(self, address, port):
        self.sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        self.sock.setblocking(False)
        self.to_send, self.wanted, self.end = memoryview(b""), 0, None
        self.sha = hashlib.sha256()
        self.sock.connect_ex((address, port))

    def start(self, request, wanted):
        self.to_send, self.wanted, self.sha = memoryview(request), wanted, hashlib.sha256()

    def events(self):
        """What to wait for; 0 when there is nothing."""
        if self.end:
            return 0
        return (selectors.EVENT_READ if self.wanted else 0) | (selectors.EVENT_WRITE if self.to_send else 0)

    def act(self, events):
        try:
            if events & selectors.EVENT_WRITE:
                self.to_send = self.to_send[self.sock.send(self.to_send[:1 << 16]):]
            if events & selectors.EVENT_READ:
                data = self.sock.recv(min(self.wanted, 1 << 16))
                self.sha.update(data)
                self.wanted -= len(data)
                self.end = None if data else "EOF"
        except BlockingIOError:
            pass
        except OSError as error:
            self.end = errno.errorcode.get(error.errno, repr(error))


def drive(connections):
    """Until no connection has anything to do."""
    deadline = time.monotonic() + LIMIT
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            if connection.events():
                selector.register(connection.sock, connection.events(), connection)
        while selector.get_map() and time.monotonic() < deadline:
            for key, events in selector.select(1):
                key.data.act(events)
                if key.data.events() == 0:
                    selector.unregister(key.fileobj)
                elif key.data.events() != key.events:
                    selector.modify(key.fileobj, key.data.events(), key.data)
        return len(selector.get_map())


def tally(values):
    return ", ".join(f"{count} x {value}" for value, count in sorted(collections.Counter(values).items()))


def step(name, connections, request, wanted):
    if name == "wait":
        sys.stdin.readline()
        return "ok"
    if name == "close":
        for connection in connections:
            connection.sock.close()
        return "ok"
    for connection in connections:
        connection.start(request if name == "round" else b"", wanted if name == "round" else 1 << 30)
    stuck = drive(connections)
    values = [connection.end or connection.sha.hexdigest()[:16] for connection in connections]
    return tally(values) + (f"; {stuck} not finished" if stuck else "")


def main():
    address, port, count, path, wanted = sys.argv[1:6]
    with open(path, "rb") as file:
        request = file.read()
    connections = [Connection(address, int(port)) for _ in range(int(count))]
    for name in sys.argv[6:]:
        sys.stdout.write(f"{name}: {step(name, connections, request, int(wanted))}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
