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

#include "conn/registry.h"

bool reach_reading(const struct sealed *sealed);
bool reach_writing(const struct sealed *sealed);

/* Role rx held. */
static inline bool reach_rx(const struct sealed *sealed)
{
    const struct conn *conn = sealed->conn;
    return !(conn->rx_chunk | conn->inbox.first | conn->handshake) || reach_reading(sealed);
}

/* Role tx held. */
static inline bool reach_tx(const struct sealed *sealed)
{
    const struct conn *conn = sealed->conn;
    return !(conn->tx_chunk | conn->queue.first | conn->deferred.first) || reach_writing(sealed);
}

#endif
