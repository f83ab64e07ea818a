/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_WAIT_H
#define SOCKSEAL_WAIT_H

/*
 * poll, select and epoll. The kernel answers them, and the library adds two things. A thread that waits makes
 * progress with what is pending (io/progress.h). And poll and select check what the kernel calls ready
 * (rx_probe_ready()), so that a read does not block because only a handshake message or a part of a record
 * has come.
 *
 * A struct timespec is a span (NULL: no limit); `until_ms` is a time of net_now_ms() (INT64_MAX: no limit).
 * Results are counts or -errno.
 */

#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>

#include "conn/fdtable.h"

/* Sets the hooks of record/sysio.h, record/handshake.h and conn/pending.h. To be called before the first
 * connection. */
void wait_begin(void);

/* Whether a wait for these descriptors needs more than the kernel's call. */
bool wait_concerns_poll(struct pollfd *fds, nfds_t count);
bool wait_concerns_select(int count, const fd_set *read, const fd_set *write, const fd_set *except);

/* As ppoll(2) and pselect(2). */
int wait_poll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask);
int wait_select(int count, fd_set *read, fd_set *write, fd_set *except, const struct timespec *timeout,
                const sigset_t *mask);

/* How many descriptors the kernel would check in sets that the program says have `count`. */
int wait_select_bound(int count);

/* Whether the program has ever asked an epoll for EPOLLET or EPOLLONESHOT. */
extern _Atomic bool wait_edges;

/* As epoll_pwait(2), for when something is pending. */
int wait_epoll(int epoll, struct epoll_event *events, int max, int64_t until_ms, const sigset_t *mask);

/* Sleeps until then, and makes progress meanwhile: 0 or -EINTR. */
int wait_sleep(int64_t until_ms);

/* To be called before a call that may block, while something is pending: waits until fd is readable, and
 * makes progress meanwhile. 0 at once if the call with these MSG_ flags would not block. -EINTR, or -EAGAIN
 * when SO_RCVTIMEO is over. */
int wait_before_read(int fd, int flags);

/* The same for a call that writes: until fd is writable, or SO_SNDTIMEO is over. */
int wait_before_write(int fd, int flags);

#endif
