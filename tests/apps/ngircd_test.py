# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
#
# packages: ngircd netcat-openbsd
# suite: full
"""ngIRCd, which goes into another root directory and becomes another user before it listens: a channel of two, and a key
file that changes meanwhile."""

import os
import secrets
import sys
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import sealed

from sealed import both_modes, sealed_only

NGIRCD = "/usr/sbin/ngircd"
PROGRAMS = {"ngircd": ["/usr/sbin/ngircd", "-V"]}

CONFIGURATION = """
[Global]
Name = irc.example.net
Info = test
Listen = {address}
Ports = {port}
ServerUID = nobody
ServerGID = nogroup
MotdPhrase = welcome
[Options]
DNS = no
Ident = no
PAM = no
{more}
"""


@unittest.skipUnless(os.geteuid() == 0, "ngircd gives up root's rights")
class NgIRCd(sealed.TestCase):
    def setUp(self):
        if not os.path.exists(NGIRCD):
            sealed.missing("ngircd")
        super().setUp()
        self.address = sealed.loopback()
        self.directory.chmod(0o711)

    def start(self, more=""):
        self.at = self.port()
        configuration = self.directory / "ngircd.conf"
        configuration.write_text(CONFIGURATION.format(address=self.address, port=self.at, more=more))
        self.server = self.run_program(NGIRCD, "-n", "-f", configuration)
        self.wait_listening(self.at, self.server)

    def join(self, name, **options):
        client = self.run_program("nc.openbsd", self.address, self.at, **options)
        client.type(f"NICK {name}\r\nUSER {name} 0 * :{name}\r\n")
        client.expect(" 376 ")
        client.type("JOIN #room\r\n")
        client.expect(" 366 ")
        return client

    def converse(self):
        one, two = self.join("one"), self.join("two")
        one.type(b"".join(b"PRIVMSG #room :line %d\r\n" % number for number in range(5)) + b"QUIT :bye\r\n")
        one.expect("ERROR")
        one.end_input()
        two.expect(" QUIT ")
        said = [line for line in bytes(two.out.data).decode().splitlines() if " PRIVMSG " in line]
        return one.status(), said

    @both_modes
    def test_another_user(self):
        self.start()
        return self.converse()

    @both_modes
    def test_another_root_directory(self):
        root = self.directory / "root"
        root.mkdir(exist_ok=True)
        self.start(f"ChrootDir = {root}")
        return self.converse()

    @sealed_only
    def test_keys_that_change_out_of_reach(self):
        self.start()
        old = self.write_keys("old", (sealed.IDENTITY, self.key))
        self.write_keys("keys", (sealed.IDENTITY, secrets.token_hex(32)))
        self.join("one", SOCKSEAL_KEY_FILE=old)
        self.server.expect_log("warning", "may not read it any more", "restart")


if __name__ == "__main__":
    unittest.main()
