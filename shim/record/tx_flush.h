/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_TX_FLUSH_H
#define SOCKSEAL_TX_FLUSH_H

/*
 * What is to be sent before anything new: handshake messages, alerts and KeyUpdates, the rest of a record,
 * and what the program wrote before keys were installed. In tx.chunk as ciphertext, in tx.queue as plaintext.
 */

#include "config/config.h"
#include "conn/hold.h"
#include "conn/result.h"
#include "sys/net.h"

/* Sends, without waiting, what is to be sent. 0 when nothing is left, -EAGAIN, -EBUSY (another thread
 * computes with tx_lock for long), or -errno of a failure. */
int tx_flush(const struct conn_handle *handle);

/* The same with tx_lock held. */
int tx_flush_locked(const struct conn_handle *handle);

/* With tx_lock held, and MSG_ flags of the program's choice: 0 when all is sent, -errno, or IO_LOCK_LOST. */
struct io_result tx_flush_with(const struct conn_handle *handle, int flags);

/* The same for a peer that does not seal (SOCKSEAL_PLAINTEXT=accept): the queue, unchanged. */
struct io_result tx_flush_plaintext(const struct conn_handle *handle, int flags);

/* Releases tx_lock, after sending what a signal handler of this thread wrote meanwhile. */
void tx_flush_release(const struct conn_handle *handle);

/* The same where nothing else was changed under it. */
static inline void tx_flush_leave(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    if (conn->tx.deferred.total == 0) {
        conn_release_tx(conn);
        if (conn->tx.deferred.total == 0 || hold_tx(handle, HOLD_TRY) != HOLD_TAKEN)
            return;
    }
    tx_flush_release(handle);
}

/* Appends an alert (TLS_ALERT_NONE: none is called for) and sends what can be sent without waiting. The keys
 * of a session that has failed are wiped. Skipped if a writer is in a system call, or computes for long. */
void tx_flush_alert(const struct conn_handle *handle, enum tls_alert alert);

/* Renews the sending keys if the peer asked for it, unless a writer is in a system call: it does so itself
 * with its next record. */
void tx_flush_key_update(const struct conn_handle *handle);

/* Renews the sending keys, tx_lock held; false: the connection has failed. */
bool tx_flush_update_keys(const struct conn_handle *handle);

/* Whether our keys are to be renewed before more is sealed. */
static inline bool tx_flush_keys_due(struct conn *conn)
{
    return tls_session_wants_key_update(&conn->session, &config_get()->renewal, net_coarse_seconds());
}

#endif
