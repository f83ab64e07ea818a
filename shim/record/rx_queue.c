/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "record/rx_queue.h"

#include <string.h>
#include <sys/ioctl.h>

#include "conn/error.h"
#include "record/sysio.h"
#include "record/tx_flush.h"
#include "shm/scratch.h"
#include "sys/net.h"

enum {
    FIRST_LOOK = 2048, /* bytes to peek at while the record's size is not known */
    COPY_BELOW = 4096, /* smaller content is copied behind other; larger keeps its chunk */
    GATHER_RECORDS = 4,
};

static void discard(const struct conn_handle *handle, size_t len)
{
    if (len > 0 && fdtable_current(handle))
        net_recv(handle->fd, NULL, len, MSG_TRUNC | MSG_DONTWAIT); /* tcp(7): drops without copying */
}

/* The byte that marked the inbox joins its record. Left in the kernel it would hold the whole skb that it is
 * the end of, and with it the window shut: no more would arrive, and an edge-triggered program hear of
 * nothing. */
static void take_part_marker(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    conn->partial_marks = 0;
    if (!fdtable_current(handle) || (!conn->rx_chunk && !(conn->rx_chunk = arena_chunk_take())))
        return;
    if (net_recv(handle->fd, conn_rx_data(conn) + conn->rx_have, 1, MSG_DONTWAIT) == 1)
        conn->rx_have++;
}

void rx_queue_settle(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    if (conn->inbox.total > 0)
        return;
    if (conn->partial_marks)
        take_part_marker(handle);
    if (conn->decrypted == 0)
        return;
    discard(handle, conn->decrypted);
    conn->decrypted = 0;
}

/* Takes `stale` and `len` bytes behind them out of the kernel, but for one while the inbox must stay visible.
 */
static void consume(const struct conn_handle *handle, size_t len)
{
    struct conn *conn = handle->conn;
    size_t all = conn->decrypted + len, keep = conn->inbox.total > 0 ? 1 : 0;
    discard(handle, all - keep);
    conn->decrypted = (uint32_t)keep;
}

int rx_queue_fail(const struct conn_handle *handle, enum tls_result result)
{
    tx_flush_alert(handle, (enum tls_alert)handle->conn->session.alert_out);
    error_from_tls(handle, &handle->conn->session, result);
    return -handle->conn->error;
}

int rx_queue_event(const struct conn_handle *handle, enum tls_event event)
{
    struct conn *conn = handle->conn;
    switch (event) {
    case TLS_EVENT_DATA:
        return RX_DATA;
    case TLS_EVENT_CLOSE:
        conn->ended = 1;
        if (fdtable_current(handle))
            net_shutdown(handle->fd, SHUT_RD); /* from now on the kernel, too, says readable and end */
        return RX_END;
    case TLS_EVENT_KEY_UPDATE_ASKED:
        conn->key_update = 1;
        tx_flush_key_update(handle);
        return RX_OTHER;
    case TLS_EVENT_NONE:
    case TLS_EVENT_KEY_UPDATE:
        break;
    }
    return RX_OTHER;
}

int rx_queue_truncated(const struct conn_handle *handle)
{
    if (handle->conn->read_shut || handle->conn->ended)
        return 0;
    error_set(handle, ECONNRESET, "the connection was cut: the stream ends without close_notify");
    return -ECONNRESET;
}

/* Puts the opened record's content, at `data`, into the inbox. False: no memory. */
static bool keep_content(struct conn *conn, const uint8_t *data, size_t len)
{
    if (len < COPY_BELOW && conn->inbox.first)
        return chunks_append(&conn->inbox, data, len, SIZE_MAX) == len;
    chunks_adopt(&conn->inbox, conn->rx_chunk, TLS_RECORD_HEADER, (uint32_t)len);
    conn->rx_chunk = 0;
    return true;
}

/* A whole record of `size` bytes stands in rx_chunk, its last `rest` bytes also in the kernel behind the
 * stale ones. */
static int open_record(const struct conn_handle *handle, size_t size, size_t rest)
{
    struct conn *conn = handle->conn;
    uint8_t *data = conn_rx_data(conn);
    enum tls_event event = TLS_EVENT_NONE;
    size_t len = 0;
    enum tls_result result =
        tls_session_open(&conn->session, data, size, data + TLS_RECORD_HEADER, &len, &event);
    conn->rx_have = 0;
    conn->partial_marks = 0;
    if (result != TLS_OK)
        return rx_queue_fail(handle, result);
    conn->bulk = event == TLS_EVENT_DATA && len == TLS_PLAINTEXT_MAX;
    if (event == TLS_EVENT_DATA && len > 0) {
        if (!keep_content(conn, data + TLS_RECORD_HEADER, len)) {
            error_set(handle, ENOBUFS, "no memory for received data");
            return -ENOBUFS;
        }
        conn->decrypted += (uint32_t)rest;
        rx_queue_acknowledges(conn);
        atomic_store_explicit(&conn->readable, conn->inbox.total, memory_order_release);
        return RX_DATA;
    }
    consume(handle, rest);
    int what = rx_queue_event(handle, event);
    return what == RX_DATA ? RX_OTHER : what; /* a record without content */
}

/* Peeks behind the stale bytes into rx_chunk; gives how many bytes of the record were seen, 0 at the end,
 * -errno. */
static ssize_t peek(const struct conn_handle *handle, size_t want, int flags)
{
    struct conn *conn = handle->conn;
    uint8_t marker;
    struct iovec iov[2] = {{&marker, 1}, {conn_rx_data(conn) + conn->rx_have, want}};
    if (conn->decrypted == 0)
        return sysio_recv(handle, iov[1].iov_base, want, flags | MSG_PEEK);
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = 2};
    long got = net_recvmsg(handle->fd, &message, flags | MSG_PEEK | MSG_DONTWAIT);
    if (got == 1) /* the marker alone */
        return -EAGAIN;
    return got > 0 ? got - 1 : got;
}

/* What was seen is not a whole record: out of the kernel with it, or its window would stay shut. */
static int keep_part(const struct conn_handle *handle, size_t seen)
{
    struct conn *conn = handle->conn;
    if (conn->inbox.total > 0) { /* a byte of it stays, as the marker */
        discard(handle, conn->decrypted + seen - 1);
        conn->decrypted = 0;
        conn->rx_have += (uint32_t)seen - 1;
        conn->partial_marks = 1;
        return -EAGAIN;
    }
    discard(handle, seen);
    conn->rx_have += (uint32_t)seen;
    return RX_OTHER;
}

int rx_queue_fill(const struct conn_handle *handle, int flags)
{
    struct conn *conn = handle->conn;
    size_t want = FIRST_LOOK, size = 0;
    if (!conn->rx_chunk && !(conn->rx_chunk = arena_chunk_take()))
        return -ENOBUFS;
    if (conn->decrypted > 1) {
        discard(handle, conn->decrypted - 1);
        conn->decrypted = 1;
    }
    for (;;) {
        if (conn->rx_have >= TLS_RECORD_HEADER || size) {
            if (tls_record_size(&conn->session, conn_rx_data(conn), TLS_RECORD_HEADER, &size) != TLS_OK)
                return rx_queue_fail(handle, TLS_FAIL_PROTOCOL);
            want = size - conn->rx_have;
            if (want == 0) /* a record of nothing but its header */
                return open_record(handle, size, 0);
        }
        ssize_t seen = peek(handle, want, flags);
        if (!fdtable_current(handle))
            return -EBADF;
        if (seen == 0)
            return RX_TRUNCATED;
        if (seen < 0)
            return (int)seen;
        enum tls_result result =
            tls_record_size(&conn->session, conn_rx_data(conn), conn->rx_have + (size_t)seen, &size);
        if (result != TLS_OK)
            return rx_queue_fail(handle, result);
        if (size && size <= conn->rx_have + (size_t)seen)
            return open_record(handle, size, size - conn->rx_have);
        if ((size_t)seen < want || size == 0)
            return keep_part(handle, (size_t)seen);
        flags |= MSG_DONTWAIT; /* the record is longer than the first look */
    }
}

int rx_queue_collect(const struct conn_handle *handle, size_t want, int flags)
{
    struct conn *conn = handle->conn;
    int result = conn->inbox.total == 0 ? rx_queue_take_so_error(conn) : 0;
    unsigned empty = 0;
    while (result >= 0 && conn->inbox.total < want && conn->inbox.total < CONN_QUEUE_MAX && !conn->ended &&
           !conn_failed(conn)) {
        result = rx_queue_fill(handle, conn->inbox.total ? MSG_DONTWAIT : flags & MSG_DONTWAIT);
        if (result == RX_TRUNCATED)
            return conn->inbox.total ? -EAGAIN : rx_queue_truncated(handle);
        if (result == RX_OTHER && ++empty % RX_EMPTY_MAX == 0 &&
            (conn->inbox.total > 0 || !sysio_may_block(handle->fd, flags)))
            return -EAGAIN;
    }
    return result;
}

/* Opens one record that stands in the kernel's queue behind the stale bytes, and was seen whole. */
static int open_seen(const struct conn_handle *handle, uint8_t *record, size_t size)
{
    struct conn *conn = handle->conn;
    enum tls_event event = TLS_EVENT_NONE;
    size_t len = 0;
    if (!conn->rx_chunk && !(conn->rx_chunk = arena_chunk_take()))
        return -ENOBUFS;
    uint8_t *data = conn_rx_data(conn) + TLS_RECORD_HEADER;
    enum tls_result result = tls_session_open(&conn->session, record, size, data, &len, &event);
    if (result != TLS_OK)
        return rx_queue_fail(handle, result);
    conn->decrypted += (uint32_t)size;
    conn->partial_marks = 0;
    if (event != TLS_EVENT_DATA)
        return rx_queue_event(handle, event);
    if (len == 0)
        return RX_OTHER;
    if (!keep_content(conn, data, len)) {
        error_set(handle, ENOBUFS, "no memory for received data");
        return -ENOBUFS;
    }
    rx_queue_acknowledges(conn);
    return RX_DATA;
}

/* The records of a look; what follows the last whole one stays in the kernel for the next. */
static int open_look(const struct conn_handle *handle, uint8_t *data, size_t len)
{
    struct conn *conn = handle->conn;
    size_t at = 0, size = 0;
    int what = RX_OTHER;
    while (at < len && what > 0 && what != RX_END) {
        if (tls_record_size(&conn->session, data + at, len - at, &size) != TLS_OK || size == 0 ||
            size > len - at)
            break;
        what = open_seen(handle, data + at, size);
        at += size;
    }
    if (at == 0)
        return rx_queue_fill(handle, MSG_DONTWAIT); /* it takes an incomplete record out of the kernel */
    atomic_store_explicit(&conn->readable, conn->inbox.total, memory_order_release);
    rx_queue_settle(handle);
    return conn->inbox.total > 0 ? RX_DATA : what;
}

static void give_back(uint8_t **buffer)
{
    scratch_give(*buffer);
}

int rx_queue_gather(const struct conn_handle *handle, size_t want, bool *drained)
{
    struct conn *conn = handle->conn;
    const size_t overhead = tls_session_overhead(&conn->session),
                 most = GATHER_RECORDS * (TLS_PLAINTEXT_MAX + overhead);
    *drained = false;
    if (want < FIRST_LOOK || conn->decrypted > 0 || conn->rx_have > 0)
        return rx_queue_fill(handle, MSG_DONTWAIT);
    uint8_t *buffer __attribute__((cleanup(give_back))) = scratch_take();
    if (!buffer)
        return -ENOBUFS;
    const size_t ask = want + (want / TLS_PLAINTEXT_MAX + 1) * overhead; /* if the records are full */
    const size_t look = ask < most ? ask : most;
    ssize_t seen = sysio_recv(handle, buffer, look, MSG_PEEK | MSG_DONTWAIT);
    if (seen <= 0)
        return seen == 0 ? RX_TRUNCATED : (int)seen;
    *drained = (size_t)seen < look;
    return open_look(handle, buffer, (size_t)seen);
}

void rx_queue_taken(const struct conn_handle *handle, size_t len)
{
    struct conn *conn = handle->conn;
    chunks_drop(&conn->inbox, len);
    atomic_store_explicit(&conn->readable, conn->inbox.total, memory_order_release);
    rx_queue_settle(handle);
}

bool rx_queue_has_bulk(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    uint8_t header[TLS_RECORD_HEADER];
    size_t size;
    int queued = 0;
    if (!conn->bulk || conn->decrypted > 0)
        return false;
    if (conn->rx_have >= TLS_RECORD_HEADER)
        memcpy(header, conn_rx_data(conn), sizeof header);
    else if (conn->rx_have > 0 ||
             net_recv(handle->fd, header, sizeof header, MSG_PEEK | MSG_DONTWAIT) != (long)sizeof header)
        return false;
    return tls_record_size(&conn->session, header, sizeof header, &size) == TLS_OK &&
           size == TLS_PLAINTEXT_MAX + tls_session_overhead(&conn->session) &&
           net_ioctl(handle->fd, FIONREAD, &queued) == 0 && (size_t)queued >= size - conn->rx_have;
}

void rx_queue_free_idle_chunk(struct conn *conn)
{
    if (conn->rx_have > 0 || !conn->rx_chunk)
        return;
    arena_chunk_give(conn->rx_chunk);
    conn->rx_chunk = 0;
}

void rx_queue_told(struct conn *conn, ssize_t result)
{
    if (result == -ECONNRESET || result == -ETIMEDOUT || result == -EPIPE)
        conn->read_shut = 1;
}

int rx_queue_take_so_error(struct conn *conn)
{
    return conn->so_error ? -atomic_exchange(&conn->so_error, 0) : 0;
}

void rx_queue_save_so_error(struct conn *conn, int result)
{
    if (result < 0 && result != -EAGAIN && result != -EINTR && result > -4096 && !conn_failed(conn))
        conn->so_error = -result;
}
