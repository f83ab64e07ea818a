/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "record/txbuf.h"

#include <string.h>

void txbuf_account(struct conn *conn)
{
    atomic_store_explicit(&conn->cipher_left, conn->tx_len, memory_order_relaxed);
    atomic_store_explicit(&conn->to_send, conn->tx_len + conn->queue.total, memory_order_release);
}

/* Whether tx_chunk is there, with what stands in it at its beginning. */
bool txbuf_make_room(struct conn *conn)
{
    if (!conn->tx_chunk && !(conn->tx_chunk = arena_chunk_take()))
        return false;
    uint8_t *base = arena_chunk(conn->tx_chunk);
    if (conn->tx_off)
        memmove(base, base + conn->tx_off, conn->tx_len);
    conn->tx_off = 0;
    return true;
}

bool txbuf_append(struct conn *conn, const uint8_t *data, size_t len)
{
    if (len == 0)
        return true;
    if (conn->partial || !txbuf_make_room(conn) || len > ARENA_CHUNK_SIZE - conn->tx_len)
        return false;
    memcpy(arena_chunk(conn->tx_chunk) + conn->tx_len, data, len);
    conn->tx_len += (uint32_t)len;
    txbuf_account(conn);
    return true;
}

void txbuf_free_idle(struct conn *conn)
{
    conn->tx_off = 0;
    if (conn->tx_len == 0 && !conn->partial) {
        arena_chunk_give(conn->tx_chunk);
        conn->tx_chunk = 0;
    }
}
