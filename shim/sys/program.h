/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_PROGRAM_H
#define SOCKSEAL_PROGRAM_H

/* Which programs the dynamic linker would load the shim into, and which would run on unsealed without a word.
 */

#include <stdbool.h>

enum program_verdict {
    PROGRAM_GOOD,
    PROGRAM_MISSING,    /* there is no such file */
    PROGRAM_UNUSABLE,   /* execve(2) would refuse it, or a binfmt_misc(5) interpreter may know what it is */
    PROGRAM_UNSEALABLE, /* it would run, without the shim */
};

struct program {
    enum program_verdict verdict;
    bool exact;
    char reason[512]; /* if not good: what is wrong and what to do, a phrase */
};

/*
 * Looks at the program at `path`, relative to the descriptor `directory` or AT_FDCWD, and at the interpreter
 * that its "#!" line names. `exact`: set-user-ID and its kin count only where they would change the rights of
 * this very process. Goes through no door, allocates nothing, opens nothing for longer than the call.
 */
void program_check(struct program *program, int directory, const char *path, bool exact);

#endif
