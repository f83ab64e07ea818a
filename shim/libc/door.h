/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_DOOR_H
#define SOCKSEAL_DOOR_H

/*
 * What the doors have in common; libc/doors.list names them all. A door looks the descriptor up and
 * delegates. For a descriptor that is not sealed it calls libc's own function. Its contract is the man page
 * of the call of the same name.
 */

#include <errno.h>

#include "conn/fdtable.h"
#include "io/recv.h"
#include "io/send.h"
#include "process/fork.h"
#include "sys/real.h"

#define DOOR __attribute__((visibility("default")))

/* A second name for a door, as libc has it. */
#define DOOR_ALIAS(name) __attribute__((visibility("default"), alias(name)))

/* From result-or-minus-errno to libc's convention. `saved` is errno from before: it is untouched on success.
 */
static inline long door_result(long result, int saved)
{
    errno = result < 0 ? (int)-result : saved;
    return result < 0 ? -1 : result;
}

/* In both processes after a fork for which fork_prepare() was called; `child` is what it returned.
 * Keeps errno. */
static inline void door_forked(long child)
{
    int saved = errno;
    if (child == 0)
        fork_in_child();
    else
        fork_in_parent();
    if (child < 0)
        fork_failed();
    errno = saved;
}

/* The connection of a descriptor that a call with these MSG_ flags is about to move bytes of, in *handle. If
 * it is a socket without a connection, one is waited for (io/unconnected.h). False: the call fails, with
 * errno. */
bool door_wait_to_send(struct conn_handle *handle, int flags);
bool door_wait_to_receive(struct conn_handle *handle, int flags);

static inline bool door_to_send(int fd, int flags, struct conn_handle *handle)
{
    *handle = fdtable_find(fd);
    return !fdtable_is_unconnected(handle) || door_wait_to_send(handle, flags);
}

static inline bool door_to_receive(int fd, int flags, struct conn_handle *handle)
{
    *handle = fdtable_find(fd);
    return !fdtable_is_unconnected(handle) || door_wait_to_receive(handle, flags);
}

/* Until the handshake is over, work on a connection reads it before it takes a direction lock, so it is
 * pinned meanwhile. Not if its slot has been given to another connection: taking the first lock tells that.
 * Gives what to unpin, or NULL. */
static inline struct conn *door_pin(const struct conn_handle *handle)
{
    if (conn_is_established(handle->conn))
        return NULL;
    return conn_pin(handle->conn, handle->generation) ? handle->conn : NULL;
}

/* For __attribute__((cleanup)): also when the thread is cancelled. */
static inline void door_unpin(struct conn **pinned)
{
    if (*pinned)
        conn_unpin(*pinned);
}

/* Reads from, or writes to, a descriptor that was sealed when looked up. Libc's convention. The array is the
 * caller's own. */
ssize_t door_receive(struct conn_handle handle, const struct iovec *iov, size_t count, int flags);
ssize_t door_send(struct conn_handle handle, const struct iovec *iov, size_t count, int flags);

/* The same for one piece of memory: the fast path first. */
static inline ssize_t door_receive_one(const struct conn_handle *handle, void *to, size_t len, int flags)
{
    const int saved = errno;
    const struct io_result got = recv_fast(handle, to, len, flags);
    return got.status == IO_DONE ? door_result(got.value, saved)
                                 : door_receive(*handle, &(struct iovec){to, len}, 1, flags);
}

static inline ssize_t door_send_one(const struct conn_handle *handle, const void *from, size_t len, int flags)
{
    const int saved = errno;
    const struct io_result sent = send_fast(handle, from, len, flags);
    return sent.status == IO_DONE
               ? door_result(sent.value, saved)
               : door_send(*handle, &(struct iovec){(void *)(uintptr_t)from, len}, 1, flags);
}

/* The same for an array of the program's, which is copied first (libc/pieces.h). */
ssize_t door_receive_pieces(struct conn_handle handle, const struct iovec *iov, size_t count, int flags);
ssize_t door_send_pieces(struct conn_handle handle, const struct iovec *iov, size_t count, int flags);

#endif
