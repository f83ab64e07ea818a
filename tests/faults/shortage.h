/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_FAULTS_SHORTAGE_H
#define SOCKSEAL_FAULTS_SHORTAGE_H

/* What a program does not get from the kernel any more, from the moment that another process says so. */

#include <stdbool.h>
#include <sys/types.h>

enum shortage {
    SHORTAGE_DESCRIPTORS = 1, /* no new descriptor */
    SHORTAGE_MEMORY = 2,      /* no new mapping */
    SHORTAGE_THREADS = 4, /* no clone(2); root has this limit nowhere, so the programs are another user's */
    SHORTAGE_FILES = 8,   /* no file may grow, memfds included */
    SHORTAGES = 16,       /* a set of them is below */
};

/* Sets the limits of a process that has become that user's; those of kinds that are not in the set are
 * lifted. False: the kernel refuses. */
bool shortage_set(pid_t pid, unsigned set);

/* Where root runs the instrument: makes the calling process another user's, who has the limit of threads.
 * False: it cannot be. */
bool shortage_become_user(void);

/* "descriptors+memory", in memory of the function's own. */
const char *shortage_name(unsigned set);

#endif
