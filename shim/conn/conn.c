/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "conn/conn.h"

#include <stdatomic.h>
#include <string.h>

#include "config/config.h"
#include "sys/net.h"

uint32_t conn_layout(void)
{
    return (uint32_t)(sizeof(struct conn) << 16 | offsetof(struct conn, session));
}

bool conn_open_arena(void)
{
    return arena_open(conn_layout());
}

bool conn_attach_arena(int fd)
{
    return arena_attach(fd, conn_layout());
}

struct conn *conn_take_slot(void)
{
    arena_ref slot = arena_slot_take();
    struct conn *conn = arena_slot_map(slot);
    if (conn)
        conn->slot = slot;
    return conn;
}

struct conn *conn_new(enum tls_role role, bool connecting)
{
    struct conn *conn = conn_open_arena() ? conn_take_slot() : NULL;
    arena_ref handshake = conn ? arena_chunk_take() : 0;
    if (!handshake) {
        if (conn)
            arena_slot_give(conn->slot);
        return NULL;
    }
    conn->handshake = handshake;
    conn->session.role = (uint8_t)role;
    atomic_store(&conn->connecting, connecting);
    conn->deadline_ms = net_now_ms() + config_get()->handshake_timeout_ms;
    return conn;
}

/* A chunk that the connection has, if any, can be mapped in this process. */
static bool is_usable(arena_ref chunk)
{
    return !chunk || arena_chunk_map(chunk);
}

bool conn_map_rx(struct conn *conn)
{
    return is_usable(conn->rx_chunk) && is_usable(conn->handshake) && chunks_map(&conn->inbox);
}

bool conn_map_tx(struct conn *conn)
{
    return is_usable(conn->tx_chunk) && chunks_map(&conn->queue) && chunks_map(&conn->deferred);
}

void conn_empty(struct conn *conn)
{
    chunks_free(&conn->inbox);
    chunks_free(&conn->queue);
    chunks_free(&conn->deferred);
    arena_chunk_give(conn->rx_chunk);
    arena_chunk_give(conn->tx_chunk);
    if (arena_chunk_map(conn->handshake)) {
        tls_handshake_wipe((struct tls_handshake *)(void *)arena_chunk(conn->handshake));
        arena_chunk_give(conn->handshake);
    }
    conn->rx_chunk = conn->tx_chunk = conn->handshake = 0;
    tls_session_wipe(&conn->session);
}

bool conn_retire(struct conn *conn)
{
    if (!atomic_load(&conn->unreferenced) || !lock_try(&conn->rx))
        return false;
    if (!lock_try(&conn->tx)) {
        lock_release(&conn->rx);
        return false;
    }
    bool ours = atomic_load(&conn->unreferenced);
    if (ours) {
        /* From here on a thread that looked the connection up before sees that it is another one; who pinned
         * it before reaps. */
        atomic_fetch_add(&conn->generation, 1);
        ours = atomic_load(&conn->pins) == 0;
    }
    if (ours) {
        conn_empty(conn);
        atomic_store(&conn->unreferenced, 0);
    }
    lock_release(&conn->tx);
    lock_release(&conn->rx);
    return ours;
}

void conn_reap(struct conn *conn)
{
    if (conn_retire(conn))
        arena_slot_give(conn->slot);
}

void conn_discard(struct conn *conn)
{
    atomic_store(&conn->unreferenced, 1);
    conn_reap(conn);
}

bool conn_pin(struct conn *conn, uint32_t generation)
{
    atomic_fetch_add(&conn->pins, 1);
    if (atomic_load(&conn->generation) == generation)
        return true;
    conn_unpin(conn);
    return false;
}

void conn_unpin(struct conn *conn)
{
    if (atomic_fetch_sub(&conn->pins, 1) == 1 && atomic_load(&conn->unreferenced))
        conn_reap(conn);
}

enum lock_result conn_take_rx(struct conn *conn)
{
    bool parked;
    if (!lock_mine(&conn->tx, &parked) || parked)
        return lock_take(&conn->rx);
    return lock_try(&conn->rx) ? LOCK_TAKEN : LOCK_REENTERED;
}
