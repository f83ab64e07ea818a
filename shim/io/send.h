/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_SEND_H
#define SOCKSEAL_SEND_H

/* The sending calls: a write is accepted when the kernel has it, or, before keys are installed, when the
 * queue has it. */

#include <sys/types.h>
#include <sys/uio.h>

#include "conn/fdtable.h"
#include "conn/result.h"

/* sendmsg(2)'s work: seals and sends the bytes of `iov`. A count or -errno, or IO_RETRY_LOOKUP. Raises
 * SIGPIPE where the kernel would. */
struct io_result send_message(const struct conn_handle *handle, const struct iovec *iov, size_t count,
                              int flags);

/* send_message() for the fast path: a small piece of memory, and nothing special about the connection or the
 * flags; else IO_NOT_FAST. */
struct io_result send_fast(const struct conn_handle *handle, const struct iovec *iov, int flags);

/* What writing to nobody gives: SIGPIPE, unless `flags` have MSG_NOSIGNAL, and -EPIPE. */
ssize_t send_broken_pipe(int flags);

#endif
