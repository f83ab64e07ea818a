/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_SYSIO_H
#define SOCKSEAL_SYSIO_H

/*
 * Calls that block or not as the kernel decides (O_NONBLOCK, SO_RCVTIMEO, signals), made with the lock of a
 * direction marked as blocked. They are cancellation points, as the calls that they stand for are; a
 * cancelled thread leaves the lock in order.
 */

#include <stdbool.h>
#include <sys/types.h>

#include "conn/fdtable.h"
#include "conn/result.h"

/* send(2) of ciphertext, tx_lock held: a byte count or -errno. IO_LOCK_LOST: the lock was taken over
 * meanwhile (lock_unblock()), or the descriptor closed, and the lock is not held any more. */
struct io_result sysio_send(const struct conn_handle *handle, const void *data, size_t len, int flags);

/* recv(2) and recvmsg(2), rx_lock held; the same. If the descriptor was closed meanwhile (fdtable_current()),
 * what came is from its connection still, but its number may be another's: no further call may be made on it.
 */
struct io_result sysio_recv(const struct conn_handle *handle, void *buffer, size_t len, int flags);
struct io_result sysio_recvmsg(const struct conn_handle *handle, struct msghdr *message, int flags);

/* Called before a call that may block, for what this process has pending: what the call waits for may depend
 * on that. Set at load (io/wait.h); NULL: nothing is waited for. The first tells whether another connection
 * than this descriptor's has something pending. The others return 0, or -EINTR, -EAGAIN. */
extern bool (*sysio_others_pending)(int fd);
extern int (*sysio_before_read)(int fd, int flags);
extern int (*sysio_before_write)(int fd, int flags);

/* Whether a call on this descriptor with these MSG_ flags may block; asks the kernel. */
bool sysio_may_block(int fd, int flags);

/* Whether a system call that a signal has interrupted is to go on, because every handler of this process was
 * installed with SA_RESTART. poll(2), which we wait in, never restarts by itself. */
bool sysio_restarts(void);

/* Absolute end, in net_now_ms() milliseconds, of a wait under SO_RCVTIMEO or SO_SNDTIMEO; INT64_MAX: none. */
int64_t sysio_limit(int fd, int option);

#endif
