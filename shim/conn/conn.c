/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "conn/conn.h"

#include <stdatomic.h>
#include <string.h>

#include "config/config.h"
#include "conn/liveness.h"
#include "conn/status.h"
#include "sys/net.h"

uint32_t conn_layout(void)
{
    return (uint32_t)(sizeof(struct conn) << 16 | offsetof(struct conn, session));
}

/* Differs between all connections of this process, and likely from those of others. */
static uint32_t new_generation(void)
{
    static _Atomic uint32_t next;
    uint32_t none = 0;
    if (!atomic_load(&next))
        atomic_compare_exchange_strong(&next, &none, (uint32_t)net_now_ns() | 1);
    return atomic_fetch_add(&next, 2);
}

static struct conn *begin_slot(arena_ref slot)
{
    struct conn *conn = slot ? arena_slot(slot) : NULL;
    if (!conn)
        return NULL;
    atomic_store(&conn->generation, new_generation());
    atomic_store(&conn->status.phase, CONN_CONNECTING);
    conn->tx.attention = TX_NOT_READY;
    conn->rx.attention = RX_NOT_READY;
    return conn;
}

struct conn *conn_new(enum tls_role role, bool connecting)
{
    return conn_new_in(0, role, connecting);
}

struct conn *conn_new_in(arena_ref slot, enum tls_role role, bool connecting)
{
    struct conn *conn = begin_slot(slot ? slot : arena_slot_take(conn_layout()));
    arena_ref handshake = conn ? arena_chunk_take(conn) : 0;
    if (!handshake) {
        if (conn)
            arena_slot_give(conn);
        return NULL;
    }
    conn->handshake = handshake;
    if (!self_space) /* before the first one */
        liveness_note_namespace();
    conn->space = self_space;
    conn->session.role = (uint8_t)role;
    conn->status.connects = role == TLS_CLIENT;
    conn->status.deadline_ms = INT64_MAX;
    if (!connecting)
        conn_connected(conn);
    return conn;
}

struct conn *conn_import(int fd, uint32_t area, uint64_t cookie, bool keep)
{
    const arena_ref slot = region_import(fd, area, conn_layout(), keep);
    if (!slot)
        return NULL;
    arena_set_cookie(slot, cookie);
    return arena_slot(slot);
}

/* Whether there is no such chunk, or it is mapped now. */
static bool is_mapped(const struct conn *conn, arena_ref chunk)
{
    return !chunk || arena_chunk_map(conn, chunk);
}

bool conn_map_rx(struct conn *conn)
{
    return is_mapped(conn, conn->rx.chunk) && is_mapped(conn, conn->handshake) &&
           chunks_map(conn, &conn->rx.queue);
}

bool conn_map_tx(struct conn *conn)
{
    return is_mapped(conn, conn->tx.chunk) && chunks_map(conn, &conn->tx.queue) &&
           chunks_map(conn, &conn->tx.deferred);
}

static void wipe_chunk(struct conn *conn, arena_ref chunk)
{
    if (chunk && arena_chunk_map(conn, chunk))
        explicit_bzero(arena_chunk(conn, chunk), ARENA_CHUNK_SIZE);
    arena_chunk_give(conn, chunk);
}

void conn_empty(struct conn *conn)
{
    chunks_free(conn, &conn->rx.queue);
    chunks_free(conn, &conn->tx.queue);
    chunks_free(conn, &conn->tx.deferred);
    wipe_chunk(conn, conn->rx.chunk);
    wipe_chunk(conn, conn->tx.chunk);
    if (arena_chunk_map(conn, conn->handshake)) {
        tls_handshake_wipe(conn_handshake(conn));
        arena_chunk_give(conn, conn->handshake);
    }
    tls_key_pair_wipe(&conn->pair);
    conn->rx.chunk = conn->tx.chunk = conn->handshake = 0;
    tls_session_wipe(&conn->session);
}

/* True: the connection is gone, and the slot is to be given back. */
static bool retire(struct conn *conn)
{
    if (!atomic_load(&conn->unreferenced) || !lock_try(&conn->rx_lock))
        return false;
    if (!lock_try(&conn->tx_lock)) {
        lock_release(&conn->rx_lock);
        return false;
    }
    bool retired = atomic_load(&conn->unreferenced);
    if (retired) {
        /* From here on a thread that looked the connection up before sees another generation. A thread that
         * has pinned it reaps it when it unpins. */
        atomic_fetch_add(&conn->generation, 1);
        retired = atomic_load(&conn->pins) == 0;
    }
    if (retired) {
        conn_empty(conn);
        atomic_store(&conn->status.phase, CONN_GONE);
        atomic_store(&conn->unreferenced, 0);
    }
    lock_release(&conn->tx_lock);
    lock_release(&conn->rx_lock);
    return retired;
}

void conn_reap(struct conn *conn)
{
    if (retire(conn))
        arena_slot_give(conn);
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

/* A side that accepted has a limit from now on. For one that connected, the peer's program may not have
 * accepted yet: it waits as long as the program wants to, and is checked when the time has come to say so. */
static int64_t first_deadline(const struct conn *conn)
{
    const struct config *config = config_get();
    unsigned limit = config->handshake_timeout_ms;
    if (conn->status.connects && config->connect_timeout_ms > 0 && config->connect_timeout_ms < limit)
        limit = config->connect_timeout_ms;
    return net_now_ms() + limit;
}

void conn_connected(struct conn *conn)
{
    if (!conn_is_connecting(conn))
        return;
    conn->status.deadline_ms = first_deadline(conn);
    uint8_t connecting = CONN_CONNECTING;
    if (atomic_compare_exchange_strong(&conn->status.phase, &connecting, CONN_HANDSHAKE))
        status_phase(conn, CONN_HANDSHAKE);
}

/* Brings the masks up to date with the phase and the keys. */
static void update_ready(struct conn *conn)
{
    const enum conn_phase phase = conn_phase(conn);
    if (phase == CONN_ESTABLISHED)
        conn_rx_clear(conn, RX_NOT_READY);
    else
        conn_rx_set(conn, RX_NOT_READY);
    if ((phase == CONN_ESTABLISHED || phase == CONN_PEER_CLOSED) && conn->tx.can_send)
        conn_tx_clear(conn, TX_NOT_READY);
    else
        conn_tx_set(conn, TX_NOT_READY);
}

bool conn_is_plaintext(const struct conn *conn)
{
    return conn_phase(conn) == CONN_PLAINTEXT && config_get()->accept_plaintext;
}

void conn_enter(struct conn *conn, enum conn_phase phase)
{
    atomic_store(&conn->status.phase, (uint8_t)phase);
    update_ready(conn);
    status_phase(conn, phase);
}

void conn_set_can_send(struct conn *conn, bool can_send)
{
    atomic_store(&conn->tx.can_send, can_send);
    update_ready(conn);
}

bool conn_fail(struct conn *conn, int error)
{
    int32_t none = 0;
    if (!atomic_compare_exchange_strong(&conn->status.error, &none, error))
        return false;
    conn_tx_set(conn, TX_FAILED);
    conn_rx_set(conn, RX_FAILED);
    return true;
}

void conn_save_so_error(struct conn *conn, int error)
{
    atomic_store(&conn->status.so_error, error);
    conn_tx_set(conn, TX_SO_ERROR);
    conn_rx_set(conn, RX_SO_ERROR);
}

int conn_take_so_error(struct conn *conn)
{
    if (!conn_tx_has(conn, TX_SO_ERROR))
        return 0;
    conn_tx_clear(conn, TX_SO_ERROR);
    conn_rx_clear(conn, RX_SO_ERROR);
    return atomic_exchange(&conn->status.so_error, 0);
}
