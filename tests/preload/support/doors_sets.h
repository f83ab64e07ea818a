/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef PRELOAD_DOORS_SETS_H
#define PRELOAD_DOORS_SETS_H

/* The arguments of waiting calls, from the shape of doors.h and back. */

#include <poll.h>
#include <sys/select.h>
#include <time.h>

static inline struct timespec doors_span(int timeout_ms)
{
    return (struct timespec){timeout_ms / 1000, timeout_ms % 1000 * 1000000L};
}

static inline void doors_fill_sets(int fd, short events, fd_set *in, fd_set *out)
{
    FD_ZERO(in);
    FD_ZERO(out);
    if (events & POLLIN)
        FD_SET(fd, in);
    if (events & POLLOUT)
        FD_SET(fd, out);
}

/* `n` is what the call gave. */
static inline int doors_read_sets(long n, int fd, const fd_set *in, const fd_set *out)
{
    return n > 0 ? (FD_ISSET(fd, in) ? POLLIN : 0) | (FD_ISSET(fd, out) ? POLLOUT : 0) : (int)n;
}

#endif
