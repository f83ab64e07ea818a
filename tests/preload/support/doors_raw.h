/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef PRELOAD_DOORS_RAW_H
#define PRELOAD_DOORS_RAW_H

/* The same calls by syscall(2), as programs make them that do not trust libc with a new one; in the shapes of
 * doors.h. */

#include <stddef.h>
#include <sys/types.h>

ssize_t raw_read(int fd, void *data, size_t len);
ssize_t raw_readv(int fd, void *data, size_t len);
ssize_t raw_preadv2(int fd, void *data, size_t len);
ssize_t raw_recvfrom(int fd, void *data, size_t len);
ssize_t raw_recvmsg(int fd, void *data, size_t len);
ssize_t raw_recvmmsg(int fd, void *data, size_t len);

ssize_t raw_write(int fd, const void *data, size_t len);
ssize_t raw_writev(int fd, const void *data, size_t len);
ssize_t raw_pwritev2(int fd, const void *data, size_t len);
ssize_t raw_sendto(int fd, const void *data, size_t len);
ssize_t raw_sendmsg(int fd, const void *data, size_t len);
ssize_t raw_sendmmsg(int fd, const void *data, size_t len);

int raw_poll(int fd, short events, int timeout_ms);
int raw_ppoll(int fd, short events, int timeout_ms);
int raw_select(int fd, short events, int timeout_ms);
int raw_pselect6(int fd, short events, int timeout_ms);
int raw_epoll_wait(int fd, short events, int timeout_ms);
int raw_epoll_pwait(int fd, short events, int timeout_ms);
int raw_epoll_pwait2(int fd, short events, int timeout_ms);

#endif
