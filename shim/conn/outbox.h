/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_OUTBOX_H
#define SOCKSEAL_OUTBOX_H

/*
 * What stands to be sent before anything new: handshake messages, alerts and KeyUpdates, the rest of a
 * record, and what the program wrote before there were keys. In tx_chunk as ciphertext, in the queue as
 * plaintext.
 */

#include "conn/reach.h"

/* Sends, without waiting, what stands to be sent. 0 when nothing is left, -EAGAIN, -EBUSY
 * (outbox_take_soon()), or -errno of a failure. */
int outbox_flush(const struct sealed *sealed);

/* The same with the role tx held by the caller. */
int outbox_flush_held(const struct sealed *sealed);

/* Takes the role tx, unless another thread is parked in the kernel with it, or we are in a signal handler
 * above its work. If its last owner left in the middle, the connection fails. */
bool outbox_take(const struct sealed *sealed);

/* The same, 1 or 0, for who makes progress with other people's connections: -EBUSY if another thread computes
 * with the role for long, see role_take_soon(). */
int outbox_take_soon(const struct sealed *sealed);

/* Gives up the role tx, after sending what a signal handler of this thread wrote meanwhile. */
void outbox_release(const struct sealed *sealed);

/* The same where nothing else was changed under it. */
static inline void outbox_leave(const struct sealed *sealed)
{
    struct conn *conn = sealed->conn;
    if (conn->deferred.total == 0) {
        conn_release(conn, &conn->tx);
        if (conn->deferred.total == 0 || !registry_current(sealed) || !role_try(&conn->tx) ||
            !reach_tx(sealed))
            return;
    }
    outbox_release(sealed);
}

/* Appends bytes (of a handshake flight, an alert) to what goes out next; role tx held. False if there is no
 * room. */
bool outbox_append(struct conn *conn, const uint8_t *data, size_t len);

/* Appends an alert (TLS_ALERT_NONE: none is called for) and sends what can be sent without waiting. The keys
 * of a session that has failed are wiped. Skipped if a writer is parked in the kernel, or computes for long.
 */
void outbox_alert(const struct sealed *sealed, enum tls_alert alert);

/* Renews our keys if the peer asked for it, unless a writer is parked: it will do so itself with its next
 * record. */
void outbox_key_update(const struct sealed *sealed);

/* With the role held, with MSG_ flags of the program's choice: 0 when all is sent, -errno, or -ESTALE
 * (blocking.h). */
int outbox_flush_with(const struct sealed *sealed, int flags);

/* The same for a peer that does not seal: the queue, as it is. */
int outbox_flush_plain(const struct sealed *sealed, int flags);

/* Renews our keys, role held; false: the connection has failed. */
bool outbox_update_keys(const struct sealed *sealed);

/* Brings conn->to_send up to date, role held, after a change of the queue or of tx_chunk. */
void outbox_account(struct conn *conn);

#endif
