/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_TXBUF_H
#define SOCKSEAL_TXBUF_H

/* Ciphertext that is to be sent before anything new: in tx.chunk, tx.off bytes behind its beginning, tx.len
 * bytes. All with the tx lock held. */

#include "conn/conn.h"

/* Appends bytes (of a handshake flight, an alert, the rest of a record). False if there is no room. */
bool txbuf_append(struct conn *conn, const uint8_t *data, size_t len);

/* Makes sure that there is a chunk, with its bytes at its beginning. False if there is no memory. */
bool txbuf_make_room(struct conn *conn);

/* Gives the chunk back if nothing is left in it. */
void txbuf_free_idle(struct conn *conn);

/* Brings conn->tx.to_send up to date after a change of the queue or of tx.chunk. */
void txbuf_account(struct conn *conn);

#endif
