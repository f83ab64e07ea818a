/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_CLONE_H
#define SOCKSEAL_CLONE_H

#include <stdbool.h>
#include <stdint.h>

/* Whether clone(2) with these flags is refused. With errno and a log line. */
bool clone_is_refused(uint64_t flags);

/* The same for a call that gives this thread a table of descriptors of its own. */
bool clone_unshare_is_refused(void);

#endif
