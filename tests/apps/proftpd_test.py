# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
#
# packages: curl lftp openssl libcrypt1 libhiredis0.14 libmemcached11 libmemcachedutil2 libacl1 libpcre2-posix3 libcap2 libpam0g
# unpacked: proftpd-core
# suite: full
"""ProFTPD, whose daemon accepts as nobody and whose sessions go into a root directory of their own: files down and up,
and a directory, with data connections in either direction, by the old commands and the new ones.

The packages proftpd-core and vsftpd exclude each other, so it is not installed, but unpacked."""

import filecmp
import os
import shutil
import subprocess
import sys
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import sealed

from sealed import both_modes

PROFTPD = sealed.ROOT / "build/deps/unpacked/proftpd-core/usr/sbin/proftpd"
PROGRAMS = {"proftpd": ["build/deps/unpacked/proftpd-core/usr/sbin/proftpd", "--version"], "lftp": ["lftp", "--version"]}
SIZE = (40 if sealed.FULL else 2) << 20
PORTS = 24  # for data connections, one after the other
NOBODY = 65534

CONFIGURATION = """
ServerType standalone
ServerName test
DefaultAddress {address}
Port {port}
UseIPv6 off
UseReverseDNS off
User nobody
Group nogroup
PidFile {directory}/proftpd.pid
ScoreboardFile {directory}/scoreboard
TransferLog none
WtmpLog off
AuthOrder mod_auth_file.c
AuthUserFile {directory}/passwd
RequireValidShell off
PassivePorts {first} {last}
AllowOverwrite on
AllowForeignAddress on
DefaultRoot ~
"""


@unittest.skipUnless(os.geteuid() == 0, "it gives up root's rights")
class ProFTPD(sealed.TestCase):
    def setUp(self):
        if not PROFTPD.exists():
            sealed.missing("proftpd (make deps-apps)")
        super().setUp()
        self.address = sealed.loopback()
        self.directory.chmod(0o711)
        self.large = self.directory / "large"
        self.large.write_bytes(b"".join(sealed.stream(SIZE)))
        password = subprocess.run(["openssl", "passwd", "-6", "secret"], capture_output=True, text=True, check=True)
        users = self.directory / "passwd"
        users.write_text(f"tester:{password.stdout.strip()}:{NOBODY}:{NOBODY}::{self.directory}/home:/bin/sh\n")
        users.chmod(0o600)

    def start(self):
        self.home = self.directory / "home"
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir()
        shutil.copy(self.large, self.home)
        shutil.chown(self.home, NOBODY)
        self.at, self.first = self.port(), self.port()
        self.last = self.first + PORTS - 1
        self.ports.extend(range(self.first + 1, self.last + 1))
        configuration = self.directory / "proftpd.conf"
        configuration.write_text(CONFIGURATION.format(address=self.address, port=self.at, directory=self.directory,
                                                      first=self.first, last=self.last))
        self.server = self.run_program(PROFTPD, "-n", "-c", configuration)
        self.wait_listening(self.at, self.server)

    def curl(self, *arguments, path=""):
        client = self.run_program("curl", "-sS", "-u", "tester:secret", *arguments,
                                  f"ftp://{self.address}:{self.at}/{path}")
        return client.status(60), bytes(client.out.data)

    def down_up_and_list(self, *how, active=False):
        self.start()
        if active:
            how += ("--ftp-port", f"{self.address}:{self.first}-{self.last}")
        got = self.directory / "got"
        ends = [self.curl(*how, "-o", got, path="large"), self.curl(*how, "-T", self.large, path="stored"),
                self.curl(*how, "-l")]
        if any(status for status, _ in ends):
            self.fail_with_report(f"curl ended with {ends}")
        same = [filecmp.cmp(copy, self.large, shallow=False) for copy in (got, self.home / "stored")]
        got.unlink()
        return same, sorted(ends[2][1].split())

    @both_modes
    def test_passive(self):
        return self.down_up_and_list("--disable-epsv")

    @both_modes
    def test_extended_passive(self):
        return self.down_up_and_list()

    @both_modes
    def test_active(self):
        return self.down_up_and_list("--disable-eprt", active=True)

    @both_modes
    def test_extended_active(self):
        return self.down_up_and_list(active=True)

    @both_modes
    def test_lftp_mirrors_both_ways(self):
        self.start()
        for number in range(5):
            (self.home / f"file{number}").write_text(f"{number}" * 100000)
        commands = (f"set ftp:ssl-allow no; set net:max-retries 1; open -u tester,secret ftp://{self.address}:{self.at}; "
                    f"mirror -P 3 . {self.directory}/copy; mirror -R {self.directory}/copy again; bye")
        client = self.run_program("lftp", "-c", commands)
        status = client.status(60)
        if status:
            self.fail_with_report(f"lftp ended with {status}")
        same = filecmp.dircmp(self.directory / "copy", self.home / "again")
        seen = status, sorted(same.same_files), same.left_only, same.right_only
        shutil.rmtree(self.directory / "copy")
        return seen


if __name__ == "__main__":
    unittest.main()
