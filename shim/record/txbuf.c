/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "record/txbuf.h"

#include <string.h>

struct txbuf txbuf_of(const struct conn *conn)
{
    struct txbuf buffer = {.off = __atomic_load_n(&conn->tx.off, __ATOMIC_RELAXED),
                           .len = __atomic_load_n(&conn->tx.len, __ATOMIC_RELAXED)};
    if (buffer.off > ARENA_CHUNK_SIZE || buffer.len > ARENA_CHUNK_SIZE - buffer.off)
        buffer = (struct txbuf){.damaged = true};
    return buffer;
}

void txbuf_account(struct conn *conn)
{
    const uint32_t len = conn->tx.len, queued = conn->tx.queue.total;
    atomic_store_explicit(&conn->tx.cipher_left, len, memory_order_relaxed);
    atomic_store_explicit(&conn->tx.to_send, len + queued, memory_order_release);
    if (len | queued)
        conn_tx_set(conn, TX_QUEUED);
    else
        conn_tx_clear(conn, TX_QUEUED);
}

bool txbuf_make_room(struct conn *conn)
{
    if (!conn->tx.chunk && !(conn->tx.chunk = arena_chunk_take(conn)))
        return false;
    uint8_t *base = arena_chunk(conn, conn->tx.chunk);
    const struct txbuf buffer = txbuf_of(conn);
    if (buffer.off > 0)
        memmove(base, base + buffer.off, buffer.len);
    conn->tx.off = 0;
    return !buffer.damaged;
}

bool txbuf_append(struct conn *conn, const uint8_t *data, size_t len)
{
    if (len == 0)
        return true;
    if (conn_tx_has(conn, TX_PARTIAL) || !txbuf_make_room(conn))
        return false;
    const struct txbuf buffer = txbuf_of(conn);
    if (buffer.damaged || buffer.off > 0 || len > ARENA_CHUNK_SIZE - buffer.len)
        return false;
    memcpy(arena_chunk(conn, conn->tx.chunk) + buffer.len, data, len);
    conn->tx.len = buffer.len + (uint32_t)len;
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
