/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_STATUSMEM_H
#define SOCKSEAL_STATUSMEM_H

/*
 * The memory that diag/statuspage.h describes, in this process: memfds of their own, apart from the arena
 * with its keys. They are made when they are first needed, so a program that seals nothing has none. The
 * counters go to a forked child; the entries do not. Lock-free, async-signal-safe, allocates nothing from the
 * heap.
 */

#include <stdbool.h>

#include "diag/statuspage.h"

/* Adds to a counter. Before there is a memfd it is kept in the process. */
void statusmem_count(enum statuspage_counter counter, uint64_t more);
void statusmem_count_failure(enum statuspage_failure failure);

/* Makes the memfds if there are none, so that a reader finds the process. Nothing happens if the kernel
 * refuses. */
void statusmem_publish(void);

/* An entry for one more connection, with everything zero and the state STATUSPAGE_UNUSED. Never NULL: if
 * there is no room, one that is nowhere shown. */
struct statuspage_entry *statusmem_take(void);

/* Around a change of what is between `sequence` and `identity`, by which a reader finds out that it has read
 * in the midst of one. False: another thread is at it, or this thread is, below a signal handler. */
bool statusmem_begin_change(struct statuspage_entry *entry);
void statusmem_end_change(struct statuspage_entry *entry);

/* Gives an entry back. */
void statusmem_give(struct statuspage_entry *entry);

/* In a forked child: it has no connections yet. */
void statusmem_after_fork(void);

#endif
