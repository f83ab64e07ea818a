# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""bash's /dev/tcp: the shell's builtins and the programs that it starts take turns on one connection."""
# packages: bash socat openssl

import sys
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import sealed
import wire

from sealed import both_modes

PROGRAMS = {"bash": ["bash", "--version"]}



class Bash(sealed.TestCase):
    def setUp(self):
        super().setUp()
        self.address = sealed.loopback()

    def serve(self, *argv):
        """A listener that talks through the program; gives the port to connect to, and the recorder before it."""
        port, front = self.port(), self.port()
        server = self.run_program("socat", f"TCP-LISTEN:{port},bind={self.address},reuseaddr", *argv)
        self.wait_listening(port, server)
        return front, wire.Wire(self, self.address, front, (self.address, port)), server

    def bash(self, script, port, **how):
        shell = self.run_program("bash", "-c", script, "bash", self.address, port, **how)
        return shell.status(), bytes(shell.out.data), bytes(shell.err.data)

    @both_modes
    def test_builtins_and_children_take_turns(self):
        port, recorder, server = self.serve("EXEC:/usr/bin/cat")
        result = self.bash("""
            exec 3<>/dev/tcp/$1/$2
            for i in {1..20}; do
                echo "from the builtin $i" >&3; read -r line <&3; echo "$line"
                /bin/echo "from the child $i" >&3; read -r line <&3; echo "$line"
                printf 'one line\\nanother line\\n' >&3
                IFS= read -r -n 100 line <&3; echo "$line"
                bash -c 'read -r line <&3; echo "child: $line"'
            done
            echo "the last ones" >&3
            head -n1 <&3
            exec 3>&- 3<&-
            """, port)
        wire.assert_sealed(self, recorder, "from the builtin 1", "from the child 2", "the last ones")
        return result, server.status()

    @both_modes
    def test_a_pipeline_reads_and_writes(self):
        port, _, server = self.serve("EXEC:/usr/bin/sha256sum")
        result = self.bash("""
            exec 3<>/dev/tcp/$1/$2
            head -c 300000 /dev/zero | tr '\\0' x | cat >&3
            echo done
            """, port)
        return result, server.status()

    @both_modes
    def test_an_answer_as_a_whole(self):
        port, _, server = self.serve("SYSTEM:read a; seq $a")
        result = self.bash("""
            exec 3<>/dev/tcp/$1/$2
            echo 20000 >&3
            text=$(cat <&3)
            echo ${#text}
            mapfile -t lines <<<"$text"; echo ${lines[19999]}
            """, port)
        return result, server.status()

    @both_modes
    def test_redirections_of_all_kinds(self):
        port, _, _ = self.serve("EXEC:/usr/bin/cat")
        return self.bash("""
            exec {net}<>/dev/tcp/$1/$2
            { echo group; /bin/echo child; } >&$net
            ( echo subshell; exec /bin/echo replaced ) >&$net
            echo here >&$net
            cat >&$net <<<"string"
            f() { echo function; nosuchcommand; }
            f >&$net 2>/dev/null
            ls /nonexistent/file 2>&$net
            exec 9>&1 1>&$net
            echo "all output"
            /bin/echo "all output of children"
            exec 1>&9
            while read -r -t 5 -u $net line; do echo "$line"; [[ $line == *children ]] && break; done
            exec 0<&$net
            echo "to standard input" >&$net
            read -r line; echo "$line"
            echo "for a child" >&$net
            head -n1
            """, port)

    @both_modes
    def test_a_coprocess_and_background_jobs(self):
        port, _, _ = self.serve("EXEC:/usr/bin/cat")
        return self.bash("""
            exec 3<>/dev/tcp/$1/$2
            (for i in {1..200}; do echo "job $i"; done >&3) &
            for i in {1..200}; do echo "shell $i"; done >&3
            wait
            for i in {1..400}; do read -r line <&3; echo "$line"; done | sort | sha256sum
            coproc cat <&3
            echo "by the coprocess" >&3
            read -r -u ${COPROC[0]} line; echo "$line"
            kill $COPROC_PID; wait $COPROC_PID 2>/dev/null; echo end
            """, port)

    @both_modes
    def test_two_connections(self):
        one, _, _ = self.serve("EXEC:/usr/bin/cat")
        two, _, _ = self.serve("EXEC:/usr/bin/cat")
        return self.bash(f"""
            exec 3<>/dev/tcp/$1/{one} 4<>/dev/tcp/$1/{two}
            echo first >&3; echo second >&4
            paste <(head -n1 <&3) <(head -n1 <&4)
            exec 3>&-
            echo third >&4; head -n1 <&4
            """, one)

    @both_modes
    def test_a_refused_connection(self):
        port = self.port()
        status, out, err = self.bash("exec 3<>/dev/tcp/$1/$2; echo still here", port)
        return status, out, err.count(b"refused")

    @sealed.sealed_only
    def test_new_keys_between_one_program_and_the_next(self):
        """OpenSSL renews its keys and asks for those of the other side: whoever reads, or writes, next does so."""
        sealed.need("openssl")
        port = self.port()
        server = self.run_stock("openssl", "s_server", "-accept", f"{self.address}:{port}", "-tls1_3", "-nocert",
                                "-psk", self.key, "-psk_identity", sealed.IDENTITY, "-msg")
        self.wait_listening(port, server)
        shell = self.run_program("bash", "-c", """
            exec 3<>/dev/tcp/$1/$2
            for i in {1..6}; do
                if ((i % 2)); then head -n1 <&3; else read -r line <&3; echo "$line"; fi
                if ((i % 3)); then /bin/echo "answer $i" >&3; else echo "answer $i" >&3; fi
            done
            """, "bash", self.address, port)
        server.expect("CIPHER is")
        for number in range(1, 7):
            server.type("K")  # has to come in a read of its own
            server.out.wait(lambda output, number=number: output.data.count(b"SSL_do_handshake ->") >= number, 5)
            server.type(f"line {number}")
            server.expect(f"answer {number}\n")
        self.assertEqual((shell.status(), bytes(shell.out.data)),
                         (0, b"".join(b"line %d\n" % number for number in range(1, 7))))
        self.assertGreaterEqual(bytes(server.out.data).count(b"<<< TLS 1.3, Handshake [length 0005], KeyUpdate"), 5)


if __name__ == "__main__":
    unittest.main()
