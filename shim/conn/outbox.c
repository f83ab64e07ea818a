/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "conn/outbox.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "conn/blocking.h"
#include "conn/drive.h"
#include "conn/failure.h"
#include "conn/reach.h"
#include "conn/seal.h"
#include "conn/send.h"
#include "sys/net.h"

void outbox_account(struct conn *conn)
{
    atomic_store_explicit(&conn->cipher_left, conn->tx_len, memory_order_relaxed);
    atomic_store_explicit(&conn->to_send, conn->tx_len + conn->queue.total, memory_order_release);
}

/* Whether tx_chunk is there, with what stands in it at its beginning. */
static bool make_room(struct conn *conn)
{
    if (!conn->tx_chunk && !(conn->tx_chunk = arena_chunk_take()))
        return false;
    uint8_t *base = arena_chunk(conn->tx_chunk);
    if (conn->tx_off)
        memmove(base, base + conn->tx_off, conn->tx_len);
    conn->tx_off = 0;
    return true;
}

bool outbox_append(struct conn *conn, const uint8_t *data, size_t len)
{
    if (len == 0)
        return true;
    if (conn->cut || !make_room(conn) || len > ARENA_CHUNK_SIZE - conn->tx_len)
        return false;
    memcpy(arena_chunk(conn->tx_chunk) + conn->tx_len, data, len);
    conn->tx_len += (uint32_t)len;
    outbox_account(conn);
    return true;
}

/* Seals what waits in the queue behind what is to go out next, as far as there is room. So a client's
 * Finished travels with its first data, in one segment. */
static bool seal_queue(struct conn *conn)
{
    size_t overhead = tls_session_overhead(&conn->session), have, sealed_len;
    if (!make_room(conn))
        return false;
    while (conn->queue.total > 0) {
        size_t room = ARENA_CHUNK_SIZE - conn->tx_len;
        const uint8_t *data = conn_bytes_head(&conn->queue, &have);
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
        conn_bytes_drop(&conn->queue, have);
        conn->sent_data = 1;
    }
    outbox_account(conn);
    return true;
}

/* Without this an edge-triggered program that got EAGAIN while the kernel had room would wait for ever:
 * setting TCP_NOTSENT_LOWAT, even to what it is, makes the kernel report writability anew (tcp(7);
 * sk_write_space). */
static void give_edge(const struct sealed *sealed)
{
    int value = 0;
    socklen_t len = sizeof value;
    if (!atomic_exchange(&sealed->conn->refused_edge, 0))
        return;
    if (net_getsockopt(sealed->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &value, &len) == 0)
        net_setsockopt(sealed->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &value, sizeof value);
}

static void used_up(struct conn *conn)
{
    conn->tx_off = 0;
    if (conn->tx_len == 0 && !conn->cut) {
        arena_chunk_give(conn->tx_chunk);
        conn->tx_chunk = 0;
    }
}

/* A peer that does not seal (SOCKSEAL_PLAINTEXT=accept) gets the queue as it is. */
int outbox_flush_plain(const struct sealed *sealed, int flags)
{
    struct conn *conn = sealed->conn;
    while (conn->queue.total > 0) {
        size_t len;
        const uint8_t *data = conn_bytes_head(&conn->queue, &len);
        ssize_t sent = blocking_send(sealed, data, len, flags);
        if (sent < 0)
            return (int)sent;
        conn_bytes_drop(&conn->queue, (size_t)sent);
        outbox_account(conn);
    }
    return 0;
}

/* Sends what is left of tx_chunk: how much went, or -errno. */
static ssize_t flush_chunk(const struct sealed *sealed, int flags)
{
    struct conn *conn = sealed->conn;
    if (conn->tx_off + conn->tx_len > ARENA_CHUNK_SIZE) {
        failure_set(sealed, EIO, "the state of the connection is damaged");
        return -EIO;
    }
    ssize_t sent = blocking_send(sealed, arena_chunk(conn->tx_chunk) + conn->tx_off, conn->tx_len, flags);
    if (sent < 0)
        return sent;
    conn->tx_off += (uint32_t)sent;
    conn->tx_len -= (uint32_t)sent;
    outbox_account(conn);
    if (conn->tx_len == 0)
        used_up(conn);
    return sent;
}

/* Sends tx_chunk and the queue with these flags. 0, -errno, or -ESTALE. */
int outbox_flush_with(const struct sealed *sealed, int flags)
{
    struct conn *conn = sealed->conn;
    if (conn->plaintext)
        return outbox_flush_plain(sealed, flags);
    if (conn->cut && !seal_end_cut(conn)) {
        failure_set(sealed, EIO, "a record that was sent in part cannot be completed");
        return -EIO;
    }
    for (;;) {
        if (conn->can_send && conn->queue.total > 0 && !seal_queue(conn)) {
            failure_set(sealed, EIO, "the queued data cannot be sealed");
            return -EIO;
        }
        if (conn->tx_len == 0)
            break;
        ssize_t sent = flush_chunk(sealed, flags);
        if (sent < 0)
            return (int)sent;
    }
    give_edge(sealed);
    return 0;
}

/* TCP will not take it any more. */
static void give_up(struct conn *conn)
{
    conn->tx_len = 0;
    used_up(conn);
    conn_bytes_drop(&conn->queue, SIZE_MAX);
    outbox_account(conn);
}

int outbox_flush_held(const struct sealed *sealed)
{
    struct conn *conn = sealed->conn;
    /* A cut record is the program's to go on with, unless something of ours is to follow it. */
    bool queued = (conn->can_send || conn->plaintext) && conn->queue.total > 0;
    if (conn->tx_len == 0 && !queued && !(conn->cut && conn->fin_due))
        return 0;
    int result = outbox_flush_with(sealed, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (result < 0 && result != -EAGAIN && result != -EINTR && result != -ESTALE)
        give_up(conn);
    return result;
}

/* Takes over what a signal handler of this thread wrote. While `deferring` is set a handler gets EAGAIN. */
static struct conn_bytes take_deferred(struct conn *conn)
{
    conn->deferring = 1;
    atomic_signal_fence(memory_order_seq_cst);
    struct conn_bytes taken = conn->deferred;
    conn->deferred = (struct conn_bytes){0};
    atomic_signal_fence(memory_order_seq_cst);
    conn->deferring = 0;
    return taken;
}

/* A handler may come at any moment, also between the last look at what it left and the release: so look once
 * more. */
void outbox_release(const struct sealed *sealed)
{
    struct conn *conn = sealed->conn;
    do {
        while (conn->deferred.total > 0) {
            struct conn_bytes taken = take_deferred(conn);
            size_t len;
            while (taken.total > 0) {
                const uint8_t *data = conn_bytes_head(&taken, &len);
                conn_bytes_append(&conn->queue, data, len, SIZE_MAX);
                conn_bytes_drop(&taken, len);
            }
            outbox_account(conn);
            if (registry_current(sealed) && outbox_flush_held(sealed) == -EAGAIN)
                drive_add(sealed->fd);
        }
        conn_release(conn, &conn->tx);
    } while (conn->deferred.total > 0 && registry_current(sealed) && role_try(&conn->tx) && reach_tx(sealed));
}

/* What became of taking the role. */
static bool have_taken(const struct sealed *sealed, enum role_result result)
{
    struct conn *conn = sealed->conn;
    switch (result) {
    case ROLE_TAKEN:
        return reach_tx(sealed);
    case ROLE_ABANDONED:
    case ROLE_RESUMED:
        failure_set(sealed, EIO, "a sender left in the middle of a record");
        conn_release(conn, &conn->tx);
        return false;
    case ROLE_PARKED:
    case ROLE_REENTERED:
        break;
    }
    return false;
}

bool outbox_take(const struct sealed *sealed)
{
    if (send_is_interrupted(sealed->conn)) /* it goes on when this signal handler returns */
        return false;
    return have_taken(sealed, role_take(&sealed->conn->tx));
}

int outbox_take_soon(const struct sealed *sealed)
{
    enum role_result result;
    if (send_is_interrupted(sealed->conn))
        return 0;
    if (!role_take_soon(&sealed->conn->tx, &result))
        return -EBUSY;
    return have_taken(sealed, result);
}

int outbox_flush(const struct sealed *sealed)
{
    int got = outbox_take_soon(sealed);
    if (got <= 0)
        return got < 0 ? got : -EAGAIN;
    int result = registry_current(sealed) ? outbox_flush_held(sealed) : 0;
    outbox_release(sealed);
    return result;
}

void outbox_alert(const struct sealed *sealed, enum tls_alert alert)
{
    struct conn *conn = sealed->conn;
    uint8_t bytes[TLS_FLIGHT_MAX];
    struct tls_buffer out = {.data = bytes, .cap = sizeof bytes};
    if (outbox_take_soon(sealed) <= 0)
        return;
    if (registry_current(sealed)) {
        /* A cut record is ended first: nothing else may be sealed under its sequence number. */
        if (conn->cut && !seal_end_cut(conn))
            alert = TLS_ALERT_NONE;
        tls_session_alert(&conn->session, alert, &out);
        outbox_append(conn, bytes, out.len);
        if (alert != TLS_ALERT_NONE) /* RFC 8446, 6.2: nothing follows a fatal one of the peer's */
            outbox_flush_held(sealed);
    }
    outbox_release(sealed);
}

/* Renews our keys. A cut record is ended first: nothing else may be sealed under its sequence number. False:
 * that failed, and so has the connection. */
bool outbox_update_keys(const struct sealed *sealed)
{
    struct conn *conn = sealed->conn;
    uint8_t bytes[TLS_SEAL_OVERHEAD_MAX + 16];
    struct tls_buffer out = {.data = bytes, .cap = sizeof bytes};
    if (conn->cut && !seal_end_cut(conn))
        return false;
    if (ARENA_CHUNK_SIZE - conn->tx_len < sizeof bytes)
        return true; /* key_update stays set: when there is room again */
    atomic_store(&conn->key_update, 0);
    if (tls_session_key_update(&conn->session, false, &out) == TLS_OK && outbox_append(conn, bytes, out.len))
        return true;
    failure_set(sealed, EIO, "the keys cannot be renewed");
    return false;
}

void outbox_key_update(const struct sealed *sealed)
{
    struct conn *conn = sealed->conn;
    if (!outbox_take(sealed))
        return;
    if (registry_current(sealed) && conn->key_update && outbox_update_keys(sealed) &&
        outbox_flush_held(sealed) == -EAGAIN)
        drive_add(sealed->fd);
    outbox_release(sealed);
}
