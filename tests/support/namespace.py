# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""A network of its own for programs that insist on a port or on the host's name, with everything on it recorded."""

import os
import struct
import subprocess
import threading
import time

import sealed

# Runs inside the namespaces: names the host "localhost", so that it resolves anywhere, sets lo up, and records each
# packet on standard output in the format of pcap files until standard input ends.
_HOLDER = r"""
import fcntl, select, socket, struct, sys, time
socket.sethostname("localhost")
with socket.socket() as control:
    fcntl.ioctl(control, 0x8914, struct.pack("16sH14x", b"lo", 1 | 64))  # SIOCSIFFLAGS: IFF_UP | IFF_RUNNING
tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
tap.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
tap.bind(("lo", 0))
out = sys.stdout.buffer
out.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 262144, 1))
out.flush()
while sys.stdin not in (ready := select.select([tap, sys.stdin], [], [])[0]):
    packet, sender = tap.recvfrom(262144)
    if sender[2] != socket.PACKET_OUTGOING:  # on lo each packet is seen twice
        now = time.time()
        out.write(struct.pack("<IIII", int(now), int(now % 1 * 1000000), len(packet), len(packet)) + packet)
        out.flush()
"""


class Namespace:
    """Programs in it are started with `enter` before their own words. Works as root and as an ordinary user."""

    def __init__(self, case):
        user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        self._case = case
        self._holder = subprocess.Popen(
            ["unshare", "--net", "--uts", *user, "/usr/bin/python3", "-c", _HOLDER],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.capture = bytearray()
        self._reader = threading.Thread(target=self._collect, daemon=True)
        self._reader.start()
        case.addCleanup(self.close)
        self.enter = ["nsenter", "--target", str(self._holder.pid), "--net", "--uts",
                      *(["--user", "--preserve-credentials"] if user else [])]
        end = time.monotonic() + 10
        while len(self.capture) < 24:
            if time.monotonic() > end or self._holder.poll() is not None:
                sealed.missing("permission to make a network namespace")
            time.sleep(0.01)

    def _collect(self):
        while chunk := os.read(self._holder.stdout.fileno(), 1 << 16):
            self.capture += chunk

    def finish_capture(self):
        """Stops recording; gives the whole capture as a pcap file's content."""
        time.sleep(0.2)  # the last packets are on their way through the recorder
        if not self._holder.stdin.closed:
            self._holder.stdin.close()
        self._reader.join(10)
        return bytes(self.capture)

    def payloads(self):
        """Stops recording; gives what all packets carried, one after the other."""
        capture, offset, content = self.finish_capture(), 24, bytearray()
        while offset + 16 <= len(capture):
            length = struct.unpack_from("<I", capture, offset + 8)[0]
            content += capture[offset + 16 : offset + 16 + length]
            offset += 16 + length
        return bytes(content)

    def close(self):
        self._holder.kill()
        self._holder.wait()
        self._reader.join(5)
        for pipe in (self._holder.stdin, self._holder.stdout, self._holder.stderr):
            pipe.close()
