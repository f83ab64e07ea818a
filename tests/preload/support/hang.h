/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef PRELOAD_HANG_H
#define PRELOAD_HANG_H

#include <sys/types.h>

/* Prints, for each thread of each process of the group, what it waits for. */
void hang_report(pid_t group);

#endif
