/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_WARNED_H
#define SOCKSEAL_WARNED_H

/* Which programs were warned of. The table is shared with the processes that are forked: a warning usually
 * comes from a child that is about to run the program. */

#include <stdbool.h>

/* From the constructor. */
void warned_begin(void);

/* Whether this is the first call with this text, in this process and those that it was forked from or has
 * forked. */
bool warned_first(const char *text);

#endif
