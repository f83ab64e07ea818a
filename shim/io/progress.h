/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_PROGRESS_H
#define SOCKSEAL_PROGRESS_H

/*
 * Whoever waits drives: connections with something outstanding (a handshake, bytes accepted but not sent, a
 * close that is not finished) are marked per descriptor, and stand in one private epoll while somebody waits.
 * While none is outstanding, a wait costs one load more.
 */

#include <poll.h>
#include <signal.h>

#include "conn/fdtable.h"

/* After the handshake went on, wherever that was: does what waited for it, and waits for the right thing from
 * now on. No role may be held. */
void progress_review(const struct conn_handle *handle);

/* Does for one connection what can be done without waiting, and unmarks it when nothing is left. */
void progress_step(const struct conn_handle *handle);

/* Does so for every outstanding connection that the kernel reports ready, or whose time is up. */
bool progress_run(void);

/* Waits until fd has one of `events` (POLLIN, POLLOUT; an error counts), making progress meanwhile. 1 when it
 * has, 0 when `until_ms` (net_now_ms(), INT64_MAX: no limit) is past, -EINTR. fd -1: waits for progress
 * alone: 1 after some. */
int progress_wait(int fd, short events, int64_t until_ms);

/* The same for a sealed descriptor whose handshake the caller makes progress with himself when it is ready.
 */
int progress_wait_for(int fd, short events, int64_t until_ms);

/* Like ppoll(2), and makes progress meanwhile. Result >= 0 or -errno. `until_ms` as above. */
int progress_poll(struct pollfd *fds, nfds_t count, int64_t until_ms, const sigset_t *mask);

/* To be called after handshake_progress(). Waits for `established`, or (`sending`) for can_send, until
 * `until_ms`: 1, 0 at the limit, -EINTR, -errno of a failure. */
int progress_handshake(const struct conn_handle *handle, bool sending, int64_t until_ms);

#endif
