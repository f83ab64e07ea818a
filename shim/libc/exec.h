/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_EXEC_H
#define SOCKSEAL_EXEC_H

/*
 * execveat(2), with sealed descriptors handed over (process/exec_handover.h). Every door of the exec family
 * ends here. A program that the shim cannot be loaded into is refused with EACCES if it would get a sealed
 * descriptor, and, with SOCKSEAL_STRICT, in any case. Returns only if it fails, -1 and errno, with everything
 * as before. Allocates nothing; may be called in a vfork(2) child.
 */
int exec_at(int directory, const char *path, char *const argv[], char *const envp[], int flags);

/* The same for the search along PATH of execvpe(3). */
int exec_search(const char *file, char *const argv[], char *const envp[]);

#endif
