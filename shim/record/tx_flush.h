/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_TX_FLUSH_H
#define SOCKSEAL_TX_FLUSH_H

/*
 * Sending what comes before anything new: handshake messages, alerts, KeyUpdates and the rest of a record, in
 * tx.chunk as ciphertext; and what the program wrote before keys were installed, in tx.queue as plaintext.
 *
 * A record that the kernel took in part, and whose content is not all on the wire (TX_PARTIAL), is not among
 * them: tx_record_resume() continues it (record/tx_record.h), or it is completed when the program does not
 * (io/partial.h).
 */

#include "config/config.h"
#include "conn/hold.h"
#include "conn/result.h"
#include "sys/net.h"

/* Sends what is to be sent, without waiting. 0 when nothing is left; -EAGAIN if the kernel, or a writer in a
 * system call, is in the way; -EBUSY if another thread computes with tx_lock for long; or another -errno. */
int tx_flush(const struct conn_handle *handle);

/* The same with tx_lock held. */
int tx_flush_locked(const struct conn_handle *handle);

/* The same with tx_lock held and the program's MSG_ flags, so that it may wait: 0 when all is sent, -errno,
 * or IO_LOCK_LOST. */
struct io_result tx_flush_with(const struct conn_handle *handle, int flags);

/* The same for a peer that does not seal (SOCKSEAL_PLAINTEXT=accept): the queue, unchanged. */
struct io_result tx_flush_plaintext(const struct conn_handle *handle, int flags);

/* Releases tx_lock, after sending what a signal handler of this thread has written meanwhile. */
void tx_flush_release(const struct conn_handle *handle);

/* The same for the fast path: inline, for the case that no signal handler has written. */
static inline void tx_flush_release_fast(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    if (conn->tx.deferred.total == 0) {
        conn_release_tx(conn);
        if (conn->tx.deferred.total == 0 || hold_tx(handle, HOLD_TRY) != HOLD_TAKEN)
            return;
    }
    tx_flush_release(handle);
}

/* Sends an alert, as far as that is possible without waiting, and wipes the keys of a session that has
 * failed. TLS_ALERT_NONE: no alert is to be sent. Does nothing if a writer is in a system call or computes
 * for long. */
void tx_flush_alert(const struct conn_handle *handle, enum tls_alert alert);

/* Renews the sending keys if the peer has asked for that. Does nothing if a writer is in a system call: it
 * does so itself with its next record. */
void tx_flush_key_update(const struct conn_handle *handle);

/* Renews the sending keys, with tx_lock held. False: the connection has failed. */
bool tx_flush_update_keys(const struct conn_handle *handle);

/* Whether the sending keys are to be renewed before more is encrypted. */
static inline bool tx_flush_keys_due(struct conn *conn)
{
    return tls_session_wants_key_update(&conn->session, &config_get()->renewal, net_coarse_seconds());
}

#endif
