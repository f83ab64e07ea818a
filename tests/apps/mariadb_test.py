# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
#
# packages: mariadb-server-core mariadb-client libdbd-mariadb-perl
# suite: full
# full-limit: 600
"""MariaDB, whose server speaks first: 300 connections, transactions, large results and values, files from the client,
prepared statements, time-outs, KILL, dumps, replication, restarts, its pool of threads, and wrong keys."""

import getpass
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import sealed

from sealed import both_modes, sealed_only

PROGRAMS = {"mariadbd": ["mariadbd", "--version"], "mariadb": ["mariadb", "--version"],
            "mariadb-slap": ["mariadb-slap", "--version"], "mariadb-dump": ["mariadb-dump", "--version"]}
CLIENT = Path(__file__).with_name("programs") / "mariadb.pl"
MIB = 1 << 20
SETUP = """SET sql_log_bin = 0;
CREATE DATABASE IF NOT EXISTS work;
CREATE USER IF NOT EXISTS 'tester'@'%' IDENTIFIED BY 'secret';
GRANT ALL ON *.* TO 'tester'@'%' WITH GRANT OPTION;
"""
_template = None


def template():
    """A data directory with the system's tables, made once; each server gets a copy."""
    global _template
    if _template is None:
        scratch = tempfile.TemporaryDirectory(prefix="sockseal-test-")
        unittest.addModuleCleanup(scratch.cleanup)
        data = Path(scratch.name) / "data"
        subprocess.run(["mariadb-install-db", "--no-defaults", f"--user={getpass.getuser()}", f"--datadir={data}",
                        "--auth-root-authentication-method=normal", "--skip-test-db", f"--tmpdir={scratch.name}",
                        "--innodb-log-file-size=8M"],
                       stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, check=True, timeout=60)
        _template = data
    return _template


class Case(sealed.TestCase):
    def setUp(self):
        for program in ("mariadbd", "mariadb-install-db", "mariadb-slap", "mariadb-dump"):
            sealed.need(program)
        super().setUp()
        self.address = sealed.loopback()

    def serve(self, *options, port=None, **settings):
        """Starts a server, on the data that an earlier one on the port left, and waits until it answers."""
        port = port or self.port()
        home = self.directory / f"mariadb.{port}"
        if not home.exists():
            home.mkdir()
            shutil.copytree(template(), home / "data")
            (home / "setup.sql").write_text(SETUP)
        server = self.run_program(
            "mariadbd", "--no-defaults", f"--user={getpass.getuser()}", f"--datadir={home}/data",
            f"--tmpdir={home}", f"--socket={home}/socket", f"--pid-file={home}/pid", f"--bind-address={self.address}",
            f"--port={port}", f"--init-file={home}/setup.sql", "--skip-name-resolve", "--local-infile=1",
            "--innodb-log-file-size=8M", "--innodb-flush-log-at-trx-commit=0", "--max-allowed-packet=64M",
            "--max-connections=500", "--back-log=511", *options, **settings)
        self.wait_listening(port, server)
        return server, port

    def words(self, program, port):
        return (program, "--no-defaults", "--protocol=tcp", f"--host={self.address}", f"--port={port}",
                "--user=tester", "--password=secret")

    def start_client(self, port, *words, **how):
        return self.run_program(*self.words("mariadb", port), "--batch", "--skip-column-names", *words, **how)

    def session(self, port, *words, **how):
        """A client that takes statements line by line, and goes on after an error."""
        return self.start_client(port, "--unbuffered", "--force", "--reconnect", *words, "work", **how)

    def told(self, client, timeout=sealed.DEADLINE):
        """How a client ended and what it said."""
        status = client.status(timeout)
        return status, bytes(client.out.data).decode(), bytes(client.err.data).decode()

    def ask(self, port, statements, *words, timeout=60):
        """What the statements give, of which none may fail."""
        client = self.start_client(port, *words, "--execute", statements, "work")
        status, out, err = self.told(client, timeout)
        if status != 0:
            self.fail_with_report(f"{statements[:200]}: {err}")
        return out.strip()

    def until(self, port, statements, answer, timeout=sealed.DEADLINE):
        end = time.monotonic() + timeout
        while (seen := self.ask(port, statements)) != answer:
            if time.monotonic() > end:
                self.fail_with_report(f"{statements} gave {seen!r} rather than {answer!r}")
            time.sleep(0.05)

    def stop(self, server):
        server.process.terminate()
        return server.status(60)

    def start_slap(self, port, statements, count, *words, concurrency=100):
        """Runs the statements `count` times in all."""
        amount = count * len(statements.split(";"))
        return self.run_program(*self.words("mariadb-slap", port), "--delimiter=;", f"--query={statements}",
                                "--create-schema=work", "--no-drop", f"--concurrency={concurrency}",
                                f"--number-of-queries={amount}", *words)

    def slap(self, *arguments, **how):
        status, _, err = self.told(self.start_slap(*arguments, **how), 90)
        self.assertEqual((status, err), (0, ""))

    def fill(self, port, rows=50_000):
        self.ask(port, "CREATE TABLE many (id INT PRIMARY KEY, name VARCHAR(200), KEY (name)); INSERT INTO many SELECT "
                       f"seq, CONCAT(SHA2(seq, 256), REPEAT('z', seq MOD 100)) FROM seq_1_to_{rows}")

    def perl(self, port, *words):
        return self.run_program("perl", CLIENT, self.address, port, *words)


class Load(Case):
    def scenario(self, *options, concurrency=100, words=()):
        _, port = self.serve(*options)
        self.ask(port, "CREATE TABLE log (id INT AUTO_INCREMENT PRIMARY KEY, text VARCHAR(3000)); "
                       "CREATE TABLE counter (n INT); INSERT INTO counter VALUES (0)")
        statements = ("INSERT INTO work.log (text) VALUES (REPEAT('text', 500)); UPDATE work.counter SET n = n + 1; "
                      "SELECT text FROM work.log LIMIT 20")
        self.slap(port, statements, 3000, *words, concurrency=concurrency)
        seen = self.ask(port, "SELECT COUNT(*), n FROM log, counter; SHOW STATUS LIKE 'Aborted%'")
        self.assertEqual(seen.splitlines()[0], "3000\t3000")
        return seen

    @both_modes
    def test_100_connections(self):
        return self.scenario()

    @both_modes
    def test_300_connections(self):
        return self.scenario(concurrency=300)

    @both_modes
    def test_pool_of_threads(self):
        """Connections wait in epoll sets, and any thread reads from any of them."""
        return self.scenario("--thread-handling=pool-of-threads", "--thread-pool-size=2", concurrency=300)

    @both_modes
    def test_compressed_protocol(self):
        return self.scenario(words=("--compress",))

    @both_modes
    def test_generated_load_of_short_connections(self):
        _, port = self.serve()
        client = self.run_program(*self.words("mariadb-slap", port), "--auto-generate-sql", "--concurrency=50",
                                  "--auto-generate-sql-load-type=mixed", "--number-of-queries=3000", "--detach=5",
                                  "--iterations=2")
        status, _, err = self.told(client, 90)
        return status, err

    @both_modes
    def test_300_connections_of_one_process(self):
        """All open and idle in turn, until the server shuts down."""
        server, port = self.serve()
        crowd = self.perl(port, "crowd", 300)
        crowd.expect("connected: ", timeout=60)
        self.assertEqual(self.stop(server), 0)
        crowd.type("go")
        return self.told(crowd)


class Data(Case):
    @both_modes
    def test_large_result(self):
        """64 MB of rows, to two that read them as they come and one that keeps them all first."""
        _, port = self.serve()
        query = f"SELECT seq, REPEAT(SHA2(seq, 256), 10) FROM work.seq_1_to_{100_000}"
        readers = [self.start_client(port, *words, "--execute", query, "work", digest_only=True)
                   for words in (("--quick",), ("--quick", "--compress"), ())]
        return [(reader.status(60), reader.out.length > 60 * MIB, reader.out.digest()) for reader in readers]

    @both_modes
    def test_reader_that_pauses_and_one_that_is_killed(self):
        _, port = self.serve()
        query = f"SELECT seq, REPEAT(SHA2(seq, 256), 10) FROM work.seq_1_to_{50_000}"
        paused, killed = [self.start_client(port, "--quick", "--execute", query, "work", digest_only=True)
                          for _ in range(2)]
        for reader in (paused, killed):
            reader.out.wait(lambda out: out.length > MIB, sealed.DEADLINE)
            reader.process.send_signal(signal.SIGSTOP)
        killed.process.kill()
        killed.status()
        self.until(port, "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'tester'", "2")
        paused.process.send_signal(signal.SIGCONT)
        return paused.status(60), paused.out.digest()

    @both_modes
    def test_large_values(self):
        """Around the 16 MB at which the protocol divides a packet, and beyond."""
        _, port = self.serve()
        self.ask(port, "CREATE TABLE blobs (id INT AUTO_INCREMENT PRIMARY KEY, content LONGBLOB)")
        sizes = 1, 65535, 16 * MIB - 1, 16 * MIB, 40 * MIB
        seen = self.told(self.perl(port, "blob", *sizes), 60)
        self.assertEqual(seen[1].splitlines(), [f"{size}: same {size}" for size in sizes])
        return seen

    @both_modes
    def test_packet_beyond_the_limit(self):
        _, port = self.serve("--max-allowed-packet=1M")
        self.ask(port, "CREATE TABLE blobs (id INT AUTO_INCREMENT PRIMARY KEY, content LONGBLOB)")
        status, out, err = self.told(self.perl(port, "blob", 1000, 3 * MIB))
        # The server answers and closes with the rest unread: whether the client sees the answer or the reset is a race.
        return status != 0, out, re.search(r"bigger than 'max_allowed_packet'|gone away|Lost connection", err) is not None

    @both_modes
    def test_file_from_the_client(self):
        _, port = self.serve()
        file = self.directory / "rows.tsv"
        file.write_text("".join(f"{n}\tname {n * n} {'x' * (n % 150)}\n" for n in range(200_000)))
        self.ask(port, "CREATE TABLE rows_ (id INT PRIMARY KEY, name VARCHAR(200))")
        self.ask(port, f"LOAD DATA LOCAL INFILE '{file}' INTO TABLE rows_", "--local-infile=1")
        missing = self.start_client(port, "--local-infile=1", "--execute",
                                    "LOAD DATA LOCAL INFILE '/nonexistent' INTO TABLE rows_; SELECT 1", "work")
        return self.ask(port, "SELECT COUNT(*) FROM rows_; CHECKSUM TABLE rows_"), self.told(missing)

    @both_modes
    def test_prepared_statements(self):
        _, port = self.serve()
        self.ask(port, "CREATE TABLE items (number INT, name VARCHAR(300), price DOUBLE, KEY (number))")
        seen = self.told(self.perl(port, "prepared", 5000), 60)
        text = self.ask(port, "PREPARE p FROM 'SELECT COUNT(*), SUM(price) FROM items WHERE number > ?'; SET @a = 10; "
                              "EXECUTE p USING @a; SET @a = 4000; EXECUTE p USING @a; DEALLOCATE PREPARE p")
        return seen, text

    @both_modes
    def test_dump_into_another_database(self):
        _, port = self.serve()
        self.fill(port, 100_000)
        self.ask(port, "CREATE DATABASE copy")
        dump, load = (" ".join(self.words(program, port)) for program in ("mariadb-dump", "mariadb"))
        copied = self.run_program("bash", "-c", f"set -o pipefail; {dump} --single-transaction --hex-blob work | "
                                                f"{load} copy")
        seen = self.told(copied, 60)
        sums = self.ask(port, "CHECKSUM TABLE work.many, copy.many").split()
        self.assertEqual(sums[1], sums[3])
        return seen, sums, self.ask(port, "SELECT COUNT(*) FROM copy.many")


class Transactions(Case):
    @both_modes
    def test_transfers_of_many(self):
        """The sum of all accounts stays; a client that is killed has its transaction rolled back."""
        _, port = self.serve()
        self.ask(port, "CREATE TABLE account (id INT PRIMARY KEY, amount INT); "
                       "INSERT INTO account SELECT seq, 1000 FROM seq_1_to_10")
        victim = self.session(port)
        victim.type("BEGIN; UPDATE account SET amount = 0 WHERE id = 10; SELECT 'held';")
        victim.expect("held")
        statements = ("START TRANSACTION; UPDATE work.account SET amount = amount - 1 WHERE id = 1; "
                      "UPDATE work.account SET amount = amount + 1 WHERE id = 10; COMMIT")
        load = self.start_slap(port, statements, 500, concurrency=50)
        self.until(port, "SELECT COUNT(*) > 10 FROM information_schema.processlist WHERE info LIKE 'UPDATE%'", "1")
        victim.process.kill()
        status, _, err = self.told(load, 60)
        return status, err, self.ask(port, "SELECT * FROM account")

    @both_modes
    def test_deadlock_and_lock_time_out(self):
        _, port = self.serve()
        self.ask(port, "CREATE TABLE pair (id INT PRIMARY KEY, n INT); INSERT INTO pair VALUES (1, 0), (2, 0)")
        first, second = self.session(port), self.session(port)
        for session, row in ((first, 1), (second, 2)):
            session.type(f"BEGIN; UPDATE pair SET n = n + 1 WHERE id = {row}; SELECT 'has {row}';")
            session.expect(f"has {row}")
        first.type("UPDATE pair SET n = n + 1 WHERE id = 2; SELECT 'first is through';")
        self.until(port, "SELECT COUNT(*) FROM information_schema.innodb_lock_waits", "1")
        second.type("UPDATE pair SET n = n + 1 WHERE id = 1; SELECT 'second is through';")
        for session, name in ((first, "first"), (second, "second")):
            session.expect(f"{name} is through")
            session.type("COMMIT;")
        first.type("SELECT 'committed'; BEGIN; UPDATE pair SET n = 7 WHERE id = 1; SELECT 'locked';")
        first.expect("locked")
        second.type("SET innodb_lock_wait_timeout = 1; UPDATE pair SET n = 8 WHERE id = 1; SELECT 'timed out';")
        second.expect("timed out")
        for session in (first, second):
            session.end_input()
        ends = [self.told(session) for session in (first, second)]
        errors = re.findall(r"ERROR \d+", ends[0][2] + ends[1][2])
        return sorted(errors), self.ask(port, "SELECT COUNT(*) FROM pair")


class Interruptions(Case):
    def by_line(self, port, *lines):
        session = self.session(port)
        session.type("\n".join(lines))
        session.end_input()
        return self.told(session)

    @both_modes
    def test_statement_time_out(self):
        _, port = self.serve()
        return self.by_line(port, "SET max_statement_time = 0.5;", "SELECT SLEEP(15);",
                            "SELECT SUM(SHA2(seq, 512)) FROM seq_1_to_1000000000;", "SELECT 'goes on';")

    @both_modes
    def test_idle_connection_is_ended(self):
        _, port = self.serve()
        session = self.session(port, "--skip-reconnect")
        session.type("SET wait_timeout = 1; SELECT 'idle';")
        session.expect("idle")
        self.until(port, "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'tester'", "1")
        session.type("SELECT 'nobody hears';")
        session.end_input()
        status, out, err = self.told(session)
        return status, out, re.findall(r"ERROR \d+", err)

    @both_modes
    def test_kill(self):
        """A statement, then the connection of a statement, then an idle connection, which connects again."""
        _, port = self.serve()
        session = self.session(port)
        rounds = ("QUERY", "SELECT SLEEP(19);"), ("", "SELECT SLEEP(18);"), ("", "SELECT 'idle';")
        for turn, (words, statement) in enumerate(rounds):
            session.type(f"SELECT CONCAT('id=', CONNECTION_ID(), ' turn {turn}');")
            session.expect(f" turn {turn}\n")
            number = re.findall(rb"id=(\d+)", session.out.data)[-1].decode()
            session.type(statement)
            state = "'Query' AND info LIKE 'SELECT SLEEP%'" if "SLEEP" in statement else "'Sleep'"
            self.until(port, "SELECT COUNT(*) FROM information_schema.processlist "
                             f"WHERE id = {number} AND command = {state}", "1")
            self.ask(port, f"KILL {words} {number}")
            if not words:
                self.until(port, f"SELECT COUNT(*) FROM information_schema.processlist WHERE id = {number}", "0")
                session.type("SELECT 'lost';\nconnect work")
        session.type("SELECT 'the last';")
        session.end_input()
        status, out, err = self.told(session)
        return status, re.sub(r"id=\d+", "id=", out), re.sub(r"(id: +)\d+", r"\1", err)


class Servers(Case):
    def restart(self, number):
        durable = "--innodb-flush-log-at-trx-commit=1"  # what is committed outlives a crash
        server, port = self.serve(durable)
        self.fill(port, 1000)
        session = self.session(port)
        session.type("SELECT COUNT(*) FROM many;")
        session.expect("1000")
        load = self.start_slap(port, "SELECT SLEEP(0.01)", 1_000_000, concurrency=50)
        self.until(port, "SELECT COUNT(*) > 49 FROM information_schema.processlist WHERE user = 'tester'", "1")
        server.process.send_signal(number)
        ended = server.status(60), load.status(60) != 0
        self.serve(durable, port=port)
        self.slap(port, "SELECT 1", 2000)
        session.type("SELECT 'lost';\nconnect work\nSELECT COUNT(*) + 1 FROM many;")
        session.expect("1001")
        session.end_input()
        return ended, session.status(), bytes(session.out.data)

    @both_modes
    def test_restart(self):
        return self.restart(signal.SIGTERM)

    @both_modes
    def test_restart_after_a_crash(self):
        return self.restart(signal.SIGKILL)

    def replica(self, primary, port=None):
        _, number = pair = self.serve("--server-id=2", "--log-bin=log", "--log-slave-updates", "--slave-net-timeout=10",
                                      "--relay-log=relay", "--master-info-file=primary", port=port)
        self.ask(number, "STOP SLAVE; CHANGE MASTER TO MASTER_USER = 'tester', MASTER_PASSWORD = 'secret', "
                         f"MASTER_HOST = '{self.address}', MASTER_PORT = {primary}, MASTER_CONNECT_RETRY = 1, "
                         "MASTER_USE_GTID = slave_pos; START SLAVE")
        return pair

    def caught_up(self, primary, replica):
        position = self.ask(primary, "SELECT @@gtid_binlog_pos")
        self.until(replica, "SELECT @@gtid_slave_pos", position, timeout=60)
        tables = "CHECKSUM TABLE work.many, work.log"
        self.assertEqual(self.ask(primary, tables), self.ask(replica, tables))
        return self.ask(replica, "SELECT COUNT(*) FROM many; SELECT COUNT(*) FROM log")

    @both_modes
    def test_replication(self):
        """Under load, the replica killed and started again; then the primary restarted."""
        how = "--server-id=1", "--log-bin=log", "--binlog-format=ROW"
        primary, port = self.serve(*how)
        replica, other = self.replica(port)
        self.fill(port)
        self.ask(port, "CREATE TABLE log (id INT AUTO_INCREMENT PRIMARY KEY, text VARCHAR(3000))")
        seen = [self.caught_up(port, other)]
        insert = "INSERT INTO work.log (text) VALUES (REPEAT('text', 500))"
        load = self.start_slap(port, insert, 5000, concurrency=20)
        self.until(other, "SELECT COUNT(*) > 100 FROM log", "1")
        replica.process.kill()
        replica.status()
        replica, _ = self.replica(port, other)
        seen += [load.status(60), self.caught_up(port, other)]
        seen.append(self.stop(primary))
        primary, _ = self.serve(*how, port=port)
        self.slap(port, insert, 200, concurrency=20)
        seen.append(self.caught_up(port, other))
        return seen, self.stop(replica), self.stop(primary)


@sealed_only
class Keys(Case):
    def test_wrong_key(self):
        """The client says at once that its key is rejected; the server serves the next one."""
        _, port = self.serve()
        keys = self.write_keys("other", (sealed.IDENTITY, "11" * 32))
        started = time.monotonic()
        status, out, err = self.told(self.start_client(port, "--execute", "SELECT 1", SOCKSEAL_KEY_FILE=keys))
        self.assertEqual((status, out), (1, ""))
        self.assertRegex(err, r"ERROR \d+ .*(Key was rejected by service|\b129\b)")
        self.assertLess(time.monotonic() - started, 5)
        self.assertEqual(self.ask(port, "SELECT 'still served'"), "still served")

    def test_client_that_is_not_sealed(self):
        """It waits for the greeting, of which not a byte comes in the clear."""
        server, port = self.serve(SOCKSEAL_HANDSHAKE_TIMEOUT=1)
        client = self.run_stock(*self.words("mariadb", port), "--execute", "SELECT 1")
        status, out, err = self.told(client)
        self.assertEqual((status, out), (1, ""))
        self.assertRegex(err, "ERROR 2013 .*Lost connection.*initial communication packet")
        self.assertEqual(self.ask(port, "SELECT 'still served'"), "still served")
        self.assertTrue(server.runs())

    def test_server_that_is_not_sealed(self):
        """Its greeting is not taken for a handshake."""
        _, port = self.serve(sealed=False)
        client = self.start_client(port, "--execute", "SELECT 1")
        status, out, err = self.told(client)
        self.assertEqual((status, out), (1, ""))
        # Where the failure is found in connecting, the client tells the errno of its own connect(2).
        self.assertRegex(err, r"ERROR (\d+ .*(Protocol error|\b71\b)|2002 .*\(115\))")
        client.expect_log("does not speak TLS")


if __name__ == "__main__":
    unittest.main()
