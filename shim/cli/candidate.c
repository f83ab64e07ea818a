/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "cli/candidate.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "sys/file.h"
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
        if (need > 0 && (size_t)need < sizeof program->path && sys_stat(program->path, &st) == 0 &&
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

/* The dynamic linker has no dynamic linker, and would pass for a static program. */
static bool is_dynamic_linker(const char *path)
{
    char *target = realpath(path, NULL);
    const char *slash = target ? strrchr(target, '/') : NULL;
    bool linker = slash && strncmp(slash + 1, "ld-linux", 8) == 0;
    free(target);
    return linker;
}

void candidate_find(struct candidate *program, const char *name)
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
    if (is_dynamic_linker(program->path)) {
        refuse(program, CLI_CANNOT_INVOKE,
               "%s is the dynamic linker: name the program that it is to load instead", name);
        return;
    }
    program_check(&found, AT_FDCWD, program->path, true);
    const char *audit = getenv("LD_AUDIT");
    if (found.verdict == PROGRAM_GOOD && audit && *audit)
        program_refuse_audited(&found, name);
    if (found.verdict == PROGRAM_GOOD)
        return;
    refuse(program, found.verdict == PROGRAM_MISSING ? CLI_NOT_FOUND : CLI_CANNOT_INVOKE, "%s", found.reason);
    if (strstr(program->reason, "set-user-ID") || strstr(program->reason, "set-group-ID"))
        strncat(program->reason,
                "; if it is there to start another program (su, sudo), put sockseal behind it: "
                "su USER -c 'sockseal ...'",
                sizeof program->reason - strlen(program->reason) - 1);
}
