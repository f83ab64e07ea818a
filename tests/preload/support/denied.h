/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef PRELOAD_DENIED_H
#define PRELOAD_DENIED_H

#include <stddef.h>

/* From now on the kernel refuses these system calls to the calling thread, and to what it forks and executes,
 * with this errno (seccomp(2)). The filter is installed past the doors, which would let the library's own
 * calls through it. Exits with 5 if it cannot be. */
void denied_calls(const int *numbers, size_t count, int error);

#endif
