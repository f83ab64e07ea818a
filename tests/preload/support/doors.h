/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef PRELOAD_DOORS_H
#define PRELOAD_DOORS_H

/* Every entry point that reads, writes or waits, brought to one shape, so that a scenario can go through all
 * of them. */

#include <stddef.h>
#include <sys/types.h>

struct reader_door {
    const char *name;
    ssize_t (*read)(int fd, void *data, size_t len);
};

struct writer_door {
    const char *name;
    ssize_t (*write)(int fd, const void *data, size_t len);
};

/* Waits for `events` (poll's bits); gives those that are there (select and epoll's brought to poll's), or -1.
 */
struct waiter_door {
    const char *name;
    int (*wait)(int fd, short events, int timeout_ms);
};

extern const struct reader_door reader_doors[];
extern const size_t reader_door_count;
extern const struct writer_door writer_doors[];
extern const size_t writer_door_count;
extern const struct waiter_door waiter_doors[];
extern const size_t waiter_door_count;

#endif
