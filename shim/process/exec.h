/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_PROCESS_EXEC_H
#define SOCKSEAL_PROCESS_EXEC_H

/*
 * Running another program. The library goes along: the environment is completed (config/environment.h), and
 * sealed descriptors are handed over (process/exec_handover.h). Not if the environment says that nothing is
 * to be sealed, with a SOCKSEAL_PORTS that is there and empty, and the program gets no sealed descriptor.
 *
 * A program that the library cannot be loaded into gets no sealed descriptor (EACCES), no listening or bound
 * socket of a named port, and runs inside a fence (process/fence.h). If it gains rights, or if the kernel has
 * no fence, it runs without one, with a warning. With SOCKSEAL_STRICT it is refused in any case (EACCES).
 */

#include <stdbool.h>

/* execveat(2). Returns only if it fails, -1 and errno, with everything as before. Allocates nothing; may be
 * called in a vfork(2) child. */
int exec_at(int directory, const char *path, char *const argv[], char *const envp[], int flags);

/* What posix_spawn(3) and its kin need to know before they make a child. */
enum exec_kind {
    EXEC_ABSENT,   /* the kernel would refuse it */
    EXEC_LOADABLE, /* the library can be loaded into it */
    EXEC_OTHER,    /* exec_at() must see to it */
};

enum exec_kind exec_kind(const char *path);

/* Whether this environment needs nothing to be added. */
bool exec_is_complete(char *const envp[]);

#endif
