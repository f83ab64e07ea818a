/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_HANDSHAKE_H
#define SOCKSEAL_HANDSHAKE_H

/* The handshake of a connection, as far as it goes without waiting. */

#include "conn/fdtable.h"

/* Starts it: a client's ClientHello goes out (if TCP is connected; otherwise with the first progress that
 * finds it so), a server begins to wait. Called once, before the descriptor is known to others. 0 or -errno
 * (ENOKEY: no usable key). */
int handshake_start(const struct conn_handle *handle);

/*
 * Takes in what the peer has sent of the handshake, and not a byte more, and sends what is to be sent: 0, or
 * -errno of the failed connection. Afterwards conn_is_established() tells whether it is over. Does nothing if
 * another thread is at it; -EBUSY: for long (lock_take_soon()).
 */
int handshake_progress(const struct conn_handle *handle);

/* Called after a handshake went on, with no lock held; set at load (io/progress.h). NULL: nobody waits for
 * it. */
extern void (*handshake_advanced)(const struct conn_handle *handle);

/* Fails the connection with ETIMEDOUT if its time is up. */
void handshake_expire(const struct conn_handle *handle);

#endif
