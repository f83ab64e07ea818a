/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_HANDSHAKE_H
#define SOCKSEAL_HANDSHAKE_H

/* The handshake of a connection, as far as it goes without waiting. */

#include "conn/registry.h"

/* Starts it: a client's ClientHello goes out (if TCP is connected; otherwise with the first progress that
 * finds it so), a server begins to wait. Called once, before the descriptor is known to others. 0 or -errno
 * (ENOKEY: no usable key). */
int handshake_start(const struct sealed *sealed);

/*
 * Takes in what the peer has sent of the handshake, and not a byte more, and sends what is to be sent: 0, or
 * -errno of the failed connection. Afterwards conn->established tells whether it is over. Does nothing if
 * another thread is at it; -EBUSY: for long (role_take_soon()).
 */
int handshake_progress(const struct sealed *sealed);

/* To be called after handshake_progress(). Waits for `established`, or (`sending`) for can_send, until
 * `until_ms`: 1, 0 at the limit, -EINTR, -errno of a failure. */
int handshake_wait(const struct sealed *sealed, bool sending, int64_t until_ms);

/* Fails the connection with ETIMEDOUT if its time is up. */
void handshake_expire(const struct sealed *sealed);

#endif
