/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_HANDSHAKE_H
#define SOCKSEAL_HANDSHAKE_H

/* The handshake of a connection, as far as it goes without waiting for the peer. Which keys it may use is in
 * record/handshake_keys.h, how long it may take in record/handshake_timeout.h, and what it consists of in
 * tls/. */

#include "conn/fdtable.h"

/* Starts it, with both locks held. A client's ClientHello is sent, or, if TCP is not connected yet, queued
 * until a later progress finds it connected. A server waits for one. Called once. 0 or -errno (ENOKEY: no
 * usable key). */
int handshake_start(const struct conn_handle *handle);

/*
 * Receives what the peer has sent of the handshake, and no byte behind that, and sends what is to be sent.
 * Afterwards conn_is_established() tells whether the handshake is over. 0, or -errno of the failed
 * connection. If another thread is doing the same, 0 with nothing done, or -EBUSY if it holds a lock for long
 * (lock_take_soon()). Needs no lock.
 */
int handshake_progress(const struct conn_handle *handle);

/* A program that has set TCP_QUICKACK to 0 before it connects, and resets the connection at once, only looks
 * whether the port is open: its peer's accept(2) never sees it, since the acknowledgement that would complete
 * the connection is delayed (tcp(7)). A ClientHello would carry it. So that waits until the program uses the
 * connection, for as long as the kernel would delay an acknowledgement. handshake_hold() is for a connection
 * that is about to be made, handshake_unhold() for each call that uses one. */
void handshake_hold(struct conn *conn);

static inline void handshake_unhold(struct conn *conn)
{
    if (atomic_load_explicit(&conn->tx.holds_hello, memory_order_relaxed))
        atomic_store(&conn->tx.holds_hello, 0);
}

/* Called when a handshake has made progress, with no lock held. Set before the first connection (io/wait.h),
 * since what waits for that is in a room above; NULL: nothing waits. */
extern void (*handshake_advanced)(const struct conn_handle *handle);

/* In a forked child: wipes what threads of the parent were computing. */
void handshake_after_fork(void);

/* Whether a thread of this process may have taken handshake messages out of the kernel since the mark. Then
 * what the kernel called readable meanwhile may not be so any more. */
uint32_t handshake_mark(void);
bool handshake_moved_since(uint32_t mark);

#endif
