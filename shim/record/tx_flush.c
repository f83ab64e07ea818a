/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "record/tx_flush.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "conn/error.h"
#include "conn/map.h"
#include "conn/pending.h"
#include "record/sysio.h"
#include "record/tx_record.h"
#include "record/txbuf.h"
#include "sys/net.h"

/* Seals what waits in the queue behind what is to go out next, as far as there is room. So a client's
 * Finished travels with its first data, in one segment. */
static bool seal_queue(struct conn *conn)
{
    size_t overhead = tls_session_overhead(&conn->session), have, sealed_len;
    if (!txbuf_make_room(conn))
        return false;
    while (conn->queue.total > 0) {
        size_t room = ARENA_CHUNK_SIZE - conn->tx_len;
        const uint8_t *data = chunks_head(&conn->queue, &have);
        if (room <= overhead)
            break;
        if (have > room - overhead)
            have = room - overhead;
        if (have > TLS_PLAINTEXT_MAX)
            have = TLS_PLAINTEXT_MAX;
        uint8_t *record = arena_chunk(conn->tx_chunk) + conn->tx_len;
        if (tls_session_seal(&conn->session, data, have, record, &sealed_len) != TLS_OK)
            return false;
        conn->tx_len += (uint32_t)sealed_len;
        chunks_drop(&conn->queue, have);
        conn->sent_data = 1;
    }
    txbuf_account(conn);
    return true;
}

/* Without this an edge-triggered program that got EAGAIN while the kernel had room would wait for ever:
 * setting TCP_NOTSENT_LOWAT, even to what it is, makes the kernel report writability anew (tcp(7);
 * sk_write_space). */
static void give_edge(const struct conn_handle *handle)
{
    int value = 0;
    socklen_t len = sizeof value;
    if (!atomic_exchange(&handle->conn->edge_pending, 0))
        return;
    if (net_getsockopt(handle->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &value, &len) == 0)
        net_setsockopt(handle->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &value, sizeof value);
}

/* A peer that does not seal (SOCKSEAL_PLAINTEXT=accept) gets the queue as it is. */
int tx_flush_plaintext(const struct conn_handle *handle, int flags)
{
    struct conn *conn = handle->conn;
    while (conn->queue.total > 0) {
        size_t len;
        const uint8_t *data = chunks_head(&conn->queue, &len);
        ssize_t sent = sysio_send(handle, data, len, flags);
        if (sent < 0)
            return (int)sent;
        chunks_drop(&conn->queue, (size_t)sent);
        txbuf_account(conn);
    }
    return 0;
}

/* Sends what is left of tx_chunk: how much went, or -errno. */
static ssize_t flush_chunk(const struct conn_handle *handle, int flags)
{
    struct conn *conn = handle->conn;
    if (conn->tx_off + conn->tx_len > ARENA_CHUNK_SIZE) {
        error_set(handle, EIO, "the state of the connection is damaged");
        return -EIO;
    }
    ssize_t sent = sysio_send(handle, arena_chunk(conn->tx_chunk) + conn->tx_off, conn->tx_len, flags);
    if (sent < 0)
        return sent;
    conn->tx_off += (uint32_t)sent;
    conn->tx_len -= (uint32_t)sent;
    txbuf_account(conn);
    if (conn->tx_len == 0)
        txbuf_free_idle(conn);
    return sent;
}

/* Sends tx_chunk and the queue with these flags. 0, -errno, or -ESTALE. */
int tx_flush_with(const struct conn_handle *handle, int flags)
{
    struct conn *conn = handle->conn;
    if (conn->plaintext)
        return tx_flush_plaintext(handle, flags);
    if (conn->partial && !tx_record_end_partial(conn)) {
        error_set(handle, EIO, "a record that was sent in part cannot be completed");
        return -EIO;
    }
    for (;;) {
        if (conn->can_send && conn->queue.total > 0 && !seal_queue(conn)) {
            error_set(handle, EIO, "the queued data cannot be sealed");
            return -EIO;
        }
        if (conn->tx_len == 0)
            break;
        ssize_t sent = flush_chunk(handle, flags);
        if (sent < 0)
            return (int)sent;
    }
    give_edge(handle);
    return 0;
}

/* TCP will not take it any more. */
static void give_up(struct conn *conn)
{
    conn->tx_len = 0;
    txbuf_free_idle(conn);
    chunks_drop(&conn->queue, SIZE_MAX);
    txbuf_account(conn);
}

int tx_flush_locked(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    /* A cut record is the program's to go on with, unless something of ours is to follow it. */
    bool queued = (conn->can_send || conn->plaintext) && conn->queue.total > 0;
    if (conn->tx_len == 0 && !queued && !(conn->partial && conn->close_pending))
        return 0;
    int result = tx_flush_with(handle, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (result < 0 && result != -EAGAIN && result != -EINTR && result != -ESTALE)
        give_up(conn);
    return result;
}

/* Takes over what a signal handler of this thread wrote. While `deferring` is set a handler gets EAGAIN. */
static struct chunk_list take_deferred(struct conn *conn)
{
    conn->deferring = 1;
    atomic_signal_fence(memory_order_seq_cst);
    struct chunk_list taken = conn->deferred;
    conn->deferred = (struct chunk_list){0};
    atomic_signal_fence(memory_order_seq_cst);
    conn->deferring = 0;
    return taken;
}

/* A handler may come at any moment, also between the last look at what it left and the release: so look once
 * more. */
void tx_flush_release(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    do {
        while (conn->deferred.total > 0) {
            struct chunk_list taken = take_deferred(conn);
            size_t len;
            while (taken.total > 0) {
                const uint8_t *data = chunks_head(&taken, &len);
                chunks_append(&conn->queue, data, len, SIZE_MAX);
                chunks_drop(&taken, len);
            }
            txbuf_account(conn);
            if (fdtable_current(handle) && tx_flush_locked(handle) == -EAGAIN)
                pending_add(handle->fd);
        }
        conn_release(conn, &conn->tx);
    } while (conn->deferred.total > 0 && fdtable_current(handle) && lock_try(&conn->tx) && map_tx(handle));
}

/* What became of taking the role. */
static bool have_taken(const struct conn_handle *handle, enum lock_result result)
{
    struct conn *conn = handle->conn;
    switch (result) {
    case LOCK_TAKEN:
        return map_tx(handle);
    case LOCK_OWNER_DIED:
    case LOCK_RECOVERED:
        error_set(handle, EIO, "a sender left in the middle of a record");
        conn_release(conn, &conn->tx);
        return false;
    case LOCK_BLOCKED:
    case LOCK_REENTERED:
        break;
    }
    return false;
}

bool tx_flush_take(const struct conn_handle *handle)
{
    if (sysio_above_own_send(handle->conn)) /* it goes on when this signal handler returns */
        return false;
    return have_taken(handle, lock_take(&handle->conn->tx));
}

int tx_flush_take_soon(const struct conn_handle *handle)
{
    enum lock_result result;
    if (sysio_above_own_send(handle->conn))
        return 0;
    if (!lock_take_soon(&handle->conn->tx, &result))
        return -EBUSY;
    return have_taken(handle, result);
}

int tx_flush(const struct conn_handle *handle)
{
    int got = tx_flush_take_soon(handle);
    if (got <= 0)
        return got < 0 ? got : -EAGAIN;
    int result = fdtable_current(handle) ? tx_flush_locked(handle) : 0;
    tx_flush_release(handle);
    return result;
}

void tx_flush_alert(const struct conn_handle *handle, enum tls_alert alert)
{
    struct conn *conn = handle->conn;
    uint8_t bytes[TLS_FLIGHT_MAX];
    struct tls_buffer out = {.data = bytes, .cap = sizeof bytes};
    if (tx_flush_take_soon(handle) <= 0)
        return;
    if (fdtable_current(handle)) {
        /* A cut record is ended first: nothing else may be sealed under its sequence number. */
        if (conn->partial && !tx_record_end_partial(conn))
            alert = TLS_ALERT_NONE;
        tls_session_alert(&conn->session, alert, &out);
        txbuf_append(conn, bytes, out.len);
        if (alert != TLS_ALERT_NONE) /* RFC 8446, 6.2: nothing follows a fatal one of the peer's */
            tx_flush_locked(handle);
    }
    tx_flush_release(handle);
}

/* Renews our keys. A cut record is ended first: nothing else may be sealed under its sequence number. False:
 * that failed, and so has the connection. */
bool tx_flush_update_keys(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    uint8_t bytes[TLS_SEAL_OVERHEAD_MAX + 16];
    struct tls_buffer out = {.data = bytes, .cap = sizeof bytes};
    if (conn->partial && !tx_record_end_partial(conn))
        return false;
    if (ARENA_CHUNK_SIZE - conn->tx_len < sizeof bytes)
        return true; /* key_update stays set: when there is room again */
    atomic_store(&conn->key_update, 0);
    if (tls_session_key_update(&conn->session, false, &out) == TLS_OK && txbuf_append(conn, bytes, out.len))
        return true;
    error_set(handle, EIO, "the keys cannot be renewed");
    return false;
}

void tx_flush_key_update(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    if (!tx_flush_take(handle))
        return;
    if (fdtable_current(handle) && conn->key_update && tx_flush_update_keys(handle) &&
        tx_flush_locked(handle) == -EAGAIN)
        pending_add(handle->fd);
    tx_flush_release(handle);
}
