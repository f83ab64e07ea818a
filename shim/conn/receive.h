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

#include "conn/registry.h"

/* recvmsg(2)'s work: a count, 0 at the end, -errno, or CONN_LOOK_AGAIN (send.h). */
ssize_t receive_message(const struct sealed *sealed, const struct iovec *iov, size_t count, int flags);

/* Whether a read would find data, an end or an error: looks behind what the kernel calls readable, and takes
 * in what is none of these (handshake messages, tickets, half records). Does not wait. */
bool receive_ready(const struct sealed *sealed);

/* FIONREAD: bytes of plaintext that can be read without waiting. */
size_t receive_available(const struct sealed *sealed);

/* Before a close: takes what is not data for the program out of the kernel's queue, so that a close is not a
 * reset. */
void receive_discard(const struct sealed *sealed);

#endif
