/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_RAW_H
#define SOCKSEAL_RAW_H

/* syscall(2): what stands in for system calls that a program makes by their numbers. */

#include <stdint.h>

#include "sys/real.h"

enum { RAW_ARGUMENTS = 6 };

/* Stands in for a system call: takes its arguments; gives what syscall(2) gives, with errno. */
typedef long raw_stand_in(const long a[static RAW_ARGUMENTS]);

/* The system call as it is. */
static inline long raw_pass(long number, const long a[static RAW_ARGUMENTS])
{
    return real()->syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static inline void *raw_pointer(long argument)
{
    return (void *)(uintptr_t)argument;
}

/* seccomp(2), for which libc has no function. -1 and errno. */
long raw_seccomp(unsigned long operation, unsigned long flags, const void *argument);

#endif
