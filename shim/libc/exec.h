/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_EXEC_H
#define SOCKSEAL_EXEC_H

#include "process/exec.h"

/* exec_at() (process/exec.h) with execvpe(3)'s search along PATH. Returns only if it fails, -1 and errno. */
int exec_search(const char *file, char *const argv[], char *const envp[]);

/* exec_kind() of the program that it would find. */
enum exec_kind exec_search_kind(const char *file);

#endif
