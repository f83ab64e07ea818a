# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""tshark reads a capture with the key log file, and reads nothing without it."""

import sys
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import namespace
import sealed

from sealed import sealed_only

PORT = 7000
LABELS = {"CLIENT_HANDSHAKE_TRAFFIC_SECRET", "SERVER_HANDSHAKE_TRAFFIC_SECRET",
          "CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0"}


@sealed_only
class Tshark(sealed.TestCase):
    def setUp(self):
        sealed.need("tshark")
        super().setUp()

    def capture(self, keylog_of):
        """A short conversation with ChaCha20-Poly1305, recorded; the named side writes the key log."""
        network, keylog = namespace.Namespace(self), self.directory / "keylog"
        self.ports = [PORT]
        settings = {side: {"SOCKSEAL_SUITES": "chacha20", "SOCKSEAL_KEYLOG_FILE": keylog if side == keylog_of else None}
                    for side in ("server", "client")}
        server = self.run_program(*network.enter, sealed.PYTHON, sealed.PEER, "serve", "127.0.0.1", PORT, "recv",
                                  "send:an answer from the server", "close", **settings["server"])
        self.wait_listening(PORT, server)
        client = self.run_program(*network.enter, sealed.PYTHON, sealed.PEER, "connect", "127.0.0.1", PORT,
                                  "send:a question of the client", "recvall", **settings["client"])
        self.assertEqual((client.status(), server.status()), (0, 0))
        client.expect("an answer from the server")
        pcap = self.directory / "capture.pcap"
        pcap.write_bytes(network.finish_capture())
        self.writer = server if keylog_of == "server" else client
        return pcap, keylog

    def tshark(self, *arguments):
        program = self.run_stock("tshark", "-n", *arguments)
        self.assertEqual(program.status(60), 0, program.report())
        return bytes(program.out.data).decode()

    def follow(self, pcap, *options):
        return self.tshark("-r", pcap, "-d", f"tcp.port=={PORT},tls", *options, "-q", "-z", "follow,tls,ascii,0")

    def decodes(self, side):
        pcap, keylog = self.capture(side)
        self.assertEqual({line.split()[0] for line in keylog.read_text().splitlines() if line[0] != "#"}, LABELS)
        self.assertEqual(keylog.stat().st_mode & 0o777, 0o600)
        text = self.follow(pcap, "-o", f"tls.keylog_file:{keylog}")
        self.assertIn("a question of the client", text)
        self.assertIn("an answer from the server", text)
        self.assertNotIn("a question of the client", self.follow(pcap))
        return pcap, keylog

    def test_decodes_with_the_key_log_of_the_client(self):
        pcap, keylog = self.decodes("client")
        alerts = self.tshark("-r", pcap, "-d", f"tcp.port=={PORT},tls", "-o", f"tls.keylog_file:{keylog}",
                             "-Y", "tls.alert_message", "-T", "fields", "-e", "tls.alert_message.desc")
        self.assertEqual(set(alerts.split()), {"0"}, "nothing but close_notify is expected")

    def test_decodes_with_the_key_log_of_the_server(self):
        self.decodes("server")

    def test_capture_is_well_formed_tls_1_3(self):
        pcap, _ = self.capture("client")
        fields = self.tshark("-r", pcap, "-d", f"tcp.port=={PORT},tls", "-Y", "tls.handshake.type == 2", "-T", "fields",
                             "-e", "tls.handshake.ciphersuite", "-e", "tls.handshake.extensions.supported_version")
        self.assertEqual(fields.split(), ["0x1303", "0x0304"])
        malformed = self.tshark("-r", pcap, "-d", f"tcp.port=={PORT},tls", "-Y", "_ws.malformed")
        self.assertEqual(malformed, "")

    def test_key_log_is_warned_about(self):
        self.capture("client")
        self.writer.expect_log("warn", "SOCKSEAL_KEYLOG_FILE")


if __name__ == "__main__":
    unittest.main()
