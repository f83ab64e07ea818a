/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_TX_FLUSH_H
#define SOCKSEAL_TX_FLUSH_H

/*
 * What stands to be sent before anything new: handshake messages, alerts and KeyUpdates, the rest of a
 * record, and what the program wrote before there were keys. In tx_chunk as ciphertext, in the queue as
 * plaintext.
 */

#include "conn/map.h"

/* Sends, without waiting, what stands to be sent. 0 when nothing is left, -EAGAIN, -EBUSY
 * (tx_flush_take_soon()), or -errno of a failure. */
int tx_flush(const struct conn_handle *handle);

/* The same with the role tx held by the caller. */
int tx_flush_locked(const struct conn_handle *handle);

/* Takes the role tx, unless another thread is parked in the kernel with it, or we are in a signal handler
 * above its work. If its last owner left in the middle, the connection fails. */
bool tx_flush_take(const struct conn_handle *handle);

/* The same, 1 or 0, for who makes progress with other people's connections: -EBUSY if another thread computes
 * with the role for long, see lock_take_soon(). */
int tx_flush_take_soon(const struct conn_handle *handle);

/* Gives up the role tx, after sending what a signal handler of this thread wrote meanwhile. */
void tx_flush_release(const struct conn_handle *handle);

/* The same where nothing else was changed under it. */
static inline void tx_flush_leave(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    if (conn->deferred.total == 0) {
        conn_release(conn, &conn->tx);
        if (conn->deferred.total == 0 || !fdtable_current(handle) || !lock_try(&conn->tx) || !map_tx(handle))
            return;
    }
    tx_flush_release(handle);
}

/* Appends an alert (TLS_ALERT_NONE: none is called for) and sends what can be sent without waiting. The keys
 * of a session that has failed are wiped. Skipped if a writer is parked in the kernel, or computes for long.
 */
void tx_flush_alert(const struct conn_handle *handle, enum tls_alert alert);

/* Renews our keys if the peer asked for it, unless a writer is parked: it will do so itself with its next
 * record. */
void tx_flush_key_update(const struct conn_handle *handle);

/* With the role held, with MSG_ flags of the program's choice: 0 when all is sent, -errno, or -ESTALE
 * (blocking.h). */
int tx_flush_with(const struct conn_handle *handle, int flags);

/* The same for a peer that does not seal: the queue, as it is. */
int tx_flush_plaintext(const struct conn_handle *handle, int flags);

/* Renews our keys, role held; false: the connection has failed. */
bool tx_flush_update_keys(const struct conn_handle *handle);

#endif
