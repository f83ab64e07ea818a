/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* The verbs that start a program: run and shell. */

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/candidate.h"
#include "cli/cli.h"
#include "cli/help.h"
#include "cli/message.h"
#include "cli/preload.h"
#include "cli/prove.h"
#include "cli/settings.h"
#include "config/rules.h"
#include "process/fence.h"

/* --allow-unsealed-program: keeps this process, and the program that it becomes, from the named ports.
 * Without that the program stays refused. */
static void fence(struct candidate *program)
{
    static struct rules rules;
    const char *word, *expected, *strict = getenv("SOCKSEAL_STRICT");
    size_t len;
    if (program->status != CLI_CANNOT_INVOKE || !settings_allow_unsealed() ||
        (strict && strcmp(strict, "1") == 0) ||
        !rules_parse(&rules, getenv("SOCKSEAL_PORTS"), &word, &len, &expected))
        return;
    int ruleset = fence_ruleset(&rules);
    if (ruleset < 0 || fence_enter(ruleset, false) < 0) {
        message_error("the kernel cannot keep the program from the named ports");
        return;
    }
    message_error("warning: %s; the ports of SOCKSEAL_PORTS are denied to it", program->reason);
    program->status = 0;
}

/* Everything that can fail before the program starts. Gives 0 or an exit status, after a message. */
static int prepare(struct candidate *program, const char *name)
{
    char library[PATH_MAX];
    candidate_find(program, name);
    const bool loadable = program->status == 0;
    if (!loadable && !(program->status == CLI_CANNOT_INVOKE && settings_allow_unsealed())) {
        message_error("%s%s", program->reason,
                      program->status == CLI_NOT_FOUND && !strchr(name, '/')
                          ? "; 'sockseal --help' lists the verbs"
                          : "");
        return program->status;
    }
    if (!settings_read_file(program->path))
        return CLI_CONFIGURATION;
    if (!settings_require_ports())
        return CLI_CONFIGURATION;
    if (settings_check() > 0)
        return CLI_CONFIGURATION;
    if (!preload_find(library) || !preload_set(library))
        return CLI_USAGE;
    if (loadable)
        prove_loading(program, library);
    fence(program);
    if (program->status != 0)
        message_error("%s", program->reason);
    return program->status;
}

/* `arguments` begins with the program as it was named. Returns only if it cannot be started. */
static int start(char **arguments, bool greet)
{
    struct candidate program;
    int status = prepare(&program, arguments[0]);
    if (status != 0)
        return status;
    if (greet && isatty(STDERR_FILENO))
        message_error("connections on %s are sealed in this shell; 'exit' ends it", getenv("SOCKSEAL_PORTS"));
    execv(program.path, arguments);
    message_error("%s: %s", arguments[0], strerror(errno));
    return errno == ENOENT ? CLI_NOT_FOUND : CLI_CANNOT_INVOKE;
}

int run_main(int argc, char **argv)
{
    bool help;
    int first = settings_read_options(argc, argv, false, &help);
    if (first < 0)
        return CLI_USAGE;
    if (help)
        return help_print("run");
    if (first == argc) {
        message_error("no program is named; see 'sockseal run --help'");
        return CLI_USAGE;
    }
    return start(argv + first, false);
}

int shell_main(int argc, char **argv)
{
    static char default_shell[] = "/bin/sh";
    bool help;
    int first = settings_read_options(argc, argv, false, &help);
    char *shell = getenv("SHELL");
    if (first < 0)
        return CLI_USAGE;
    if (help)
        return help_print("shell");
    /* The word before the arguments is an option or the verb, and has been used. */
    argv[first - 1] = shell && *shell ? shell : default_shell;
    return start(argv + first - 1, true);
}
