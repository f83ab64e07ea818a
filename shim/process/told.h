/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_TOLD_H
#define SOCKSEAL_TOLD_H

/* Which programs were warned of. The table is shared with the processes that are forked: a warning usually
 * comes from a child that is about to run the program. */

#include <stdbool.h>

/* From the constructor. */
void told_begin(void);

/* Whether this is the first call with this text, in this process and those that it was forked from or has
 * forked. */
bool told_first(const char *text);

#endif
