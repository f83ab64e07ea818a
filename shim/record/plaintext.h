/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_PLAINTEXT_H
#define SOCKSEAL_PLAINTEXT_H

/* Peers that do not seal, and are served all the same: SOCKSEAL_PLAINTEXT=accept. */

#include "conn/fdtable.h"

/* Whether such peers are served, and this may be one: nothing of a handshake has come. */
bool plaintext_may_begin(const struct conn *conn);

/* Whether it is one, by the first `have` bytes that have come. */
bool plaintext_is_spoken(const struct conn *conn, const uint8_t *data, size_t have);

/* Serves it in the clear from now on; rx_lock held. */
void plaintext_begin(const struct conn_handle *handle);

#endif
