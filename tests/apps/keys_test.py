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

    def test_no_other_identity_is_offered(self):
        """Otherwise whoever has one of the client's other keys could answer in the place of the server that was meant."""
        for chosen, meant in (("host-1", False), ("host-2,host-1", False), ("host-2,host-0", True)):
            with self.subTest(chosen=chosen):
                server_keys = self.write_keys("one", self.pairs[0])
                self.assertEqual(self.talk(server_keys, self.all_keys, SOCKSEAL_IDENTITY=chosen), meant)

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


@sealed_only
class Removed(Case):
    """SOCKSEAL_REMOVED_KEYS=close."""

    def setUp(self):
        super().setUp()
        self.both = [("kept", secrets.token_hex(32)), ("removed", secrets.token_hex(32))]
        self.server_keys = self.write_keys("server", *self.both)
        self.port_number = self.port()

    def pair(self, identity, server_steps, **how):
        """A connection under this identity, of which the server waits in a call."""
        address, port = sealed.loopback(), self.port_number
        server = self.run_peer("serve", address, port, *server_steps, SOCKSEAL_KEY_FILE=self.server_keys,
                               SOCKSEAL_REMOVED_KEYS="close", **how)
        self.wait_listening(port, server)
        client_keys = self.write_keys("client", *(pair for pair in self.both if pair[0] == identity))
        client = self.run_peer("connect", address, port, "send:hello", "recv", "wait", "send:more", "recv",
                               SOCKSEAL_KEY_FILE=client_keys)
        client.expect("recv b'welcome'")
        return server, client

    def test_connections_end_with_their_key(self):
        steps = ("recv", "send:welcome", "recv", "send:bye", "close")
        server, client = self.pair("removed", steps)
        kept_server, kept_client = self.pair("kept", steps)
        self.write_keys("server", self.both[0])
        server.expect("recv EKEYREVOKED")
        server.expect_log("error", "'removed'", "taken out of the key file")
        client.type("")
        client.expect("recv ECONNRESET")
        kept_client.type("")
        kept_client.expect("recv b'bye'")
        kept_server.expect("recv b'more'")

    def test_a_key_that_is_replaced_is_gone_too(self):
        server, _ = self.pair("removed", ("recv", "send:welcome", "recv"))
        self.write_keys("server", self.both[0], ("removed", secrets.token_hex(32)))
        server.expect("recv EKEYREVOKED")

    def test_a_broken_file_ends_nothing(self):
        server, client = self.pair("removed", ("recv", "send:welcome", "recv", "send:bye", "close"))
        (self.directory / "server").write_text("rubbish")
        server.expect_log("error", "stay in use")
        client.type("")
        client.expect("recv b'bye'")

    def test_in_a_child_that_was_forked(self):
        script = """
import os, socket, sys
sock = socket.create_server((sys.argv[1], int(sys.argv[2]))).accept()[0]
sock.recv(10)
if os.fork() == 0:
    sock.sendall(b"welcome")
    try:
        sock.recv(10)
    except OSError as error:
        os.write(1, os.strerror(error.errno).encode())
    os._exit(0)
sock.close()
os.wait()
"""
        address, port = sealed.loopback(), self.port_number
        server = self.run_program(sealed.PYTHON, "-c", script, address, port, SOCKSEAL_KEY_FILE=self.server_keys,
                                  SOCKSEAL_REMOVED_KEYS="close")
        self.wait_listening(port, server)
        client = self.run_peer("connect", address, port, "send:hello", "recv", "recv",
                               SOCKSEAL_KEY_FILE=self.write_keys("client", self.both[1]))
        client.expect("recv b'welcome'")
        self.write_keys("server", self.both[0])
        server.expect("Key has been revoked")

    def test_without_it_there_is_no_thread_of_the_librarys(self):
        script = ("import os, socket, sys; sock = socket.create_connection((sys.argv[1], int(sys.argv[2])));"
                  " sock.sendall(b'x'); sock.recv(1); print(len(os.listdir('/proc/self/task')), flush=True)")
        for how, expected in (({}, "1"), ({"SOCKSEAL_REMOVED_KEYS": "close"}, "2")):
            port, _ = self.serve("recv", "send:x", "recv")
            client = self.run_program(sealed.PYTHON, "-c", script, self.address, port, **how)
            client.expect(expected + "\n")


@sealed_only
class Flood(Case):
    def test_a_thousand_refused_connections_do_not_fill_the_log(self):
        """Whoever can reach the port decides how often it is tried."""
        count = 100 if not sealed.FULL else 1000
        server_keys, client_keys = (self.write_keys(name, ("a", secrets.token_hex(32))) for name in ("server", "client"))
        steps = [step for _ in range(count) for step in ("recv", "accept")][:-1]
        port, server = self.serve(*steps, SOCKSEAL_KEY_FILE=server_keys)
        script = ("import socket, sys\n"
                  "for _ in range(int(sys.argv[3])):\n"
                  "    with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as sock:\n"
                  "        try: sock.recv(1)\n"
                  "        except OSError: pass\n")
        client = self.run_program(sealed.PYTHON, "-c", script, self.address, port, count, SOCKSEAL_KEY_FILE=client_keys)
        self.assertEqual(client.status(60), 0, client.report())
        server.status(60)
        for program in (client, server):
            lines = [line for line in program.log().splitlines() if "error:" in line or "warning:" in line]
            self.assertLessEqual(len(lines), 25, program.report())
            told = sum(int(line.split(" more line(s)")[0].split()[-1]) for line in lines if "more line(s)" in line)
            self.assertEqual(told + sum(" more line(s)" not in line for line in lines), count, program.report())


SELF_TALK = """
import errno, os, socket, sys, threading
def say(who, what):
    os.write(1, f"{who} {what}\\n".encode())
listener = socket.create_server((sys.argv[1], int(sys.argv[2])))
def serve():
    try:
        sock, _ = listener.accept()
        say("server", sock.recv(10))
    except OSError as error:
        say("server", errno.errorcode[error.errno])
server = threading.Thread(target=serve)
server.start()
try:
    sock = socket.create_connection(listener.getsockname())
    sock.sendall(b"secret")
    say("client", sock.recv(10))
except OSError as error:
    say("client", errno.errorcode[error.errno])
server.join()
"""


@sealed_only
class Directions(Case):
    """Rules behind a key: for which side of a connection, and for which peers, it counts."""

    def setUp(self):
        super().setUp()
        self.a_b, self.a_c = secrets.token_hex(32), secrets.token_hex(32)

    def test_a_key_of_another_host_does_not_open_this_one(self):
        """A holds keys with B and with C; at the address of B it talks to nobody who has C's key only."""
        there, elsewhere = self.address, "127.250.0.1"
        c_keys = self.write_keys("c", ("a-c", self.a_c))
        a_keys = self.write_keys("a", ("a-b", f"{self.a_b} connect:{there}"), ("a-c", f"{self.a_c} connect:{elsewhere}"))
        self.assertFalse(self.talk(c_keys, a_keys))
        a_keys = self.write_keys("a", ("a-b", f"{self.a_b} connect:{elsewhere}"), ("a-c", f"{self.a_c} connect:{there}"))
        self.assertTrue(self.talk(c_keys, a_keys))

    def test_a_server_takes_a_key_from_its_peer_only(self):
        client_keys = self.write_keys("client", ("a-c", self.a_c))
        for rules, expected in (("listen:127.0.0.1", True), ("listen:10.0.0.0/8", False), ("connect", False),
                                ("listen:127.0.0.1,!listen:127.0.0.1", False)):
            with self.subTest(rules=rules):
                server_keys = self.write_keys("server", ("a-c", f"{self.a_c} {rules}"))
                self.assertEqual(self.talk(server_keys, client_keys), expected)

    def test_no_key_for_a_peer_is_ENOKEY(self):
        port, _ = self.serve("recv")
        client = self.connect(port, SOCKSEAL_KEY_FILE=self.write_keys("a", ("a-b", f"{self.a_b} connect:127.9.9.9")))
        client.expect("connect ENOKEY")
        client.expect_log("error", "no key of the key file counts")

    def talk_to_itself(self, keys):
        port = self.port()
        program = self.run_program(sealed.PYTHON, "-c", SELF_TALK, self.address, port, SOCKSEAL_KEY_FILE=keys)
        self.assertEqual(program.status(), 0, program.report())
        return bytes(program.out.data)

    def test_a_program_with_both_roles_does_not_talk_to_itself(self):
        """What an attacker makes it do by turning its connection round ("Selfie", eprint 2019/347)."""
        keys = self.write_keys("both", ("a-to-b", f"{self.a_b} connect"), ("b-to-a", f"{self.a_c} listen"))
        said = self.talk_to_itself(keys)
        self.assertIn(b"client EKEYREJECTED", said)
        self.assertIn(b"server EKEYREJECTED", said)
        self.assertIn(b"server b'secret'", self.talk_to_itself(self.write_keys("one", ("shared", self.a_b))))


if __name__ == "__main__":
    unittest.main()
