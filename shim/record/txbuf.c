/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "record/txbuf.h"

#include <string.h>

void txbuf_account(struct conn *conn)
{
    atomic_store_explicit(&conn->tx.cipher_left, conn->tx.len, memory_order_relaxed);
    atomic_store_explicit(&conn->tx.to_send, conn->tx.len + conn->tx.queue.total, memory_order_release);
    if (conn->tx.len | conn->tx.queue.total)
        conn_tx_set(conn, TX_QUEUED);
    else
        conn_tx_clear(conn, TX_QUEUED);
}

bool txbuf_make_room(struct conn *conn)
{
    if (!conn->tx.chunk && !(conn->tx.chunk = arena_chunk_take(conn)))
        return false;
    uint8_t *base = arena_chunk(conn, conn->tx.chunk);
    if (conn->tx.off)
        memmove(base, base + conn->tx.off, conn->tx.len);
    conn->tx.off = 0;
    return true;
}

bool txbuf_append(struct conn *conn, const uint8_t *data, size_t len)
{
    if (len == 0)
        return true;
    if (conn_tx_has(conn, TX_PARTIAL) || !txbuf_make_room(conn) || len > ARENA_CHUNK_SIZE - conn->tx.len)
        return false;
    memcpy(arena_chunk(conn, conn->tx.chunk) + conn->tx.len, data, len);
    conn->tx.len += (uint32_t)len;
    txbuf_account(conn);
    return true;
}

void txbuf_free_idle(struct conn *conn)
{
    conn->tx.off = 0;
    if (conn->tx.len == 0 && !conn_tx_has(conn, TX_PARTIAL)) {
        arena_chunk_give(conn, conn->tx.chunk);
        conn->tx.chunk = 0;
    }
}
