# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
#
# packages: guile-3.0
"""Guile, whose collector (libgc) stops all threads by a signal, in the middle of handshakes too: a thread for each of
many connections at once."""

import hashlib
import sys
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import sealed

from sealed import both_modes

PROGRAMS = {"guile": ["guile", "--version"]}

CLIENTS = 60
ROUNDS = 8 if sealed.FULL else 2
SIZE = 2_000_000 if sealed.FULL else 500_000

SERVER = """
(use-modules (ice-9 threads) (rnrs bytevectors))
(define listener (socket PF_INET SOCK_STREAM 0))
(setsockopt listener SOL_SOCKET SO_REUSEADDR 1)
(bind listener AF_INET (inet-pton AF_INET "{address}") {port})
(listen listener 100)
(define (send-all peer bytes from end)
  (when (< from end)
    (let ((rest (make-bytevector (- end from))))
      (bytevector-copy! bytes from rest 0 (- end from))
      (send-all peer bytes (+ from (send peer rest)) end))))
(define (echo peer)
  (let* ((bytes (make-bytevector 65536)) (count (recv! peer bytes)))
    (if (= count 0)
        (close peer)
        (begin (send-all peer bytes 0 count) (echo peer)))))
(let loop ()
  (let ((peer (car (accept listener))))
    (call-with-new-thread (lambda () (echo peer))))
  (loop))
"""

CLIENT = """
import hashlib, socket, sys, threading
data = bytes(range(256)) * ({size} // 256)
digests = []
def converse():
    with socket.create_connection(("{address}", {port})) as peer:
        peer.settimeout(20)
        writer = threading.Thread(target=lambda: (peer.sendall(data), peer.shutdown(socket.SHUT_WR)))
        writer.start()
        digest = hashlib.sha256()
        while chunk := peer.recv(65536):
            digest.update(chunk)
        writer.join()
    digests.append(digest.hexdigest())
threads = [threading.Thread(target=converse) for _ in range({clients})]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(digests), *set(digests))
"""


class Guile(sealed.TestCase):
    def setUp(self):
        sealed.need("guile")
        super().setUp()
        self.address = sealed.loopback()

    @both_modes
    def test_many_threads_at_once(self):
        port = self.port()
        names = {"address": self.address, "port": port, "size": SIZE, "clients": CLIENTS}
        (self.directory / "server.scm").write_text(SERVER.format(**names))
        (self.directory / "client.py").write_text(CLIENT.format(**names))
        server = self.run_program("guile", "--no-auto-compile", "-s", self.directory / "server.scm")
        self.wait_listening(port, server)
        seen = []
        for _ in range(ROUNDS):
            client = self.run_program(sealed.PYTHON, self.directory / "client.py")
            seen.append((client.status(60), bytes(client.out.data)))
        digest = hashlib.sha256(bytes(range(256)) * (SIZE // 256)).hexdigest()
        self.assertEqual(set(seen), {(0, f"{CLIENTS} {digest}\n".encode())})
        return seen


if __name__ == "__main__":
    unittest.main()
