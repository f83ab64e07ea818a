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
    PROGRAM_UNUSABLE,   /* execve(2) would refuse it */
    PROGRAM_UNKNOWN,    /* of another format: execve(2) would refuse it, or run it by binfmt_misc(5) */
    PROGRAM_UNSEALABLE, /* it would run, without the shim; or it cannot be known whether it would */
};

struct program {
    enum program_verdict verdict;
    bool exact;
    bool raises_rights; /* unsealable, as it gains rights by its file: set-user-ID and its kin */
    bool is_linker;     /* it is the dynamic linker, which loads what its arguments name */
    bool is_audited;    /* unsealable, as others are loaded with a C library of their own: rtld-audit(7) */
    char reason[512];   /* if not good: what is wrong and what to do, a phrase */
};

/*
 * Looks at the program at `path`, relative to the descriptor `directory` or AT_FDCWD, and at the interpreter
 * that its "#!" line names. `exact`: set-user-ID and its kin count only where they would change the rights of
 * this very process. Goes through no door, allocates nothing, opens nothing for longer than the call.
 */
void program_check(struct program *program, int directory, const char *path, bool exact);

/* If the program is the dynamic linker: looks at the one that it loads with these arguments (ld.so(8)). What
 * is not known to be good is unsealable. */
void program_check_loaded(struct program *program, char *const argv[]);

/* Of a program that is to run with LD_AUDIT: makes it unsealable. */
void program_refuse_audited(struct program *program, const char *path);

/* Whether a file that begins with these bytes is an ELF file for this machine, 64 bits wide. */
enum { PROGRAM_HEADER = 20 };
bool program_is_native(const unsigned char header[static PROGRAM_HEADER]);

#endif
