/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_REACH_H
#define SOCKSEAL_REACH_H

/*
 * What another process has put into chunks of a connection may stand where this process has nothing mapped.
 * So whoever has taken a role, and is about to touch the chunks that belong to it, reaches for them first. If
 * the kernel refuses to map them the connection fails, and the role is released: false. (The state stays as
 * it is: where nothing can be sealed any more, no sequence number is used twice.)
 */

#include "conn/fdtable.h"

bool map_rx_chunks(const struct conn_handle *handle);
bool map_tx_chunks(const struct conn_handle *handle);

/* Role rx held. */
static inline bool map_rx(const struct conn_handle *handle)
{
    const struct conn *conn = handle->conn;
    return !(conn->rx_chunk | conn->inbox.first | conn->handshake) || map_rx_chunks(handle);
}

/* Role tx held. */
static inline bool map_tx(const struct conn_handle *handle)
{
    const struct conn *conn = handle->conn;
    return !(conn->tx_chunk | conn->queue.first | conn->deferred.first) || map_tx_chunks(handle);
}

#endif
