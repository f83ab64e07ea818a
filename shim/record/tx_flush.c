/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "record/tx_flush.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "conn/error.h"
#include "conn/hold.h"
#include "conn/pending.h"
#include "conn/status.h"
#include "record/sysio.h"
#include "record/tx_record.h"
#include "record/txbuf.h"
#include "sys/net.h"

/* Encrypts what waits in the queue, behind the ciphertext that is to be sent next, as far as there is room.
 * So a client's Finished and its first data leave in one segment. */
static bool seal_queue(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    size_t have, sealed_len;
    if (!txbuf_make_room(conn))
        return false;
    while (conn->tx.queue.total > 0) {
        const struct txbuf buffer = txbuf_of(conn);
        size_t room = ARENA_CHUNK_SIZE - buffer.len;
        const uint8_t *data = chunks_head(conn, &conn->tx.queue, &have);
        if (buffer.damaged || buffer.off > 0 || have == 0)
            return false;
        if (room <= TLS_SEAL_OVERHEAD)
            break;
        if (have > room - TLS_SEAL_OVERHEAD)
            have = room - TLS_SEAL_OVERHEAD;
        if (have > TLS_PLAINTEXT_MAX)
            have = TLS_PLAINTEXT_MAX;
        uint8_t *record = arena_chunk(conn, conn->tx.chunk) + buffer.len;
        if (tls_session_seal(&conn->session, data, have, record, &sealed_len) != TLS_OK)
            return false;
        conn->tx.len = buffer.len + (uint32_t)sealed_len;
        chunks_drop(conn, &conn->tx.queue, have);
        conn->tx.sent_data = 1;
        status_sent(conn, handle->slot, have, 1);
    }
    txbuf_account(conn);
    return true;
}

/* Gives an edge-triggered program its EPOLLOUT after an EAGAIN that the kernel knows nothing of: the kernel
 * had room all the time, so it would report no change. Setting TCP_NOTSENT_LOWAT, even to the value that it
 * has, makes the kernel report writability again (do_tcp_setsockopt() calls sk_write_space()). */
static void give_edge(const struct conn_handle *handle)
{
    int value = 0;
    socklen_t len = sizeof value;
    if (!atomic_exchange(&handle->conn->tx.edge_pending, 0))
        return;
    if (net_getsockopt(handle->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &value, &len) == 0)
        net_setsockopt(handle->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &value, sizeof value);
}

struct io_result tx_flush_plaintext(const struct conn_handle *handle, int flags)
{
    struct conn *conn = handle->conn;
    while (conn->tx.queue.total > 0) {
        size_t len;
        const uint8_t *data = chunks_head(conn, &conn->tx.queue, &len);
        if (len == 0)
            return io_done(error_damaged(handle));
        struct io_result sent = sysio_send(handle, data, len, flags);
        if (!io_ok(sent))
            return sent;
        chunks_drop(conn, &conn->tx.queue, (size_t)sent.value);
        txbuf_account(conn);
    }
    return io_done(0);
}

static struct io_result failed(const struct conn_handle *handle, const char *reason)
{
    error_set(handle, EIO, reason);
    return io_done(-EIO);
}

/* Sends what is left of tx.chunk: how much went, or -errno. */
static struct io_result flush_chunk(const struct conn_handle *handle, int flags)
{
    struct conn *conn = handle->conn;
    const struct txbuf buffer = txbuf_of(conn);
    if (buffer.damaged || !conn->tx.chunk)
        return io_done(error_damaged(handle));
    struct io_result sent =
        sysio_send(handle, arena_chunk(conn, conn->tx.chunk) + buffer.off, buffer.len, flags);
    if (!io_ok(sent))
        return sent;
    conn->tx.off = buffer.off + (uint32_t)sent.value;
    conn->tx.len = buffer.len - (uint32_t)sent.value;
    txbuf_account(conn);
    if (buffer.len == (uint32_t)sent.value)
        txbuf_free_idle(conn);
    return sent;
}

struct io_result tx_flush_with(const struct conn_handle *handle, int flags)
{
    struct conn *conn = handle->conn;
    if (conn_is_plaintext(conn))
        return tx_flush_plaintext(handle, flags);
    if (conn_tx_has(conn, TX_PARTIAL) && !tx_record_end_partial(conn))
        return failed(handle, "a record that was sent in part cannot be completed");
    for (;;) {
        if (conn->tx.can_send && conn->tx.queue.total > 0 && !seal_queue(handle))
            return failed(handle, "the queued data cannot be sealed");
        if (conn->tx.len == 0)
            break;
        struct io_result sent = flush_chunk(handle, flags);
        if (!io_ok(sent))
            return sent;
    }
    give_edge(handle);
    return io_done(0);
}

/* TCP takes nothing any more: drops what was to be sent. */
static void drop_all(struct conn *conn)
{
    conn->tx.len = 0;
    txbuf_free_idle(conn);
    chunks_drop(conn, &conn->tx.queue, SIZE_MAX);
    txbuf_account(conn);
}

/* A partial record is left to the program's next write, unless that does not come (io/partial.h), or
 * close_notify is to follow it. */
static bool ends_partial(const struct conn *conn)
{
    return conn_tx_has(conn, TX_PARTIAL) &&
           (conn->status.close_pending || conn->tx.partial_left == PARTIAL_DUE);
}

int tx_flush_locked(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    const bool queued = (conn->tx.can_send || conn_is_plaintext(conn)) && conn->tx.queue.total > 0;
    if (conn->tx.len == 0 && !queued && !ends_partial(conn))
        return 0;
    int result = (int)tx_flush_with(handle, MSG_DONTWAIT | MSG_NOSIGNAL).value;
    if (result < 0 && result != -EAGAIN && result != -EINTR)
        drop_all(conn);
    return result;
}

/* Takes what a signal handler of this thread has written. While `deferring` is set, a handler gets EAGAIN. */
static struct chunk_list take_deferred(struct conn *conn)
{
    conn->tx.deferring = 1;
    atomic_signal_fence(memory_order_seq_cst);
    struct chunk_list taken = conn->tx.deferred;
    conn->tx.deferred = (struct chunk_list){0};
    atomic_signal_fence(memory_order_seq_cst);
    conn->tx.deferring = 0;
    return taken;
}

/* Moves what a signal handler has written to the queue, and sends what can be sent. */
static void queue_deferred(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    struct chunk_list taken = take_deferred(conn);
    size_t len;
    while (taken.total > 0) {
        const uint8_t *data = chunks_head(conn, &taken, &len);
        if (len == 0) {
            error_damaged(handle);
            break;
        }
        if (chunks_append(conn, &conn->tx.queue, data, len, SIZE_MAX) < len) {
            error_set(handle, ENOBUFS, "no memory for what a signal handler has written");
            len = SIZE_MAX;
        }
        chunks_drop(conn, &taken, len);
    }
    txbuf_account(conn);
    if (fdtable_current(handle) && tx_flush_locked(handle) == -EAGAIN)
        pending_add(handle->fd);
}

/* A signal handler may write at any moment, even between the check of `deferred` and the release. So it is
 * checked once more after the release. */
void tx_flush_release(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    do {
        while (conn->tx.deferred.total > 0)
            queue_deferred(handle);
        conn_release_tx(conn);
    } while (conn->tx.deferred.total > 0 && hold_tx(handle, HOLD_TRY) == HOLD_TAKEN);
}

int tx_flush(const struct conn_handle *handle)
{
    switch (hold_tx(handle, HOLD_SOON)) {
    case HOLD_TAKEN:
        break;
    case HOLD_BUSY:
        return -EBUSY;
    case HOLD_CHANGED:
        return 0;
    case HOLD_BLOCKED:
    case HOLD_REENTERED:
    case HOLD_FAILED:
        return -EAGAIN;
    }
    int result = tx_flush_locked(handle);
    tx_flush_release(handle);
    return result;
}

void tx_flush_alert(const struct conn_handle *handle, enum tls_alert alert)
{
    struct conn *conn = handle->conn;
    uint8_t bytes[TLS_FLIGHT_MAX];
    struct tls_buffer out = {.data = bytes, .cap = sizeof bytes};
    if (hold_tx(handle, HOLD_SOON) != HOLD_TAKEN)
        return;
    if (conn_tx_has(conn, TX_PARTIAL) && !tx_record_end_partial(conn))
        alert = TLS_ALERT_NONE;
    tls_session_alert(&conn->session, alert, &out);
    txbuf_append(conn, bytes, out.len);
    if (alert != TLS_ALERT_NONE) /* no alert answers a fatal one of the peer's (RFC 8446, 6.2) */
        tx_flush_locked(handle);
    tx_flush_release(handle);
}

bool tx_flush_update_keys(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    uint8_t bytes[TLS_SEAL_OVERHEAD + 16];
    struct tls_buffer out = {.data = bytes, .cap = sizeof bytes};
    if (conn_tx_has(conn, TX_PARTIAL) && !tx_record_end_partial(conn))
        return false;
    /* No room now: TX_KEY_UPDATE stays set, and a later call does it. */
    if (ARENA_CHUNK_SIZE - txbuf_of(conn).len < sizeof bytes)
        return true;
    const bool asked = conn_tx_has(conn, TX_KEY_UPDATE);
    conn_tx_clear(conn, TX_KEY_UPDATE);
    enum tls_result result =
        asked ? tls_session_key_update(&conn->session, false, &out) : tls_session_renew(&conn->session, &out);
    if (result == TLS_OK && txbuf_append(conn, bytes, out.len))
        return true;
    error_set(handle, EIO, "the keys cannot be renewed");
    return false;
}

void tx_flush_key_update(const struct conn_handle *handle)
{
    if (hold_tx(handle, HOLD_WAIT) != HOLD_TAKEN)
        return;
    if (conn_tx_has(handle->conn, TX_KEY_UPDATE) && tx_flush_update_keys(handle) &&
        tx_flush_locked(handle) == -EAGAIN)
        pending_add(handle->fd);
    tx_flush_release(handle);
}
