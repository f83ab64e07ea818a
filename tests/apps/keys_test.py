# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""The key file: several identities, replacement while programs run, and files that cannot be used."""

import os
import secrets
import sys
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import sealed

from sealed import sealed_only


class Case(sealed.TestCase):
    def setUp(self):
        super().setUp()
        self.address = sealed.loopback()

    def serve(self, *steps, **how):
        port = self.port()
        server = self.run_peer("serve", self.address, port, *steps, **how)
        return port, self.wait_listening(port, server)

    def connect(self, port, *steps, **how):
        return self.run_peer("connect", self.address, port, *steps, **how)

    def talk(self, server_keys, client_keys, **client_settings):
        """Whether a server and a client with these key files understand each other; gives the server as well."""
        port, server = self.serve("recv", "send:welcome", "close", SOCKSEAL_KEY_FILE=server_keys)
        client = self.connect(port, "send:hello", "recv", SOCKSEAL_KEY_FILE=client_keys, **client_settings)
        client.status()
        server.expect("close")
        welcome = b"recv b'welcome'" in client.out.data
        if welcome != (b"recv b'hello'" in server.out.data):
            self.fail_with_report("one side alone was content")
        if not welcome:
            client.expect("recv EKEYREJECTED")
            server.expect("recv EKEYREJECTED")
        return welcome


@sealed_only
class Identities(Case):
    def setUp(self):
        super().setUp()
        self.pairs = [(f"host-{number}", secrets.token_hex(32)) for number in range(10)]
        self.all_keys = self.write_keys("all", *self.pairs)

    def test_server_accepts_each_of_its_identities(self):
        for pair in (self.pairs[0], self.pairs[4], self.pairs[9]):
            with self.subTest(identity=pair[0]):
                self.assertTrue(self.talk(self.all_keys, self.write_keys("one", pair)))

    def test_client_offers_up_to_eight(self):
        for number, expected in ((0, True), (7, True), (8, False)):
            with self.subTest(position=number):
                server_keys = self.write_keys("one", self.pairs[number])
                self.assertEqual(self.talk(server_keys, self.all_keys), expected)

    def test_chosen_identity_is_offered_first(self):
        server_keys = self.write_keys("one", self.pairs[9])
        self.assertTrue(self.talk(server_keys, self.all_keys, SOCKSEAL_IDENTITY="host-9"))

    def test_same_identity_with_another_key_is_refused(self):
        server_keys = self.write_keys("one", ("host-0", secrets.token_hex(32)))
        self.assertFalse(self.talk(server_keys, self.all_keys))

    def test_identity_that_the_file_does_not_have(self):
        port, _ = self.serve("recv")
        client = self.connect(port, SOCKSEAL_IDENTITY="nobody", SOCKSEAL_KEY_FILE=self.all_keys)
        client.expect("connect ENOKEY")
        client.expect_log("nobody")

    def test_keys_of_16_and_64_bytes(self):
        for length in (16, 64):
            with self.subTest(length=length):
                keys = self.write_keys("sized", ("sized", secrets.token_hex(length)))
                self.assertTrue(self.talk(keys, keys))


@sealed_only
class Replacement(Case):
    """A changed file is taken up by the next handshake; one that is broken is reported and the old keys stay."""

    def setUp(self):
        super().setUp()
        self.port_number, self.server = self.serve(*["recv", "accept"] * 6)

    def next_client_is_served(self, word):
        client = self.connect(self.port_number, f"send:{word}", "wait")
        self.server.expect(f"recv b'{word}'")
        client.stop()

    def test_new_key_is_taken_up(self):
        self.next_client_is_served("before")
        old = self.directory / "old"
        old.write_bytes(self.key_file.read_bytes())
        old.chmod(0o600)
        self.write_keys("keys", (sealed.IDENTITY, secrets.token_hex(32)))
        self.next_client_is_served("after")
        stale = self.connect(self.port_number, "recv", SOCKSEAL_KEY_FILE=old)
        stale.expect("recv EKEYREJECTED")

    def test_rewritten_in_place(self):
        self.next_client_is_served("before")
        self.key_file.write_text(f"# new\n{sealed.IDENTITY}:{secrets.token_hex(32)}\n")
        self.next_client_is_served("after")

    def test_connection_that_stands_keeps_its_keys(self):
        port = self.port()
        server = self.run_program("nc.openbsd", "-n", "-l", self.address, port)
        self.wait_listening(port, server)
        client = self.run_program("nc.openbsd", "-n", self.address, port)
        client.type("before")
        server.expect("before\n")
        self.write_keys("keys", (sealed.IDENTITY, secrets.token_hex(32)))
        client.type("after")
        server.expect("after\n")

    def test_broken_file_is_reported_once_and_the_old_keys_stay(self):
        good = self.write_keys("good", (sealed.IDENTITY, self.key))
        self.next_client_is_served("before")
        self.key_file.write_text("this is no key file\n")
        for number in range(2):
            client = self.connect(self.port_number, f"send:still {number}", "wait", SOCKSEAL_KEY_FILE=good)
            self.server.expect(f"recv b'still {number}'")
            client.stop()
        self.server.expect_log(str(self.key_file), "line 1")
        reports = [line for line in self.server.log().splitlines() if str(self.key_file) in line and "info" not in line]
        self.assertEqual(len(reports), 1, reports)

    def test_missing_file_is_reported_and_the_old_keys_stay(self):
        good = self.write_keys("good", (sealed.IDENTITY, self.key))
        self.next_client_is_served("before")
        self.key_file.unlink()
        client = self.connect(self.port_number, "send:still", "wait", SOCKSEAL_KEY_FILE=good)
        self.server.expect("recv b'still'")
        self.server.expect_log(str(self.key_file))
        client.stop()

    def test_repaired_file_is_taken_up(self):
        self.next_client_is_served("before")
        self.key_file.write_text("rubbish\n")
        good = self.write_keys("good", (sealed.IDENTITY, self.key))
        client = self.connect(self.port_number, "send:meanwhile", "wait", SOCKSEAL_KEY_FILE=good)
        self.server.expect("recv b'meanwhile'")
        client.stop()
        self.write_keys("keys", (sealed.IDENTITY, secrets.token_hex(32)))
        self.next_client_is_served("repaired")


@sealed_only
class Unusable(Case):
    """connect and accept on a sealed port fail with ENOKEY, and one line names the file and the reason."""

    def refused(self, *words, key_file=None, secret=None):
        path = key_file or self.key_file
        port = self.port()
        server = self.run_peer("serve", self.address, port, "wait", SOCKSEAL_KEY_FILE=path)
        self.wait_listening(port, server)
        client = self.connect(port, SOCKSEAL_KEY_FILE=path)
        client.expect("connect ENOKEY")
        other = self.connect(port)
        server.expect("accept ENOKEY")
        for program in (client, server):
            program.expect_log(str(path), *words)
            if secret:
                self.assertNotIn(secret, program.log())
        other.stop()

    def with_content(self, content, *words, mode=0o600, secret=None):
        self.key_file = self.directory / "unusable"
        self.key_file.write_text(content)
        self.key_file.chmod(mode)
        good = self.write_keys("good", (sealed.IDENTITY, self.key))
        unusable, self.key_file = self.key_file, good
        self.refused(*words, key_file=unusable, secret=secret)

    def test_missing(self):
        self.refused("no such file", key_file=self.directory / "missing")

    def test_empty(self):
        self.with_content("", "no key")

    def test_comments_alone(self):
        self.with_content("# nothing here\n\n# nor here\n", "no key")

    def test_readable_by_others(self):
        self.with_content(f"a:{self.key}\n", "others", mode=0o644, secret=self.key)

    def test_writable_by_others(self):
        self.with_content(f"a:{self.key}\n", "others", mode=0o602, secret=self.key)

    def test_short_key(self):
        self.with_content("a:00112233445566\n", "16 bytes", secret="00112233445566")

    def test_rubbish_line_is_named_by_its_number(self):
        self.with_content(f"# comment\na:{self.key}\nMyS3cretWithoutAColon\n", "line 3", secret="MyS3cret")

    def test_rubbish_key_is_named_by_its_line_number(self):
        self.with_content(f"a:{self.key}\nb:{'0' * 30}deadbeefXY\n", "line 2", secret="deadbeef")

    def test_directory(self):
        self.refused(key_file=self.directory)

    @unittest.skipIf(os.geteuid() == 0, "root reads everything")
    def test_unreadable(self):
        self.with_content(f"a:{self.key}\n", "may not read", mode=0o000)


if __name__ == "__main__":
    unittest.main()
