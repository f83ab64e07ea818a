# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
#
# packages: vsftpd
"""vsftpd, which gives itself 200 MB of address space, a filter of system calls and nobody's rights: files down and up by
Python's ftplib, several clients at once. The process with the rights and the one without pass data connections."""

import hashlib
import os
import shutil
import sys
import textwrap
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import sealed

from sealed import both_modes

VSFTPD = "/usr/sbin/vsftpd"
PROGRAMS = {"vsftpd": ["sh", "-c", "vsftpd -v 0>&1"]}
CLIENTS = 6
SIZE = (20 if sealed.FULL else 2) << 20

CONFIGURATION = """
background=NO
listen=YES
listen_address={address}
listen_port={port}
pasv_min_port={low}
pasv_max_port={high}
anonymous_enable=YES
local_enable=NO
write_enable=YES
anon_upload_enable=YES
anon_root={root}
anon_umask=022
no_anon_password=YES
secure_chroot_dir={empty}
"""

SCRIPT = textwrap.dedent("""
    import ftplib, hashlib, io, sys
    ftp = ftplib.FTP()
    ftp.connect(sys.argv[1], int(sys.argv[2]), timeout=30)
    ftp.login()
    names = sorted(ftp.nlst())
    got = hashlib.sha256()
    ftp.retrbinary("RETR large", got.update)
    ftp.storbinary("STOR incoming/" + sys.argv[3], io.BytesIO(sys.argv[3].encode() * 100000))
    print(names, got.hexdigest(), ftp.size("large"), ftp.quit())
""")


@unittest.skipUnless(os.geteuid() == 0, "vsftpd gives up root's rights")
class Vsftpd(sealed.TestCase):
    def setUp(self):
        if not os.path.exists(VSFTPD):
            sealed.missing("vsftpd")
        super().setUp()
        self.address = sealed.loopback()
        self.content = b"".join(sealed.stream(SIZE))

    def start(self):
        """On a control port, and data ports one after the other."""
        root, empty = self.directory / "root", self.directory / "empty"
        shutil.rmtree(root, ignore_errors=True)
        (root / "incoming").mkdir(parents=True)
        empty.mkdir(exist_ok=True)
        shutil.chown(root / "incoming", "ftp")
        self.directory.chmod(0o711)
        (root / "large").write_bytes(self.content)
        self.root, self.at = root, self.port()
        low = self.port()
        high = low + 3 * CLIENTS
        self.ports.extend(range(low + 1, high + 1))
        configuration = self.directory / "vsftpd.conf"
        configuration.write_text(CONFIGURATION.format(address=self.address, port=self.at, root=root, empty=empty,
                                                      low=low, high=high))
        self.server = self.run_program(VSFTPD, configuration)
        self.wait_listening(self.at, self.server)

    @both_modes
    def test_files_down_and_up(self):
        self.start()
        clients = [self.run_program(sealed.PYTHON, "-c", SCRIPT, self.address, self.at, f"file{number}")
                   for number in range(CLIENTS)]
        ends = [(client.status(60), bytes(client.out.data)) for client in clients]
        for number, (status, said) in enumerate(ends):
            if status != 0:
                self.fail_with_report(f"client {number} ended with {status}")
            self.assertIn(hashlib.sha256(self.content).hexdigest().encode(), said)
            stored = (self.root / "incoming" / f"file{number}").read_bytes()
            self.assertEqual(stored, f"file{number}".encode() * 100000)
        return ends


if __name__ == "__main__":
    unittest.main()
