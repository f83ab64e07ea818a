/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

static const char help[] =
    "usage: sockseal [run] [OPTION...] [--] PROGRAM [ARGUMENT...]\n"
    "       sockseal keygen [-o FILE] [-b BYTES] [IDENTITY...]\n"
    "       sockseal keygen --pair A B [-o DIRECTORY]\n"
    "       sockseal check PROGRAM...\n"
    "\n"
    "run: start PROGRAM with its TCP connections on the named ports sealed. Each option sets the variable\n"
    "behind it, which may be set in the environment instead:\n"
    "  -p, --ports RULES         SOCKSEAL_PORTS: [!][listen:|connect:][ADDRESS[/LENGTH]:]PORT[-PORT],...\n"
    "  -k, --key-file FILE       SOCKSEAL_KEY_FILE: the pre-shared keys\n"
    "  -i, --identity NAME       SOCKSEAL_IDENTITY: the key that a connecting side offers first\n"
    "  -s, --suites LIST         SOCKSEAL_SUITES: aegis128l,chacha20\n"
    "  -t, --timeout SECONDS     SOCKSEAL_HANDSHAKE_TIMEOUT: 10\n"
    "  -l, --log LEVEL           SOCKSEAL_LOG: quiet, error, warn, info or debug\n"
    "      --log-file FILE       SOCKSEAL_LOG_FILE: instead of standard error\n"
    "      --plaintext WHAT      SOCKSEAL_PLAINTEXT: refuse, or accept peers that do not seal\n"
    "      --keylog-file FILE    SOCKSEAL_KEYLOG_FILE: session secrets, for Wireshark\n"
    "      --strict              SOCKSEAL_STRICT=1: refuse whatever could not be sealed\n"
    "\n"
    "keygen: write a new random key as a line of a key file\n"
    "  -o, --output FILE         a new file that only its owner can read, instead of standard output\n"
    "  -b, --bytes BYTES         length of the key, 16 to 64; default 32\n"
    "      --pair A B            two keys, one for connections from A to B and one for those from B to A\n"
    "\n"
    "check: say whether programs can be sealed\n"
    "\n"
    "sockseal(1) and sockseal(7) say more.\n";

/* Output that did not reach its file is a failure too. */
static int finish(int status)
{
    if (fflush(stdout) != 0 && status == 0) {
        perror("sockseal: standard output");
        return CLI_FAILED;
    }
    return status;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*function)(int, char **);
    } commands[] = {{"run", run_main}, {"keygen", keygen_main}, {"check", check_main}};

    if (argc < 2) {
        fputs(help, stderr);
        return CLI_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        fputs(help, stdout);
        return finish(0);
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        puts("sockseal " SOCKSEAL_VERSION);
        return finish(0);
    }
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return finish(commands[i].function(argc - 1, argv + 1));
    /* No subcommand: `run` is implied, with argv[0] in the place of its name. */
    return finish(run_main(argc, argv));
}
