# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""The wire between two programs: a TCP proxy in the test's own process, which is never sealed, that records both
directions and can dribble, hold back, flip or cut what passes."""

import socket
import threading
import time

TO_SERVER, TO_CLIENT = 0, 1


class Direction:
    """One direction of one connection: what it carried and what is done to it."""

    def __init__(self):
        self.data, self.lock = bytearray(), threading.Condition()
        self.passed = 0  # bytes handed on
        self.limit = None  # hand on no byte past this offset until release()
        self.cut_at = None  # end the connection at this offset
        self.flip_at = None  # invert the lowest bit of the byte at this offset
        self.dribble = None  # (bytes, seconds): hand on so many at a time, with a pause between
        self.ended = False

    def hold_after(self, count):
        """Lets `count` more bytes pass, then none until release()."""
        with self.lock:
            self.limit = self.passed + count

    def release(self):
        with self.lock:
            self.limit = None
            self.lock.notify_all()

    def wait_passed(self, count, timeout=10):
        with self.lock:
            return self.lock.wait_for(lambda: self.passed >= count, timeout)

    def _wait_room(self, stop):
        """How many bytes may pass now (None: any number)."""
        with self.lock:
            self.lock.wait_for(lambda: self.limit is None or self.limit > self.passed or stop.is_set())
            return None if self.limit is None else self.limit - self.passed

    def alter(self, chunk, offset):
        if self.flip_at is not None and offset <= self.flip_at < offset + len(chunk):
            chunk = bytearray(chunk)
            chunk[self.flip_at - offset] ^= 1
        return bytes(chunk)


class Wire:
    """Listens on (address, port) and hands each connection on to the target."""

    def __init__(self, case, address, port, target, dribble=None):
        self.directions = (Direction(), Direction())
        for direction in self.directions:
            direction.dribble = dribble
        self._target, self._stop, self._sockets = target, threading.Event(), []
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._listener = socket.create_server((address, port), family=family)
        threading.Thread(target=self._accept, daemon=True).start()
        case.wires.append(self)
        case.addCleanup(case.wires.remove, self)
        case.addCleanup(self.close)

    @property
    def to_server(self):
        return self.directions[TO_SERVER]

    @property
    def to_client(self):
        return self.directions[TO_CLIENT]

    def report(self):
        return "wire: " + ", ".join(f"{len(direction.data)} bytes taken and {direction.passed} passed to the {name}"
                                    for direction, name in zip(self.directions, ("server", "client")))

    def close(self):
        self._stop.set()
        for direction in self.directions:
            direction.release()
        self._listener.close()
        for sock in self._sockets:
            sock.close()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target, timeout=10)
            except OSError:
                return
            server.settimeout(None)
            self._sockets += [client, server]
            for sock in (client, server):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for index, (source, sink) in enumerate(((client, server), (server, client))):
                threading.Thread(target=self._carry, args=(index, source, sink), daemon=True).start()

    def _carry(self, index, source, sink):
        direction = self.directions[index]
        try:
            while chunk := source.recv(1 << 16):
                direction.data += chunk
                if not self._hand_on(direction, chunk, sink):
                    for sock in (source, sink):
                        sock.shutdown(socket.SHUT_RDWR)
                    return
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            for sock in (source, sink):
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        finally:
            direction.ended = True

    def _hand_on(self, direction, chunk, sink):
        """Gives False where the connection is cut."""
        while chunk:
            size = len(chunk)
            room = direction._wait_room(self._stop)
            if room is not None:
                size = min(size, room)
            if direction.dribble:
                size = min(size, direction.dribble[0])
            if direction.cut_at is not None:
                size = min(size, direction.cut_at - direction.passed)
                if size <= 0:
                    return False
            sink.sendall(direction.alter(chunk[:size], direction.passed))
            with direction.lock:
                direction.passed += size
                direction.lock.notify_all()
            chunk = chunk[size:]
            if direction.dribble and chunk:
                time.sleep(direction.dribble[1])
        return True


def pieces_in(wire, plaintext, size=16):
    """The pieces of `size` bytes of the plaintext that are on the wire; a shorter plaintext is one piece.

    Every window of a short plaintext is looked for; of a long one the aligned pieces, at every offset of the wire.
    """
    wire, plaintext = bytes(wire), bytes(plaintext)
    if len(plaintext) <= size:
        return [plaintext] if plaintext in wire else []
    step = 1 if len(plaintext) <= 8192 else size
    pieces = {plaintext[i : i + size] for i in range(0, len(plaintext) - size + 1, step)}
    return [piece for i in range(len(wire) - size + 1) if (piece := wire[i : i + size]) in pieces]


def assert_sealed(case, wire, *plaintexts):
    """Asserts that bytes crossed in both directions and that no piece of the plaintexts is among them. On plain TCP the
    opposite is asserted, which shows that the recording and the search work."""
    carried = [bytes(direction.data) for direction in wire.directions] if isinstance(wire, Wire) else [bytes(wire)]
    if not any(carried):
        case.fail_with_report("nothing was recorded on the wire")
    for plaintext in plaintexts:
        data = plaintext.encode() if isinstance(plaintext, str) else plaintext
        found = [piece for side in carried for piece in pieces_in(side, data)]
        if case.sealed and found:
            case.fail_with_report(f"plaintext on the wire: {found[0]!r}")
        if not case.sealed and not found:
            case.fail_with_report(f"{data[:40]!r} is not on the plain wire: the recording is broken")
