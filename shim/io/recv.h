/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_RECEIVE_H
#define SOCKSEAL_RECEIVE_H

/*
 * The receiving path. Two invariants keep the kernel's readiness true (design, section 5):
 *   - while opened plaintext stands in the inbox, at least one byte stands in the kernel's queue;
 *   - the bytes of an incomplete record do not, once somebody has looked.
 */

#include <sys/types.h>
#include <sys/uio.h>

#include "conn/fdtable.h"

/* recvmsg(2)'s work: a count, 0 at the end, -errno, or CONN_RETRY_LOOKUP (send.h). */
ssize_t recv_message(const struct conn_handle *handle, const struct iovec *iov, size_t count, int flags);

/* recv_message() for the ordinary case: one piece of memory, and nothing special about the connection or
 * the flags; else CONN_NOT_FAST (send.h). */
ssize_t recv_fast(const struct conn_handle *handle, void *to, size_t len, int flags);

/* Takes the role rx as a reader with these MSG_ flags does: 0, -errno, CONN_RETRY_LOOKUP. */
int recv_begin(const struct conn_handle *handle, int flags);

#endif
