# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""Peers that keep to the letter of the protocol and mean harm, or meet the shim at a bad moment: floods during the
handshake, a KeyUpdate while a record is cut, resets, and plain clients where SOCKSEAL_PLAINTEXT=accept serves them."""

# time-limit: 240

import hashlib
import re
import socket
import struct
import subprocess
import sys
import threading
import time
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import sealed
import tls13
import wire

from sealed import sealed_only

USER_CANCELED = b"\x15\x03\x03\x00\x02\x01\x5a"  # RFC 8446, 6.1: in the clear during the handshake
COMPATIBILITY = b"\x14\x03\x03\x00\x01\x01"  # change_cipher_spec (RFC 8446, 5)
FLOOD_SECONDS = 30  # for how long a program is held that does not refuse it
S_SERVER_REMARKS = re.compile(rb"Read BLOCK\n|SSL_do_handshake -> 1\n")  # amid what it received

# Accepts in a poll() loop, as a single-threaded server does, and says how a connection ended and how long a round was.
POLL_SERVER = """
import errno, select, socket, sys
listener = socket.create_server((sys.argv[1], int(sys.argv[2])))
listener.setblocking(False)
poll, held, refused = select.poll(), {}, False
poll.register(listener, select.POLLIN)
while not refused:
    for fd, _ in poll.poll():
        if fd == listener.fileno():
            sock, _ = listener.accept()
            sock.setblocking(False)
            held[sock.fileno()] = sock
            poll.register(sock, select.POLLIN)
            continue
        try:
            if held[fd].recv(1000):
                continue
            how = "EOF"
        except BlockingIOError:
            continue
        except OSError as error:
            how = errno.errorcode[error.errno]
        print("recv", how, flush=True)
        poll.unregister(fd)
        held.pop(fd).close()
        refused = True
"""

# Writes until the socket takes no more, reads when told to, and then writes on to a given size.
CUT_CLIENT = """
import hashlib, select, socket, sys, time
address, port, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
sock = socket.socket()
sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 20000)
sock.connect((address, port))
sock.sendall(b"hello\\n")
sys.stdin.readline()
sock.setblocking(False)
data = b"".join(b"%015d\\n" % line for line in range(size // 16))
sent = 0
try:
    while sent < size:
        sent += sock.send(data[sent : sent + 16384])
except BlockingIOError:
    print("full", flush=True)
sys.stdin.readline()
try:
    print("read", sock.recv(100), flush=True)
except BlockingIOError:
    print("read nothing", flush=True)
sock.setblocking(True)
sock.sendall(data[sent:])
print("sent", hashlib.sha256(data).hexdigest(), flush=True)
sys.stdin.readline()
"""

# Polls until it is told of something, lets a write or SO_ERROR have the error, and reads on.
RESET_CLIENT = """
import errno, select, socket, sys
sock = socket.create_connection((sys.argv[1], int(sys.argv[2])))
sock.sendall(b"hello")
sock.setblocking(False)
poll = select.poll()
poll.register(sock, select.POLLIN)
poll.poll(5000)
print("recv", sock.recv(100), flush=True)
poll.poll(5000)
try:
    if sys.argv[3] == "SO_ERROR":
        print("SO_ERROR", errno.errorcode[sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)], flush=True)
    else:
        sock.send(b"more")
except OSError as error:
    print("send", errno.errorcode[error.errno], flush=True)
try:
    print("recv", sock.recv(100), flush=True)
except OSError as error:
    print("recv", errno.errorcode[error.errno], flush=True)
"""

# Says how often a call has to be made until it finds something.
TRIES_CLIENT = """
import os, select, socket, sys
sock = socket.create_connection((sys.argv[1], int(sys.argv[2])))
sock.sendall(b"hello")
sock.setblocking(False)
drain, source = os.pipe()
sys.stdin.readline()
tries = 0
while True:
    tries += 1
    try:
        if sys.argv[3] == "peek":
            data = sock.recv(1, socket.MSG_PEEK)
        else:
            os.splice(sock.fileno(), source, 1, flags=2)  # SPLICE_F_NONBLOCK
            data = os.read(drain, 1)
        break
    except BlockingIOError:
        pass
print("tries", tries, data, flush=True)
"""

# Reads until the connection fails, and then looks for secrets in what its processes share, which holds the keys.
SECRETS_CLIENT = """
import errno, os, socket, sys
sock = socket.create_connection((sys.argv[1], int(sys.argv[2])))
sock.sendall(b"hello")
def is_shared(name):
    path = f"/proc/self/fd/{name}"
    return os.path.lexists(path) and "memfd:sockseal" in os.readlink(path)
shared = int(next(filter(is_shared, os.listdir("/proc/self/fd"))))
def holds(secret):
    end = 0
    while True:
        try:
            start = os.lseek(shared, end, os.SEEK_DATA)
        except OSError:
            return False
        end = os.lseek(shared, start, os.SEEK_HOLE)
        if secret in os.pread(shared, end - start, start):
            return True
secrets = [bytes.fromhex(word) for word in sys.stdin.readline().split()]
print("before", *map(holds, secrets), flush=True)
try:
    print("recv", sock.recv(100), flush=True)
except OSError as error:
    print("recv", errno.errorcode[error.errno], flush=True)
print("after", *map(holds, secrets), flush=True)
"""

# A handler reads while the call that it interrupts is blocked in writing to the same connection.
HANDLER_CLIENT = r"""
#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
static int sock, pause_us = 10000;
static void on_alarm(int number)
{
    char data[100];
    ssize_t got = recv(sock, data, sizeof data, MSG_DONTWAIT);
    if (got > 0 && write(1, data, (size_t)got) == got)
        number = 0;
    ualarm((useconds_t)pause_us, 0);
}
static void *reader(void *unused)
{
    char data[100];
    while (recv(sock, data, sizeof data, 0) > 0) {
    }
    return unused;
}
static int blocked(void)
{
    static char data[4000000];
    size_t done = 0;
    ssize_t put = 0;
    while (done < sizeof data && (put = write(sock, data + done, sizeof data - done)) > 0)
        done += (size_t)put;
    if (put < 0)
        perror("write");
    return done < sizeof data;
}
/* Writes without waiting, and is interrupted while it seals. A thread reads, too. */
static int busy(void)
{
    static char data[100000];
    pthread_t thread;
    sigset_t alarm;
    const time_t end = time(NULL) + 2;
    pause_us = 50;
    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &alarm, NULL);
    pthread_create(&thread, NULL, reader, NULL);
    pthread_sigmask(SIG_UNBLOCK, &alarm, NULL);
    while (time(NULL) < end)
        send(sock, data, sizeof data, MSG_DONTWAIT);
    puts("done");
    return 0;
}
int main(int count, char **words)
{
    const int small = 10000;
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(words[2]))};
    const struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    inet_pton(AF_INET, words[1], &peer.sin_addr);
    sock = socket(AF_INET, SOCK_STREAM, 0);
    if (count == 3)
        setsockopt(sock, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    if (connect(sock, (struct sockaddr *)&peer, sizeof peer) < 0 || write(sock, "hello", 5) != 5)
        return 1;
    signal(SIGPIPE, SIG_IGN);
    sigaction(SIGALRM, &action, NULL);
    ualarm((useconds_t)pause_us, 0);
    return count == 3 ? blocked() : busy();
}
"""


class Case(sealed.TestCase):
    def setUp(self):
        sealed.need("openssl")
        super().setUp()
        self.address = sealed.loopback()

    def meet(self, listener, command, *words):
        """Runs a client that says hello to the listener; gives it, the peer that it has met, and that one's socket."""
        listener.settimeout(10)
        client = self.run_program(*command, self.address, listener.getsockname()[1], *words, SOCKSEAL_SUITES="chacha20")
        sock, _ = listener.accept()
        self.addCleanup(sock.close)
        sock.settimeout(10)
        server = tls13.Server(sock, bytes.fromhex(self.key))
        server.handshake()
        self.assertEqual(server.receive(), (tls13.DATA, b"hello"))
        return client, server, sock


@sealed_only
class Floods(Case):
    """RFC 8446 lets a peer repeat these, most of them before the handshake is over; a program must not be held by one
    that does."""

    def flood(self, sock, record):
        """Says it for as long as it is listened to; gives whether that was cut short."""
        blob, end = record * 2000, time.monotonic() + FLOOD_SECONDS
        try:
            while time.monotonic() < end:
                sock.sendall(blob)
        except OSError:
            return True
        return False

    def client_hello(self):
        """The first record of a sealed client, with a binder that verifies: whoever records one can say it again."""
        port, data = self.port(), b""
        with socket.create_server((self.address, port)) as listener:
            listener.settimeout(10)
            self.run_peer("connect", self.address, port, "recv")
            with listener.accept()[0] as sock:
                sock.settimeout(10)
                while len(data) < 5 or len(data) < 5 + int.from_bytes(data[3:5], "big"):
                    data += sock.recv(4096)
        return data

    def flood_a_server(self, record, hello=b""):
        """The server accepts and polls in one thread, and has others to serve."""
        port = self.port()
        server = self.run_program(sealed.PYTHON, "-c", POLL_SERVER, self.address, port)
        self.wait_listening(port, server)
        with socket.create_connection((self.address, port), timeout=10) as stranger:
            stranger.sendall(hello)
            if hello:
                self.assertEqual(stranger.recv(1), bytes([tls13.HANDSHAKE]), "the server did not take the ClientHello")
            refused = self.flood(stranger, record)
        self.assertEqual(server.status(), 0)
        self.assertEqual(bytes(server.out.data).decode(), "recv EPROTO\n")
        self.assertTrue(refused)

    def test_alerts_to_a_server(self):
        self.flood_a_server(USER_CANCELED)

    def test_change_cipher_specs_to_a_server(self):
        """They are legal from the ClientHello to the Finished only (RFC 8446, 5)."""
        self.flood_a_server(COMPATIBILITY, self.client_hello())

    def flood_a_client(self, record):
        """The client has a blocking read under way, which must end."""
        port, refused = self.port(), []

        def serve(listener):
            sock, _ = listener.accept()
            with sock:
                sock.settimeout(10)
                sock.recv(4096)  # the ClientHello
                refused.append(self.flood(sock, record))

        with socket.create_server((self.address, port)) as listener:
            thread = threading.Thread(target=serve, args=(listener,), daemon=True)
            thread.start()
            client = self.run_peer("connect", self.address, port, "recv")
            client.expect("recv EPROTO\n", timeout=FLOOD_SECONDS - 1)
            thread.join(10)
        self.assertEqual(refused, [True])

    def flood_a_call(self, how):
        """3,000 empty records stand before one byte: a call that does not wait must not open them all."""
        with socket.create_server((self.address, self.port())) as listener:
            client, server, sock = self.meet(listener, [sealed.PYTHON, "-c", TRIES_CLIENT], how)
        with sock:
            empty = bytes([tls13.DATA])
            sock.sendall(b"".join(server.sending.seal(empty) for _ in range(3000)) + server.sending.seal(b"x" + empty))
            time.sleep(0.1)
            client.type("go")
            client.expect("tries ")
            self.assertEqual(client.status(), 0)
        tries, data = re.fullmatch(rb"tries (\d+) (.*)\n", client.out.data).groups()
        self.assertEqual(data, b"b'x'")
        self.assertGreater(int(tries), 1)

    def test_empty_records_to_a_peek(self):
        self.flood_a_call("peek")

    def test_empty_records_to_a_splice(self):
        self.flood_a_call("splice")

    def test_alerts_to_a_client(self):
        self.flood_a_client(USER_CANCELED)

    def test_change_cipher_specs_to_a_client(self):
        self.flood_a_client(COMPATIBILITY)


@sealed_only
class KeyUpdateWhileFull(Case):
    """What is sealed while a record is cut would use a nonce again, or stand in the middle of the record."""

    def s_server(self):
        port = self.port()
        server = self.run_stock("openssl", "s_server", "-accept", f"{self.address}:{port}", "-tls1_3", "-nocert",
                                "-psk", self.key, "-psk_identity", sealed.IDENTITY, "-ciphersuites",
                                "TLS_CHACHA20_POLY1305_SHA256")
        return port, self.wait_listening(port, server)

    @staticmethod
    def records(data):
        """(type, body) of each whole record."""
        found, at = [], 0
        while at + 5 <= len(data):
            length = int.from_bytes(data[at + 3 : at + 5], "big")
            if at + 5 + length > len(data):
                break
            found.append((data[at], bytes(data[at + 5 : at + 5 + length])))
            at += 5 + length
        return found

    def no_keystream_twice(self, data):
        """The KeyUpdate's first five bytes are known, and with them its keystream: it must open no other record."""
        records = self.records(data)
        updates = [i for i, (_, body) in enumerate(records) if len(body) == 5 + 1 + 16]
        self.assertTrue(updates, "no KeyUpdate was sent")
        for i in updates:
            keystream = bytes(a ^ b for a, b in zip(records[i][1], b"\x18\0\0\1\0"))
            opened = bytes(a ^ b for a, b in zip(records[i - 1][1], keystream))
            self.assertIsNone(re.fullmatch(rb"[0-9\n]{5}", opened), "two records share a nonce")

    def test_requested_by_the_peer(self):
        size = 1 << 20
        port, server = self.s_server()
        entry = self.port()
        recorder = wire.Wire(self, self.address, entry, (self.address, port))
        client = self.run_program(sealed.PYTHON, "-c", CUT_CLIENT, self.address, entry, size,
                                  SOCKSEAL_SUITES="chacha20")
        server.expect("hello\n")
        recorder.to_server.hold_after(0)
        client.type("fill")
        client.expect("full\n")
        server.type("K")
        server.err.wait(lambda output: b"KEYUPDATE" in output.data, 5)
        self.wait_asleep(server, client)
        client.type("read")
        client.expect("read nothing\n")
        recorder.to_server.release()
        client.expect("sent ")
        self.no_keystream_twice(recorder.to_server.data)
        server.expect(b"%015d\n" % (size // 16 - 1))
        received = b"".join(re.findall(rb"\d{15}\n", S_SERVER_REMARKS.sub(b"", bytes(server.out.data))))
        client.expect(f"sent {hashlib.sha256(received).hexdigest()}\n")
        client.type("done")
        self.assertEqual(client.status(), 0)

    def handler_client(self, *words):
        """Gives the program, and the server's side of its connection."""
        program = self.directory / "handler"
        subprocess.run(["gcc", "-Wall", "-Werror", "-pthread", "-o", program, "-x", "c", "-"], input=HANDLER_CLIENT,
                       text=True, check=True)
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 10000)
            listener.bind((self.address, self.port()))
            listener.listen()
            client, server, _ = self.meet(listener, [str(program)], *words)
        return client, server

    def test_read_by_a_handler_above_a_blocked_write(self):
        """It is left to the write, which must not be taken for one that nobody comes back to."""
        client, server = self.handler_client()
        for said in ("before", "after"):
            server.send(tls13.DATA, said.encode())
            client.expect(said)
            server.update_keys(1)
        while server.sock.recv(1 << 20):
            pass
        self.assertEqual(client.status(), 0)

    def test_read_by_a_thread_and_by_a_handler_above_a_busy_write(self):
        """The thread reads and wants to write, the handler's thread is writing and wants to read."""
        client, server = self.handler_client("busy")

        def drain():
            try:
                while server.sock.recv(1 << 20):
                    pass
            except OSError:
                pass
        threading.Thread(target=drain, daemon=True).start()
        end = time.monotonic() + 3
        try:
            while time.monotonic() < end:
                server.update_keys(1)
        except OSError:
            pass
        client.expect("done", timeout=5)
        self.assertEqual(client.status(), 0)


@sealed_only
class Cut(Case):
    """Anybody on the way can reset a connection; what is cut off must not look like all there is."""

    def read_after(self, how):
        """A program that hears of the reset elsewhere, does not mind, and reads what the peer has left to say."""
        with socket.create_server((self.address, self.port())) as listener:
            client, server, sock = self.meet(listener, [sealed.PYTHON, "-c", RESET_CLIENT], how)
            server.send(tls13.DATA, b"half of it")
            client.expect("recv b'half of it'\n")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
        self.assertEqual(client.status(), 0)
        self.assertEqual(bytes(client.out.data).decode().splitlines()[1:], [f"{how} ECONNRESET", "recv ECONNRESET"])

    def test_a_reset_that_a_write_was_told_of(self):
        self.read_after("send")

    def test_a_reset_that_so_error_was_told_of(self):
        self.read_after("SO_ERROR")


@sealed_only
class Secrets(Case):
    """RFC 8446, 6 and 6.2: both sides forget the secrets and keys of a failed connection."""

    def fails(self, error, record):
        """Both directions' secrets are there before the peer says this record, and not afterwards."""
        with socket.create_server((self.address, self.port())) as listener:
            client, server, sock = self.meet(listener, [sealed.PYTHON, "-c", SECRETS_CLIENT])
        with sock:
            client.type(f"{server.sending.secret.hex()} {server.receiving.secret.hex()}")
            client.expect("before True True\n")
            sock.sendall(record(server))
            client.expect(f"recv {error}\n")
            client.expect("after False False\n")
        self.assertEqual(client.status(), 0)

    def test_after_a_fatal_alert(self):
        self.fails("ECONNRESET", lambda server: server.sending.seal(b"\x02\x28" + bytes([tls13.ALERT])))

    def test_after_a_record_that_does_not_authenticate(self):
        self.fails("EBADMSG", lambda server: b"\x17\x03\x03\x00\x20" + bytes(32))


@sealed_only
class PlaintextAccepted(Case):
    """SOCKSEAL_PLAINTEXT=accept, for the time in which not every client is sealed yet."""

    def serve(self, *steps, timeout=10):
        port = self.port()
        server = self.run_peer("serve", self.address, port, *steps, SOCKSEAL_PLAINTEXT="accept",
                               SOCKSEAL_HANDSHAKE_TIMEOUT=timeout)
        return port, self.wait_listening(port, server)

    def test_a_plain_client_is_served_both_ways(self):
        port, server = self.serve("recv", "send:reply", "recv", "send:second reply", "shutdown", "recvall")
        with socket.create_connection((self.address, port), timeout=10) as client:
            for line, reply in ((b"GET /\r\n", b"reply"), (b"more\r\n", b"second reply")):
                client.sendall(line)
                self.assertEqual(client.recv(len(reply), socket.MSG_WAITALL), reply)
            self.assertEqual(client.recv(10), b"")
        self.assertEqual(server.status(), 0)
        self.assertEqual(bytes(server.out.data).decode().splitlines()[1:],
                         ["recv b'GET /\\r\\n'", "send ok", "recv b'more\\r\\n'", "send ok", "shutdown ok",
                          "recvall b'' EOF"])
        server.expect_log("plain", str(port))

    def test_a_plain_client_that_waits_is_greeted_after_the_time_out(self):
        port, server = self.serve("send:220 hello\r\n", "recv", "send:250 ok\r\n", timeout=1)
        with socket.create_connection((self.address, port), timeout=10) as client:
            self.assertEqual(client.recv(11, socket.MSG_WAITALL), b"220 hello\r\n")
            client.sendall(b"HELO\r\n")
            self.assertEqual(client.recv(8, socket.MSG_WAITALL), b"250 ok\r\n")
        self.assertEqual(server.status(), 0)

    def test_a_hello_retry_request_is_not_taken_for_plain(self):
        port, server = self.serve("recv", "send:reply", "wait")
        recorder = wire.Wire(self, self.address, self.port(), (self.address, port))
        client = self.run_stock("openssl", "s_client", "-connect", f"{self.address}:{self.ports[-1]}", "-tls1_3",
                                "-psk", self.key, "-psk_identity", sealed.IDENTITY, "-groups", "P-256:X25519", "-quiet")
        client.type("line that nobody else reads")
        server.expect("recv b'line that nobody else reads\\n'")
        client.expect("reply")
        wire.assert_sealed(self, recorder, "line that nobody else reads", "reply")


if __name__ == "__main__":
    unittest.main()
