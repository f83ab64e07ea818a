/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_INHERIT_H
#define SOCKSEAL_INHERIT_H

/*
 * Sealed descriptors and other programs. A program that got one by exec, without the connection's state,
 * would send in the clear on it. So the kernel's FD_CLOEXEC is always set on a sealed descriptor, and the
 * program sees the flag that it set itself (FDTABLE_INHERIT).
 */

#include "conn/fdtable.h"

/* Enters a new descriptor `to`, close-on-exec for the kernel, as another one of the connection of `from`. */
void inherit_copied(const struct conn_handle *from, int to, bool inherit);

/* A number that is the same in processes that have forked from each other, or have handed sealed descriptors
 * over by exec. inherit_join() makes it that of the program before. */
uint64_t inherit_tree(void);
void inherit_join(uint64_t tree);

/* Whether this process has a sealed descriptor that the program has not marked close-on-exec. */
bool inherit_any(void);

#endif
