/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_WAITING_H
#define SOCKSEAL_WAITING_H

/*
 * poll, select and epoll: answered by the kernel. The shim adds two things: whoever waits makes progress with
 * what is outstanding (drive.h), and poll and select look behind the readiness of a blocking descriptor, so
 * that a read does not block because only a handshake message or half a record had come.
 *
 * Times are spans where they are a struct timespec (NULL: none), and else absolute, in net_now_ms()
 * milliseconds, INT64_MAX for none. Results are counts or -errno.
 */

#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>

#include "conn/fdtable.h"

/* Makes calls that block, and handshakes, tell what waits for them. To be called before the first connection.
 */
void wait_begin(void);

/* Whether a wait for these needs more than the kernel's call. */
bool wait_concerns_poll(struct pollfd *fds, nfds_t count);
bool wait_concerns_select(int count, const fd_set *read, const fd_set *write, const fd_set *except);

int wait_poll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask);
int wait_select(int count, fd_set *read, fd_set *write, fd_set *except, const struct timespec *timeout,
                const sigset_t *mask);

/* How many descriptors of sets that are said to have `count` the kernel would look at. */
int wait_select_bound(int count);

/* Whether the program has ever asked an epoll for EPOLLET or EPOLLONESHOT. */
extern _Atomic bool wait_edges;

/* While something is outstanding. */
int wait_epoll(int epoll, struct epoll_event *events, int max, int64_t until_ms, const sigset_t *mask);

/* Sleeps until then, making progress: 0 or -EINTR. */
int wait_sleep(int64_t until_ms);

/* While something is outstanding: before a blocking read of a descriptor that is not sealed. 0, or -EINTR,
 * -EAGAIN. */
int wait_before_read(int fd, int flags);

/* The same for a call that writes: until there is room. */
int wait_before_write(int fd, int flags);

#endif
