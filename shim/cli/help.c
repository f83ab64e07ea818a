/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "cli/help.h"

#include <string.h>

static const char usage[] = "usage: sockseal [run] [OPTION...] [--] PROGRAM [ARGUMENT...]\n"
                            "       sockseal shell [OPTION...] [-- ARGUMENT...]\n"
                            "       sockseal check [OPTION...] [PROGRAM|PID...]\n"
                            "       sockseal keygen [-o FILE [--append]] [-b BYTES] [IDENTITY...]\n"
                            "       sockseal keygen --pair A[=ADDRESS] B[=ADDRESS] [-o DIRECTORY]\n"
                            "       sockseal keys [FILE]\n"
                            "       sockseal ping [OPTION...] HOST PORT\n"
                            "       sockseal status [OPTION...] [PID...]\n"
                            "       sockseal rotate [--take|--finish] FILE [IDENTITY]\n"
                            "       sockseal VERB --help\n";

static const char examples[] =
    "\n"
    "A sealed netcat on two machines:\n"
    "    sockseal keygen -o keys office          # copy this file to the other machine\n"
    "    sockseal -p 7000 -k keys nc -l 7000\n"
    "    sockseal -p 7000 -k keys nc 192.0.2.1 7000\n"
    "A server that seals what comes from the network, and not what comes from itself:\n"
    "    sockseal -p listen:10.0.0.0/8:6379 -k /etc/sockseal/keys redis-server\n"
    "A shell in which every program's connections to port 6379 are sealed:\n"
    "    sockseal shell -p connect:6379 -k keys\n";

static const char run[] =
    "Starts PROGRAM with its TCP connections on the named ports sealed. Each option sets the variable "
    "behind\n"
    "it, which may be set in the environment or in a configuration file instead:\n"
    "  -p, --ports RULES         SOCKSEAL_PORTS: [!][listen:|connect:][ADDRESS[/LENGTH]:]PORT[-PORT],...\n"
    "  -k, --key-file FILE       SOCKSEAL_KEY_FILE: the pre-shared keys\n"
    "  -i, --identity NAMES      SOCKSEAL_IDENTITY: the keys that a connecting side offers, in this order\n"
    "  -s, --suites LIST         SOCKSEAL_SUITES: aegis128x4,aegis128x2,aegis128l,chacha20\n"
    "      --groups LIST         SOCKSEAL_GROUPS: x25519mlkem768,x25519\n"
    "  -t, --timeout SECONDS     SOCKSEAL_HANDSHAKE_TIMEOUT: 10\n"
    "      --connect-timeout SECONDS\n"
    "                            SOCKSEAL_CONNECT_TIMEOUT: of a side that connects; none by default\n"
    "      --close-timeout SECONDS\n"
    "                            SOCKSEAL_CLOSE_TIMEOUT: to send the rest behind a close or an exit; 10\n"
    "  -l, --log LEVEL           SOCKSEAL_LOG: quiet, error, warn, info or debug\n"
    "      --log-file FILE       SOCKSEAL_LOG_FILE: instead of standard error; /dev/log is the system's log\n"
    "      --log-format WHAT     SOCKSEAL_LOG_FORMAT: text, or a JSON object a line\n"
    "      --plaintext WHAT      SOCKSEAL_PLAINTEXT: refuse, or accept peers that do not seal\n"
    "      --removed-keys WHAT   SOCKSEAL_REMOVED_KEYS: keep connections whose key is gone, or close them\n"
    "      --keys-after-fork WHAT\n"
    "                            SOCKSEAL_KEYS_AFTER_FORK: keep the keys in forked children, or forget them\n"
    "      --keylog-file FILE    SOCKSEAL_KEYLOG_FILE: session secrets, for Wireshark\n"
    "      --strict              SOCKSEAL_STRICT=1: refuse whatever could not be sealed\n"
    "      --allow-unsealed-program\n"
    "                            run a program that cannot be sealed, without the named ports (Landlock)\n"
    "  -f, --config FILE         this configuration file alone, not ~/.config/sockseal/config and\n"
    "                            /etc/sockseal/config\n";

static const char shell[] =
    "Starts your shell ($SHELL) as 'sockseal run' starts a program: what it starts is sealed too.\n"
    "The options are those of run; arguments behind -- are the shell's.\n";

static const char check[] =
    "Says whether programs can be sealed, and whether processes are. Looks at the configuration too: rules, "
    "key\n"
    "file, log files and their modes; without PROGRAM and PID at that alone. The options are those of run.\n"
    "Exit status: 0; 1 if a program cannot be sealed or a process is not; 78 if the configuration has a "
    "fault.\n";

static const char keygen[] =
    "Writes a new random key for each IDENTITY (by default one, 'sockseal') as a line of a key file.\n"
    "  -o, --output FILE         a new file that only its owner can read, instead of standard output\n"
    "      --append              add to FILE, which may be there already\n"
    "  -b, --bytes BYTES         length of the key, 16 to 64; default 32\n"
    "      --pair A B            two keys, for the connections from A to B and for those from B to A: key "
    "files\n"
    "                            A.keys and B.keys, one for each machine, in the directory that -o names. "
    "With\n"
    "                            A=ADDRESS and B=ADDRESS each key counts for the other machine's address "
    "only\n";

static const char keys[] =
    "Lists the keys of FILE (by default SOCKSEAL_KEY_FILE's) without showing them: identity, length, the\n"
    "connections that it counts for, and a fingerprint, which tells nothing of the key and can be compared "
    "over\n"
    "the telephone. Exit status 1 if the file cannot be used.\n";

static const char ping[] =
    "Makes one sealed connection and says how far it comes: name, TCP, TLS, suite and identity. When a step\n"
    "fails, says what is probably wrong. Nothing is sent to the program at the other end. The options are "
    "those\n"
    "of run; -t is the time for each step. Exit status: 0 if the other end has proved that it has the key, "
    "else\n"
    "1; 78 if the configuration has a fault.\n";

static const char rotate[] =
    "Changes the key of IDENTITY in FILE without an outage, and says at each step what comes next. The new "
    "key\n"
    "(IDENTITY+2, then +3 and so on) is beside the old one until both machines have it.\n"
    "      --take                add the new key that the other machine has made, from standard input\n"
    "      --finish              take the old key out\n";

static const char status[] =
    "Shows the sealed connections of the processes PID, or of all that this user may look into: the ends, "
    "the\n"
    "state and age, the identity, the suite, and the bytes and records that the process has sent and "
    "received.\n"
    "Of each process, and what it has forked: handshakes, failures, and connections that are not sealed "
    "since\n"
    "no rule names them. The programs are not disturbed.\n"
    "      --failures            why connections failed, and which\n"
    "  -w, --watch               again every two seconds\n"
    "      --json                one JSON object; sockseal(1) has its members\n"
    "      --prometheus          the text format of Prometheus, for node_exporter's textfile collector\n"
    "  -o, --output FILE         write to FILE, which is replaced at once\n"
    "Exit status: 0; 1 if a process that is named cannot be read, or has sealed nothing.\n";

static const struct {
    const char *verb;
    const char *text;
} helps[] = {{"run", run},   {"shell", shell}, {"check", check},   {"keygen", keygen},
             {"keys", keys}, {"ping", ping},   {"rotate", rotate}, {"status", status}};

/* The lines of the usage that begin with the verb. */
static void print_usage_of(const char *verb)
{
    size_t skip = strlen("usage: sockseal ");
    for (const char *line = usage; *line; line = strchr(line, '\n') + 1) {
        const char *word = line + skip + (line[skip] == '[' ? 1 : 0);
        if (strncmp(word, verb, strlen(verb)) == 0 && strchr(" ]", word[strlen(verb)]))
            printf("usage: %.*s", (int)(strchr(line, '\n') + 1 - line - 7), line + 7);
    }
}

void help_usage(FILE *out)
{
    fputs(usage, out);
    fputs(examples, out);
}

int help_print(const char *verb)
{
    for (size_t i = 0; i < sizeof helps / sizeof helps[0]; i++) {
        if (verb && strcmp(helps[i].verb, verb) == 0) {
            print_usage_of(verb);
            printf("\n%s", helps[i].text);
        }
    }
    if (verb)
        return 0;
    fputs(usage, stdout);
    for (size_t i = 0; i < sizeof helps / sizeof helps[0]; i++)
        printf("\n%s: %s", helps[i].verb, helps[i].text);
    fputs(examples, stdout);
    puts("\nsockseal(1), sockseal.keys(5) and sockseal(7) say more.");
    return 0;
}
