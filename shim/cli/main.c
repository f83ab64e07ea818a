/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "cli/cli.h"

#include "cli/help.h"

#include <stdio.h>
#include <string.h>

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
    } verbs[] = {{"run", run_main},       {"shell", shell_main},  {"check", check_main},
                 {"keygen", keygen_main}, {"keys", keys_main},    {"ping", ping_main},
                 {"rotate", rotate_main}, {"status", status_main}};

    if (argc < 2) {
        help_usage(stderr);
        return CLI_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        return finish(help_print(NULL));
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        puts("sockseal " SOCKSEAL_VERSION);
        return finish(0);
    }
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (strcmp(argv[1], verbs[i].name) == 0)
            return finish(verbs[i].function(argc - 1, argv + 1));
    /* No verb: `run` is implied. */
    static char run[] = "run";
    argv[0] = run;
    return finish(run_main(argc, argv));
}
