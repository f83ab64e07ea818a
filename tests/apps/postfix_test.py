#!/usr/bin/python3
# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
# packages: postfix
"""Postfix, whose master gives its daemons an environment of its own making, and which runs set-group-ID programs: mail
comes in, is queued and delivered, and all of it is in the mail log, the lines of its start-up script among them."""

import os
import smtplib
import socket
import subprocess
import sys
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import sealed

from sealed import both_modes, sealed_only

PROGRAMS = {"postfix": ["postconf", "mail_version"]}

# Directories of its own, seen in its mount namespace alone.
START = """
cd {home}
mkdir -p etc spool lib
cp -a /etc/postfix/. etc
for pair in etc:/etc/postfix spool:/var/spool/postfix lib:/var/lib/postfix; do
    mount --bind ${{pair%:*}} ${{pair#*:}}
done
chown postfix lib
sed -i 's/^smtp  *inet.*/{address}:{port} inet n - y - - smtpd/' etc/master.cf
postconf -e maillog_file=/dev/stdout inet_interfaces=127.0.0.1 myhostname=localhost mydestination=localhost \\
    local_transport=discard local_recipient_maps= alias_maps= alias_database= compatibility_level=3.6
exec postfix start-fg
"""

CLIENT = """
import smtplib, sys
with smtplib.SMTP(sys.argv[1], int(sys.argv[2]), timeout=30) as smtp:
    print(smtp.sendmail("a@localhost", ["root@localhost"], "Subject: words\\n\\nPLAINTEXT-MARKER\\n" * 100))
"""


class Postfix(sealed.TestCase):
    def setUp(self):
        super().setUp()
        sealed.need("postfix")
        if os.geteuid() != 0:
            self.skipTest("needs root")
        self.address = sealed.loopback()

    def start(self, **settings):
        port = self.port()
        self.directory.chmod(0o755)  # its daemons are other users
        home = self.directory / f"home.{port}"
        home.mkdir()
        server = self.run_program("unshare", "-m", "sh", "-ec",
                                  START.format(home=home, address=self.address, port=port), **settings)
        self.addCleanup(self.stop, server)
        server.expect("daemon started")  # it listens then; from 3.10 on what is said before goes to standard error
        return port, server

    @staticmethod
    def stop(server):
        """Master is no child of the test's, and its daemons have process groups of their own."""
        subprocess.run(["nsenter", "-t", str(server.pid), "-m", "postfix", "abort"], capture_output=True, check=False,
                       timeout=20)
        server.status()

    def send(self, port, server):
        client = self.run_program(sealed.PYTHON, "-c", CLIENT, self.address, port)
        self.assertEqual(client.status(), 0, bytes(client.err.data))
        for words in ("daemon started", ": connect from ", "from=<a@localhost>", "status=sent", "removed"):
            server.expect(words)

    @both_modes
    def test_mail_is_received_and_logged(self):
        port, server = self.start()
        for _ in range(3):
            self.send(port, server)
        return server.runs()

    @sealed_only
    def test_a_stranger_hears_nothing(self):
        port, _ = self.start()
        with socket.create_connection((self.address, port), timeout=20) as stranger:
            stranger.sendall(b"EHLO stranger\r\n")
            try:
                self.assertNotIn(b"ESMTP", stranger.recv(4096))
            except ConnectionResetError:
                pass
        with self.assertRaises((smtplib.SMTPException, OSError)):
            smtplib.SMTP(self.address, port, timeout=5)


if __name__ == "__main__":
    unittest.main()
