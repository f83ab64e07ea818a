/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_SEND_H
#define SOCKSEAL_SEND_H

/* The sending calls. A write is accepted when the kernel has it, or, before sending keys are installed, when
 * the connection's queue has it. */

#include <sys/types.h>
#include <sys/uio.h>

#include "conn/fdtable.h"
#include "conn/result.h"

/* Encrypts and sends the bytes of `iov` as sendmsg(2) does: a count, -errno, or IO_RETRY_LOOKUP. Raises
 * SIGPIPE where the kernel would. */
struct io_result send_message(const struct conn_handle *handle, const struct iovec *iov, size_t count,
                              int flags);

/* The fast path of send_message(): one piece of 1 to SCRATCH_SMALL bytes, no flags but MSG_DONTWAIT and
 * MSG_NOSIGNAL, and nothing that needs attention (enum conn_tx_attention). Else IO_NOT_FAST: call
 * send_message(). */
struct io_result send_fast(const struct conn_handle *handle, const void *from, size_t len, int flags);

/* What a write gives that nobody will read: -EPIPE, and SIGPIPE unless `flags` have MSG_NOSIGNAL. */
ssize_t send_broken_pipe(int flags);

#endif
