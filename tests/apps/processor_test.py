# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""The suite is chosen by the processor: AEGIS where both ends have AES instructions, in the width that both have
registers for, else ChaCha20-Poly1305.

qemu-user runs one end, or both, on a processor of before 2010, with the library preloaded inside; nothing in the
library knows of the test. The data is larger than a record and goes both ways.
"""
# packages: qemu-user socat

import platform
import sys
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import sealed

# By machine: the emulator, a processor without AES instructions, and one with them (Nehalem's successor).
EMULATORS = {"x86_64": ("qemu-x86_64", "Nehalem", "Westmere")}
MACHINE = platform.machine()

AEGIS, CHACHA = "TLS_AEGIS_128L_SHA256", "TLS_CHACHA20_POLY1305_SHA256"
WIDE = {"aegis128x2": "SOCKSEAL_AEGIS_128X2_SHA256", "aegis128x4": "SOCKSEAL_AEGIS_128X4_SHA256"}
SIZE = 200_000


def has(*flags):
    return all(f" {flag} " in Path("/proc/cpuinfo").read_text() for flag in flags)


def own_suite():
    """What two ends on this machine agree on."""
    if not has("aes"):
        return CHACHA
    return WIDE["aegis128x4"] if has("vaes", "avx512vl") else WIDE["aegis128x2"] if has("vaes", "avx2") else AEGIS


@unittest.skipUnless(MACHINE in EMULATORS, f"no emulated processor without AES instructions is known for {MACHINE}")
class Processor(sealed.TestCase):
    def setUp(self):
        sealed.need(EMULATORS[MACHINE][0])
        super().setUp()
        self.address = sealed.loopback()

    def start(self, processor, *argv, **settings):
        """Starts a sealed program on the machine's own processor (None) or on an emulated one."""
        if processor is None:
            return self.run_program(*argv, digest_only=True, **settings)
        log = self.directory / f"log.{argv[0]}.{len(self.programs)}"
        plain, wanted = self.plain_env(), self.seal_env(log, **settings)
        variables = [word for name in sorted(wanted) if plain.get(name) != wanted[name]
                     for word in ("-E", f"{name}={wanted[name]}")]
        program = self.run_stock(EMULATORS[MACHINE][0], "-cpu", processor, *variables, f"/usr/bin/{argv[0]}", *argv[1:],
                                 digest_only=True)
        program.log_file = log
        return program

    def agree(self, server_processor, client_processor, suite, server_settings=(), client_settings=()):
        port = self.port()
        server = self.start(server_processor, "socat", f"TCP-LISTEN:{port},bind={self.address}", "STDIO",
                            **dict(server_settings))
        self.wait_listening(port, server)
        client = self.start(client_processor, "socat", "STDIO", f"TCP:{self.address}:{port}", **dict(client_settings))
        inputs = {program: sealed.HashedStream(SIZE, seed) for seed, program in enumerate((server, client))}
        for program, chunks in inputs.items():
            program.feed(chunks)
        for sender, receiver in ((server, client), (client, server)):
            self.assertEqual(receiver.expect_length(SIZE), inputs[sender].digest())
        server.expect_log("sealed with", suite)
        client.expect_log("sealed with", suite)
        client.end_input()
        server.end_input()
        self.assertEqual((server.status(), client.status()), (0, 0))

    def test_a_server_without_aes_instructions(self):
        self.agree(EMULATORS[MACHINE][1], None, CHACHA)

    def test_a_client_without_aes_instructions(self):
        self.agree(None, EMULATORS[MACHINE][1], CHACHA)

    def test_both_without_aes_instructions(self):
        self.agree(EMULATORS[MACHINE][1], EMULATORS[MACHINE][1], CHACHA)

    def test_an_emulated_processor_with_aes_instructions_gets_aegis(self):
        """Else the tests above would say nothing: it is the processor that made the difference."""
        self.agree(EMULATORS[MACHINE][2], EMULATORS[MACHINE][2], AEGIS)

    @unittest.skipUnless(has("aes"), "this machine has no AES instructions itself")
    def test_this_machine_with_an_emulated_one_with_aes_instructions(self):
        self.agree(EMULATORS[MACHINE][2], None, AEGIS)

    def test_two_ends_on_this_machine_agree_on_its_best(self):
        self.agree(None, None, own_suite())

    def check_wide(self, word):
        self.agree(EMULATORS[MACHINE][2], None, WIDE[word], {"SOCKSEAL_SUITES": word}, {"SOCKSEAL_SUITES": word})

    @unittest.skipUnless(has("aes"), "this machine has no AES instructions itself")
    def test_two_lanes_that_are_asked_for_work_without_wide_registers(self):
        self.check_wide("aegis128x2")

    @unittest.skipUnless(has("aes"), "this machine has no AES instructions itself")
    def test_four_lanes_that_are_asked_for_work_without_wide_registers(self):
        self.check_wide("aegis128x4")

    def test_aegis_alone_on_a_processor_without_it_fails_and_sends_nothing(self):
        """SOCKSEAL_SUITES cannot bring the slow AEGIS back; what is left is no suite, and no plaintext either."""
        port = self.port()
        server = self.start(None, "socat", f"TCP-LISTEN:{port},bind={self.address}", "STDIO")
        self.wait_listening(port, server)
        client = self.start(EMULATORS[MACHINE][1], "socat", "STDIO", f"TCP:{self.address}:{port}",
                            SOCKSEAL_SUITES="aegis128l")
        client.feed([b"never in the clear\n"])
        self.assertNotEqual(client.status(), 0)
        client.expect_log("error", "SOCKSEAL_SUITES", "processor")
        self.assertEqual(server.out.length, 0)


if __name__ == "__main__":
    unittest.main()
