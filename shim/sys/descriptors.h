/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_DESCRIPTORS_H
#define SOCKSEAL_DESCRIPTORS_H

/* Calls `visit` for each descriptor that is open in this process; it may close and open some. The kernel's
 * own list (/proc/self/fd) or, where there is none, every number below 1024. */
void descriptors_each(void (*visit)(int fd, void *context), void *context);

#endif
