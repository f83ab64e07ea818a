/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Looks for a program as the shell does, and tells whether it can be sealed. */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "sys/program.h"

/* Gives false if `name` is in no directory of PATH. */
static bool search_path(struct candidate *program, const char *name)
{
    const char *path = getenv("PATH");
    if (!path)
        path = "/usr/local/bin:/usr/bin:/bin";
    for (const char *at = path;; at++) {
        size_t len = strcspn(at, ":");
        int need = len == 0 ? snprintf(program->path, sizeof program->path, "./%s", name)
                            : snprintf(program->path, sizeof program->path, "%.*s/%s", (int)len, at, name);
        struct stat st;
        if (need > 0 && (size_t)need < sizeof program->path && stat(program->path, &st) == 0 &&
            S_ISREG(st.st_mode) && access(program->path, X_OK) == 0)
            return true;
        at += len;
        if (*at == '\0')
            return false;
    }
}

static void refuse(struct candidate *program, int status, const char *format, const char *name)
{
    program->status = status;
    snprintf(program->reason, sizeof program->reason, format, name);
}

void program_find(struct candidate *program, const char *name)
{
    struct program found;
    program->status = 0;
    program->reason[0] = '\0';
    if (strlen(name) >= sizeof program->path) {
        refuse(program, CLI_NOT_FOUND, "%.40s...: the name is too long", name);
        return;
    }
    if (strchr(name, '/')) {
        strcpy(program->path, name);
    } else if (!*name || !search_path(program, name)) {
        refuse(program, CLI_NOT_FOUND, "%s: there is no such program", name);
        return;
    }
    program_check(&found, AT_FDCWD, program->path, false);
    if (found.verdict != PROGRAM_GOOD)
        refuse(program, found.verdict == PROGRAM_MISSING ? CLI_NOT_FOUND : CLI_CANNOT_INVOKE, "%s",
               found.reason);
}

int check_main(int argc, char **argv)
{
    int status = 0;
    if (argc < 2 || (argv[1][0] == '-' && strcmp(argv[1], "--") != 0)) {
        cli_error("usage: sockseal check PROGRAM...");
        return CLI_USAGE;
    }
    for (int i = strcmp(argv[1], "--") == 0 ? 2 : 1; i < argc; i++) {
        struct candidate program;
        program_find(&program, argv[i]);
        if (program.status == 0)
            printf("%s: can be sealed\n", argv[i]);
        else
            printf("%s: cannot be sealed: %s\n", argv[i], program.reason);
        if (program.status != 0)
            status = CLI_FAILED;
    }
    return status;
}
