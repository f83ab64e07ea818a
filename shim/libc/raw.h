/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_RAW_H
#define SOCKSEAL_RAW_H

/* seccomp(2), for which libc has no function. -1 and errno. */
long raw_seccomp(unsigned long operation, unsigned long flags, const void *argument);

#endif
