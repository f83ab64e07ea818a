/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_RECV_H
#define SOCKSEAL_RECV_H

/*
 * The receiving calls. Two invariants keep the kernel's readiness true:
 *   - while decrypted plaintext is in the connection's queue, at least one byte is in the kernel's queue;
 *   - the bytes of an incomplete record are not, once somebody has looked.
 */

#include <sys/types.h>
#include <sys/uio.h>

#include "conn/fdtable.h"
#include "conn/result.h"

/* recvmsg(2)'s work: a count, 0 at the end, -errno, or IO_RETRY_LOOKUP. */
struct io_result recv_message(const struct conn_handle *handle, const struct iovec *iov, size_t count,
                              int flags);

/* recv_message() for the fast path: one piece of memory, and nothing special about the connection or the
 * flags; else IO_NOT_FAST. */
struct io_result recv_fast(const struct conn_handle *handle, void *to, size_t len, int flags);

/* Takes rx_lock as a reader with these MSG_ flags does: 0, -errno, IO_RETRY_LOOKUP. */
struct io_result recv_begin(const struct conn_handle *handle, int flags);

#endif
