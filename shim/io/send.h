/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_SEND_H
#define SOCKSEAL_SEND_H

/* The sending path: a write is accepted when the kernel has it, or, before keys stand, when the queue has it.
 */

#include <sys/types.h>
#include <sys/uio.h>

#include "conn/fdtable.h"

/* What the data doors are given instead of a count or -errno. */
enum {
    CONN_RETRY_LOOKUP = -4096, /* the descriptor turns out not to be sealed any more: look again */
    CONN_NOT_FAST = -4097,     /* the call is not an ordinary one, and nothing was done */
};

/* sendmsg(2)'s work: seals and sends the bytes of `iov`. A count or -errno, or CONN_RETRY_LOOKUP. Raises
 * SIGPIPE where the kernel would. */
ssize_t send_message(const struct conn_handle *handle, const struct iovec *iov, size_t count, int flags);

/* send_message() for the ordinary case: a small piece of memory, and nothing special about the connection or
 * the flags; else CONN_NOT_FAST. */
ssize_t send_fast(const struct conn_handle *handle, const struct iovec *iov, int flags);

/* What writing to nobody gives: SIGPIPE, unless `flags` have MSG_NOSIGNAL, and -EPIPE. */
ssize_t send_broken_pipe(int flags);

#endif
