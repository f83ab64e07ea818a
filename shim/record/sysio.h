/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_SYSIO_H
#define SOCKSEAL_SYSIO_H

/*
 * The system calls that may block on the program's behalf. Whether they do is left to the kernel (O_NONBLOCK,
 * SO_RCVTIMEO, signals). Meanwhile the lock of the direction is marked as blocked (conn/lock.h). They are
 * cancellation points, as the program's calls are: a thread that is cancelled releases the lock.
 */

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "conn/fdtable.h"
#include "conn/result.h"
#include "sys/net.h"
#include "sys/real.h"

/* send(2) of ciphertext, tx_lock held: a byte count or -errno. If another thread has closed the descriptor
 * meanwhile and this process has another one of the connection, handle->fd is that one from then on.
 * IO_LOCK_LOST: meanwhile the lock was taken over (lock_unblock()), or the descriptor was closed. Then the
 * lock is not held any more. */
struct io_result sysio_send(const struct conn_handle *handle, const void *data, size_t len, int flags);

/* The same for a record of a small write, which the kernel usually takes at once: the first try is without
 * waiting, so that the lock need not be marked as blocked, which costs two atomic operations. That try is no
 * cancellation point: before the caller takes the lock, it calls sysio_test_cancel(). */
struct io_result sysio_send_small(const struct conn_handle *handle, const void *data, size_t len, int flags);
static inline void sysio_test_cancel(void)
{
    if (real()->pthread_testcancel)
        real()->pthread_testcancel();
}

/* recv(2) and recvmsg(2), rx_lock held: the same. If the descriptor was closed meanwhile (fdtable_current()),
 * what came is still from this connection. No further call may be made on the descriptor, since its number
 * may be another file's. */
struct io_result sysio_recv(const struct conn_handle *handle, void *buffer, size_t len, int flags);
struct io_result sysio_recvmsg(const struct conn_handle *handle, struct msghdr *message, int flags);

/* Hooks that are called before a system call that may block, to make progress with what this process has
 * pending. They are set before the first connection (io/wait.h), since progress is in a room above; NULL:
 * nothing is done. The first tells whether another connection than this descriptor's has something pending.
 * The others wait until the descriptor is ready: 0, -EINTR, or -EAGAIN when its own time limit is over,
 * counted from since_ms (0: from now). If another thread closes it meanwhile, the one for reading gives
 * -EBADF, and the one for writing 0. */
extern bool (*sysio_others_pending)(int fd);
extern int (*sysio_before_read)(const struct conn_handle *handle, int flags, int64_t since_ms);
extern int (*sysio_before_write)(const struct conn_handle *handle, int flags, int64_t since_ms);

/* Whether this process may have sockets with SO_RCVTIMEO or SO_SNDTIMEO. A call of the program's that takes
 * several of the kernel's then counts the time from its beginning: sysio_begins() gives that, or 0. It goes
 * to rx.since_ms or tx.since_ms before the second call. */
extern _Atomic bool sysio_limits_used;
static inline int64_t sysio_begins(int flags)
{
    return sysio_limits_used && !(flags & MSG_DONTWAIT) ? net_now_ms() : 0;
}

/* Lets another thread go on that is about to come back from its call. `*yields` counts, from 0. False: that
 * was done often enough, or has lately been in vain: the other thread may be in a signal handler above its
 * call, and a handler that waits here for longer than the time to its own next signal would never end. */
bool sysio_yield(unsigned *yields);

/* Takes `len` bytes that have arrived out of the kernel's queue, without copying them (tcp(7), MSG_TRUNC). */
void sysio_drop(int fd, size_t len);

/* Whether a call on this descriptor with these MSG_ flags may block; asks the kernel. */
bool sysio_may_block(int fd, int flags);

/* Whether a wait that a signal has interrupted is to go on, because every handler of this process was
 * installed with SA_RESTART. poll(2), in which the library waits, is never restarted by the kernel
 * (signal(7)). */
bool sysio_restarts(void);

/* When a wait that starts now must end by `option`, SO_RCVTIMEO or SO_SNDTIMEO: a time of net_now_ms(), or
 * INT64_MAX if there is no limit. */
int64_t sysio_limit(int fd, int option);

/* The same for a wait that began at `since_ms`; 0: now. */
int64_t sysio_limit_since(int fd, int option, int64_t since_ms);

#endif
