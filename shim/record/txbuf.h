/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_TXBUF_H
#define SOCKSEAL_TXBUF_H

/* The buffer of ciphertext that is to be sent before anything new: tx.len bytes in tx.chunk, tx.off bytes
 * behind its start. All functions need tx_lock. */

#include "conn/conn.h"

/* Where the bytes are, read once and checked: another process that shares the connection may write to its
 * memory. `damaged`: they cannot be there; off and len are 0 then. */
struct txbuf {
    uint32_t off, len;
    bool damaged;
};

struct txbuf txbuf_of(const struct conn *conn);

/* Appends bytes: of a handshake flight, an alert, or the rest of a record. False if there is no room, or if a
 * record is partial, since nothing can follow it before it is ended. */
bool txbuf_append(struct conn *conn, const uint8_t *data, size_t len);

/* Makes sure that there is a chunk, and that its bytes are at its start. False if there is no memory. */
bool txbuf_make_room(struct conn *conn);

/* Gives the chunk back if nothing is in it. */
void txbuf_free_idle(struct conn *conn);

/* Brings tx.to_send, tx.cipher_left and TX_QUEUED up to date after a change of tx.queue or tx.len. */
void txbuf_account(struct conn *conn);

#endif
