# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""The client of the servers that services.py describes, with many connections at once from one thread:

    services_load.py ADDRESS PORT STEP...

takes the steps in turn and prints a line for each: its name, and how many connections came out in which way. A step is

    echo:CONNECTIONS:BYTES       sends in pieces from one byte on, reads meanwhile, ends its direction, compares
    sink:CONNECTIONS:BYTES       uploads, ends its direction, compares the answer's count and digest
    file:CONNECTIONS:SHA256      downloads
    slow:CONNECTIONS:SHA256      downloads, with pauses at first, so that the server's buffers fill
    tick:CONNECTIONS:COUNT:MS    lines back and forth while the server's timer sends lines too
    reset:CONNECTIONS            has the server abort
    abort:CONNECTIONS            aborts in the midst of a download
    hold:CONNECTIONS             prints "holding", waits for the other side to end them, says how that looked
"""

import asyncio
import collections
import errno
import hashlib
import os
import random
import socket
import struct
import sys
import zlib

PIECE = 1 << 16
GREETING = b"ready\n"


class Load:
    def __init__(self, address, port):
        self.target = (address, port)
        self.family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.loop = asyncio.get_running_loop()

    async def step(self, word):
        name, count, *arguments = word.split(":")
        service, self.held = getattr(self, name), int(count)

        async def one(number):
            try:
                with socket.socket(self.family) as sock:
                    sock.setblocking(False)
                    await self.loop.sock_connect(sock, self.target)
                    greeting = await self.receive_exactly(sock, len(GREETING))
                    return await service(sock, number, *arguments) if greeting == GREETING else f"greeted {greeting!r}"
            except OSError as error:
                return errno.errorcode.get(error.errno, repr(error))

        outcomes = collections.Counter(await asyncio.gather(*(one(number) for number in range(int(count)))))
        tell(name + " " + ", ".join(f"{outcome}: {count}" for outcome, count in sorted(outcomes.items())))

    async def receive_exactly(self, sock, count):
        data = b""
        while len(data) < count and (chunk := await self.loop.sock_recv(sock, count - len(data))):
            data += chunk
        return data

    async def receive_all(self, sock):
        data = bytearray()
        while chunk := await self.loop.sock_recv(sock, PIECE):
            data += chunk
        return bytes(data)

    async def send(self, sock, data, numbers):
        """In pieces that begin tiny."""
        offset = 0
        while offset < len(data):
            size = numbers.choice((1, 2, 30, 700, 1460, 9000, 40000, 200000)) if offset > 20 else 1
            await self.loop.sock_sendall(sock, data[offset:offset + size])
            offset += size
        sock.shutdown(socket.SHUT_WR)

    async def echo(self, sock, number, size):
        numbers, data = random.Random(number), os.urandom(int(size))
        await self.loop.sock_sendall(sock, b"echo\n")
        back, _ = await asyncio.gather(self.receive_all(sock), self.send(sock, data, numbers))
        return "ok" if back == data else f"{len(back)} bytes, wrong"

    async def sink(self, sock, number, size):
        data = os.urandom(min(int(size), 1 << 20)) * max(1, int(size) >> 20)
        await self.loop.sock_sendall(sock, b"sink\n")
        await self.loop.sock_sendall(sock, data)
        sock.shutdown(socket.SHUT_WR)
        count, digest = (await self.receive_all(sock)).decode().split()
        right = hashlib.sha256(data).hexdigest() if len(digest) == 64 else f"{zlib.crc32(data):08x}"
        return "ok" if (int(count), digest.lower()) == (len(data), right) else f"{count} {digest}, wrong"

    async def file(self, sock, number, digest, pauses=0):
        await self.loop.sock_sendall(sock, b"file\n")
        sha = hashlib.sha256()
        while chunk := await self.loop.sock_recv(sock, PIECE if pauses == 0 else 3000):
            sha.update(chunk)
            if pauses:
                pauses -= 1
                await asyncio.sleep(0.005)
        return "ok" if sha.hexdigest() == digest else "wrong"

    async def slow(self, sock, number, digest):
        return await self.file(sock, number, digest, pauses=60)

    async def tick(self, sock, number, count, interval):
        """The server's ticks come in order, and so do the echoes, whatever their mixture."""
        await self.loop.sock_sendall(sock, f"tick {count} {interval}\n".encode())
        for turn in range(int(count)):
            await self.loop.sock_sendall(sock, f"line {turn}\n".encode())
            await asyncio.sleep(int(interval) / 2000)
        sock.shutdown(socket.SHUT_WR)
        lines = (await self.receive_all(sock)).decode().splitlines()
        parts = [[line for line in lines if line.startswith(kind)] for kind in ("tick ", "line ")]
        right = [[f"{kind} {turn}" for turn in range(int(count))] for kind in ("tick", "line")]
        return "ok" if parts == right and len(lines) == 2 * int(count) else f"{lines}, wrong"

    async def reset(self, sock, number):
        await self.loop.sock_sendall(sock, b"reset\n")
        data = await self.receive_exactly(sock, len("last words\n"))
        try:
            return f"{data!r}, then {await self.loop.sock_recv(sock, PIECE)!r}"
        except OSError as error:
            return f"{data!r}, then {errno.errorcode[error.errno]}"

    async def abort(self, sock, number):
        await self.loop.sock_sendall(sock, b"file\n")
        await self.receive_exactly(sock, 100000)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return "aborted"

    async def hold(self, sock, number):
        self.held -= 1
        if self.held == 0:
            tell("holding")
        data = await self.loop.sock_recv(sock, PIECE)
        return "end" if not data else repr(data)


def tell(line):
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def main():
    load = Load(sys.argv[1], int(sys.argv[2]))
    for word in sys.argv[3:]:
        await load.step(word)


if __name__ == "__main__":
    asyncio.run(main())
