/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_LIMIT_H
#define SOCKSEAL_LIMIT_H

/*
 * How often the same thing is logged. Whoever can reach a port can make connections fail without end: of
 * each reason a few lines are written in a time, and then one that counts the others. The counts
 * are shared with the processes that are forked later, so that a server with a process for each connection
 * writes no more. Lock-free, allocates nothing, async-signal-safe.
 */

#include <stdbool.h>

#include "diag/log.h"

enum {
    LIMIT_LINES = 10,   /* of one reason ... */
    LIMIT_TIME_S = 10,  /* ... within so many seconds */
    LIMIT_REASONS = 64, /* told apart; all others count as one */
};

/* Writes this line, as often as its own text allows. */
void limit_line(enum log_level level, const char *text);

/* Makes the counts; this process writes what is left of them when it ends. From the constructor. */
void limit_begin(void);

/* Whether a line for this reason is to be written now. If not, it is counted, and a line with the count
 * follows with one of the next calls, when its time is over. */
bool limit_allows(const char *reason);

/* Writes the counts that are left, in the process that made them; others' are for it to write. */
void limit_end(void);

#endif
