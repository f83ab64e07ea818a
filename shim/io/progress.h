/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_PROGRESS_H
#define SOCKSEAL_PROGRESS_H

/*
 * Making progress with pending connections (conn/pending.h). A thread that waits in a door does it: it waits
 * for the private epoll beside what the program waits for. While nothing is pending, a wait costs one load
 * more.
 */

#include <poll.h>
#include <signal.h>

#include "conn/fdtable.h"

/* To be called after a handshake has made progress: does what waited for that, and sets what the private
 * epoll is to wait for from now on. No lock may be held. */
void progress_review(const struct conn_handle *handle);

/* Does for one connection what can be done without waiting. If nothing is left it is not pending any more. */
void progress_step(const struct conn_handle *handle);

/* Does so for every pending connection that the kernel reports ready, or whose deadline is past. Whether the
 * kernel reported any. */
bool progress_run(void);

/* Waits until fd has one of `events` (POLLIN, POLLOUT) or an error, and makes progress meanwhile: 1. At
 * `until_ms`, a time of net_now_ms() or INT64_MAX for no limit: 0. Or -EINTR. With fd -1 it makes progress
 * until then. `mask`: as ppoll(2) has it; signals_mask(), when signals are held back. */
int progress_wait(int fd, short events, int64_t until_ms, const sigset_t *mask);

/* The same for a sealed descriptor with whose handshake the caller itself makes progress when this returns.
 */
int progress_wait_for(int fd, short events, int64_t until_ms, const sigset_t *mask);

/* As ppoll(2), and makes progress meanwhile: a count or -errno. `until_ms` as above. */
int progress_poll(struct pollfd *fds, nfds_t count, int64_t until_ms, const sigset_t *mask);

/* To be called after handshake_progress(). Waits for the end of the handshake, or with `sending` for sending
 * keys: 1; 0 at `until_ms`; -EINTR; or -errno of a failure. */
int progress_handshake(const struct conn_handle *handle, bool sending, int64_t until_ms);

/* A line in the log for a wait that there is no memory for, and -ENOMEM, as poll(2) gives. */
int progress_no_memory(void);

#endif
