# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
#
# packages: mosquitto mosquitto-clients
"""Mosquitto and its clients: one message to many, a large message, the will of a client that is killed, clients that
connect again after a restart. Started as root, it becomes another user before it listens, who may not read the keys."""

import hashlib
import os
import re
import signal
import sys
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import sealed

from sealed import both_modes

PROGRAMS = {"mosquitto": ["/usr/sbin/mosquitto", "-h"], "mosquitto_pub": ["mosquitto_pub", "--version"]}

SUBSCRIBERS = 60 if sealed.FULL else 12
MESSAGES = 5000 if sealed.FULL else 500
SIZE = (40 if sealed.FULL else 4) << 20

CONFIGURATION = """
listener {port} {address}
allow_anonymous true
user mosquitto
max_queued_messages 0
log_type subscribe
"""


class Mosquitto(sealed.TestCase):
    def setUp(self):
        sealed.need("mosquitto_pub")
        if not os.path.exists("/usr/sbin/mosquitto"):
            sealed.missing("mosquitto")
        super().setUp()
        self.address = sealed.loopback()

    def start(self):
        configuration = self.directory / "mosquitto.conf"
        configuration.write_text(CONFIGURATION.format(port=self.at, address=self.address))
        self.broker = self.run_program("/usr/sbin/mosquitto", "-c", configuration)
        self.wait_listening(self.at, self.broker)

    def client(self, program, *arguments, **options):
        return self.run_program(program, "-h", self.address, "-p", self.at, *arguments, **options)

    def subscribe(self, topic, *arguments, **options):
        """Starts a client and waits until the broker has its subscription."""
        before = self.subscriptions(topic)
        client = self.client("mosquitto_sub", "-t", topic, *arguments, **options)
        if not self.broker.err.wait(lambda _: self.subscriptions(topic) > before, sealed.DEADLINE):
            self.fail_with_report(f"no subscription to {topic}")
        return client

    def subscriptions(self, topic):
        return len(re.findall(rb" %s$" % re.escape(topic.encode()), self.broker.err.data, re.MULTILINE))

    @both_modes
    def test_one_to_many(self):
        self.at = self.port()
        self.start()
        subscribers = [self.subscribe("news/#", "-q", str(number % 3), "-C", str(MESSAGES))
                       for number in range(SUBSCRIBERS)]
        publisher = self.client("mosquitto_pub", "-t", "news/today", "-q", "1", "-l")
        publisher.feed([b"".join(b"message %d\n" % number for number in range(MESSAGES))]).join(sealed.DEADLINE)
        publisher.end_input()
        ends = [publisher.status()] + [(one.status(60), one.out.digest()) for one in subscribers]
        self.assertEqual(len(set(ends[1:])), 1)
        return ends

    @both_modes
    def test_a_large_message(self):
        self.at = self.port()
        self.start()
        content = b"".join(sealed.stream(SIZE))
        (self.directory / "large").write_bytes(content)
        subscriber = self.subscribe("large", "-q", "1", "-C", "1", "-N", digest_only=True)
        publisher = self.client("mosquitto_pub", "-t", "large", "-q", "1", "-f", self.directory / "large")
        ends = publisher.status(60), subscriber.status(60)
        self.assertEqual(subscriber.out.digest(), hashlib.sha256(content).hexdigest())
        return ends

    @both_modes
    def test_the_will_of_a_client_that_is_killed(self):
        self.at = self.port()
        self.start()
        heir = self.subscribe("will", "-C", "1")
        victim = self.subscribe("nothing", "--will-topic", "will", "--will-payload", "all of it")
        os.kill(victim.pid, signal.SIGKILL)
        return heir.status(), bytes(heir.out.data)

    @both_modes
    def test_clients_connect_again_after_a_restart(self):
        self.at = self.port()
        self.start()
        subscriber = self.subscribe("again", "-C", "1")
        os.kill(self.broker.pid, signal.SIGTERM)
        ended = self.broker.status()
        self.start()
        if not self.broker.err.wait(lambda _: self.subscriptions("again"), sealed.DEADLINE):
            self.fail_with_report("the subscriber did not come again")
        publisher = self.client("mosquitto_pub", "-t", "again", "-m", "here I am", "-q", "1")
        return ended, publisher.status(), subscriber.status(), bytes(subscriber.out.data)


if __name__ == "__main__":
    unittest.main()
