/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_DRIVE_H
#define SOCKSEAL_DRIVE_H

/*
 * Whoever waits drives: connections with something outstanding (a handshake, bytes accepted but not sent, a
 * close that is not finished) are marked per descriptor, and stand in one private epoll while somebody waits.
 * While none is outstanding, a wait costs one load more.
 */

#include <poll.h>
#include <signal.h>

#include "conn/registry.h"

extern _Atomic uint32_t drive_count;

/* Whether this process has anything outstanding. */
static inline bool drive_outstanding(void)
{
    return atomic_load_explicit(&drive_count, memory_order_relaxed) != 0;
}

/* Marks a sealed descriptor as having something outstanding; nothing happens if it is marked. */
void drive_add(int fd);

/* Unmarks it. To be called before the descriptor is closed, too. */
void drive_drop(int fd);

/* Unmarks it if nothing is outstanding any more. */
void drive_settle(const struct sealed *sealed);

/* After the handshake went on, wherever that was: does what waited for it, and waits for the right thing from
 * now on. No role may be held. */
void drive_review(const struct sealed *sealed);

/* Does for one connection what can be done without waiting, and unmarks it when nothing is left. */
void drive_step(const struct sealed *sealed);

/* Does so for every outstanding connection that the kernel reports ready, or whose time is up. */
bool drive_progress(void);

/* The private epoll with every outstanding connection in it; -1 if there is none. For waiting on it beside
 * others. */
int drive_descriptor(void);

/* Earliest time, in net_now_ms() milliseconds, at which drive_progress() has something to do without an
 * event; INT64_MAX: never. */
int64_t drive_deadline(void);

/* Waits until fd has one of `events` (POLLIN, POLLOUT; an error counts), making progress meanwhile. 1 when it
 * has, 0 when `until_ms` (net_now_ms(), INT64_MAX: no limit) is past, -EINTR. fd -1: waits for progress
 * alone: 1 after some. */
int drive_wait(int fd, short events, int64_t until_ms);

/* The same for a sealed descriptor whose handshake the caller makes progress with himself when it is ready.
 */
int drive_wait_for(int fd, short events, int64_t until_ms);

/* Like ppoll(2), and makes progress meanwhile. Result >= 0 or -errno. `until_ms` as above. */
int drive_poll(struct pollfd *fds, nfds_t count, int64_t until_ms, const sigset_t *mask);

/* In a forked child: an epoll of its own, made when needed. */
void drive_after_fork(void);

#endif
