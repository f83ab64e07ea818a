/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_RECV_H
#define SOCKSEAL_RECV_H

/*
 * The receiving calls. The kernel answers poll, select and epoll, so its own queue must say the truth. Two
 * invariants see to that:
 *   - While decrypted bytes are in the connection's queue, at least one byte is left in the kernel's queue.
 *   - The bytes of an incomplete record are taken out of the kernel as soon as a call has seen them. (Left
 * there, a partly read skb keeps the TCP window closed, and the rest of the record never comes.)
 */

#include <sys/types.h>
#include <sys/uio.h>

#include "conn/fdtable.h"
#include "conn/result.h"

/* Receives as recvmsg(2) does, into the memory of `iov`: a count, 0 at the end, -errno, or IO_RETRY_LOOKUP.
 */
struct io_result recv_message(const struct conn_handle *handle, const struct iovec *iov, size_t count,
                              int flags);

/* The fast path of recv_message(): one piece of memory, no flags but MSG_DONTWAIT, and nothing that needs
 * attention (enum conn_rx_attention). Else IO_NOT_FAST: call recv_message(). */
struct io_result recv_fast(const struct conn_handle *handle, void *to, size_t len, int flags);

/* Takes rx_lock for a reader with these MSG_ flags, which may wait for another reader: 0 with the lock held,
 * -errno, or IO_RETRY_LOOKUP. */
struct io_result recv_begin(const struct conn_handle *handle, int flags);

#endif
