#!/usr/bin/python3
# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
# packages: libc6-i386 ncat netcat-openbsd
"""Programs that nothing can be preloaded into: static ones, those of another architecture, Go's."""

import platform
import subprocess
import sys
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import sealed

from sealed import sealed_only

WORDS = "this goes out in the clear\n"

# Without a C library, so that it can be built for 32 bits with no other headers, with the system calls of those programs.
BARE = r"""
#ifdef __i386__
static long call(long number, long a, long b, long c)
{
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory");
    return result;
}
#define WRITE 4
#define EXIT 1
void _start(void)
{
    static const char words[] = "%s";
    call(WRITE, 1, (long)words, sizeof words - 1);
    call(EXIT, 0, 0, 0);
}
#else
#include <unistd.h>
#ifdef AS_GO
__asm__(".pushsection .note.go.buildid, \"a\", @note\n.long 4, 4, 4\n.asciz \"Go\\0\"\n.long 1\n.popsection");
#endif
int main(void)
{
    static const char words[] = "%s";
    return write(1, words, sizeof words - 1) < 0;
}
#endif
""".replace("%s", WORDS.replace("\n", "\\n"))


class Unsealable(sealed.TestCase):
    """A sealed ncat would run the program with the connection at 0 and 1: it must not, and says so; nothing hangs."""

    def build(self, name, *flags):
        path = self.directory / name
        subprocess.run(["gcc", "-o", path, *flags, "-x", "c", "-"], input=BARE, text=True, check=True, timeout=60)
        return path

    def refused(self, program, *reason):
        port = self.port()
        self.assertEqual(subprocess.run([program], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                                        check=True, timeout=20).stdout, WORDS)
        server = self.run_program("ncat", "-l", "127.0.0.1", str(port), "--exec", str(program))
        self.wait_listening(port, server)
        client = self.run_program("nc", "-N", "127.0.0.1", str(port))
        client.end_input()
        client.status()
        self.assertEqual(bytes(client.out.data), b"")
        server.expect_log("exec is refused", *reason)
        server.stop()
        self.command_refuses(program, *reason)

    def command_refuses(self, program, *reason):
        for words in (("run", "-p", "9", "--", program), ("check", program)):
            result = subprocess.run([sealed.BUILD / "sockseal", *words], capture_output=True, text=True, check=False,
                                    timeout=20, env=self.plain_env())
            said = result.stdout + result.stderr
            self.assertNotEqual(result.returncode, 0, said)
            self.assertNotIn(WORDS, result.stdout)
            for word in reason:
                self.assertIn(word, said)

    def runs_without_a_connection(self, program):
        """With no sealed descriptor to inherit, the program is nobody's affair."""
        self.port()
        shell = self.run_program("sh", "-c", f"{program}; echo status $?")
        shell.status()
        self.assertEqual(bytes(shell.out.data).decode(), WORDS + "status 0\n")

    @sealed_only
    @unittest.skipUnless(platform.machine() == "x86_64", "32-bit programs of the same machine")
    def test_complaint_14_a_32_bit_child_is_refused(self):
        program = self.build("bare32", "-m32", "-nostdlib", "-static", "-fno-pie", "-no-pie")
        self.refused(program, "another architecture")
        self.runs_without_a_connection(program)

    @sealed_only
    @unittest.skipUnless(platform.machine() == "x86_64", "32-bit programs of the same machine")
    def test_complaint_14_a_dynamic_32_bit_child_is_refused(self):
        program = self.build("dynamic32", "-m32", "-nostdlib", "-pie", "-fpie", "-Wl,--dynamic-linker=/lib/ld-linux.so.2")
        self.refused(program, "another architecture")
        self.runs_without_a_connection(program)

    @sealed_only
    def test_complaint_15_a_static_program_is_refused(self):
        program = self.build("static", "-static")
        self.refused(program, "statically")
        self.runs_without_a_connection(program)

    @sealed_only
    def test_complaint_15_a_static_program_for_any_address_is_refused(self):
        self.refused(self.build("static-pie", "-static-pie", "-fpie"), "statically")

    @sealed_only
    def test_complaint_15_a_dynamic_go_program_is_refused(self):
        """Go's linker leaves a note, which stands for it here; Go is not installed for this."""
        program = self.build("go", "-DAS_GO")
        self.refused(program, "Go program")
        self.runs_without_a_connection(program)

    @sealed_only
    def test_complaint_15_strictly_no_such_program_runs(self):
        program = self.build("static", "-static")
        self.port()
        shell = self.run_program("sh", "-c", f"{program}; echo status $?", SOCKSEAL_STRICT=1)
        shell.status()
        self.assertEqual(bytes(shell.out.data).decode(), "status 126\n")
        shell.expect_log("exec is refused", "SOCKSEAL_STRICT", "statically")


if __name__ == "__main__":
    unittest.main()
