/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "conn/inbox.h"

#include <string.h>
#include <sys/ioctl.h>

#include "conn/blocking.h"
#include "conn/failure.h"
#include "conn/outbox.h"
#include "conn/scratch.h"
#include "sys/net.h"

enum {
    FIRST_LOOK = 2048, /* bytes to peek at while the record's size is not known */
    COPY_BELOW = 4096, /* smaller content is copied behind other; larger keeps its chunk */
    GATHER_RECORDS = 4,
};

static void discard(const struct sealed *sealed, size_t len)
{
    if (len > 0 && registry_current(sealed))
        net_recv(sealed->fd, NULL, len, MSG_TRUNC | MSG_DONTWAIT); /* tcp(7): drops without copying */
}

/* The byte that marked the inbox joins its record. Left in the kernel it would hold the whole skb that it is
 * the end of, and with it the window shut: no more would arrive, and an edge-triggered program hear of
 * nothing. */
static void take_part_marker(const struct sealed *sealed)
{
    struct conn *conn = sealed->conn;
    conn->part_marks = 0;
    if (!registry_current(sealed) || (!conn->rx_chunk && !(conn->rx_chunk = arena_chunk_take())))
        return;
    if (net_recv(sealed->fd, conn_rx_data(conn) + conn->rx_have, 1, MSG_DONTWAIT) == 1)
        conn->rx_have++;
}

void inbox_settle(const struct sealed *sealed)
{
    struct conn *conn = sealed->conn;
    if (conn->inbox.total > 0)
        return;
    if (conn->part_marks)
        take_part_marker(sealed);
    if (conn->stale == 0)
        return;
    discard(sealed, conn->stale);
    conn->stale = 0;
}

/* Takes `stale` and `len` bytes behind them out of the kernel, but for one while the inbox must stay visible.
 */
static void consume(const struct sealed *sealed, size_t len)
{
    struct conn *conn = sealed->conn;
    size_t all = conn->stale + len, keep = conn->inbox.total > 0 ? 1 : 0;
    discard(sealed, all - keep);
    conn->stale = (uint32_t)keep;
}

int inbox_fail(const struct sealed *sealed, enum tls_result result)
{
    outbox_alert(sealed, (enum tls_alert)sealed->conn->session.alert_out);
    failure_from(sealed, &sealed->conn->session, result);
    return -sealed->conn->error;
}

int inbox_event(const struct sealed *sealed, enum tls_event event)
{
    struct conn *conn = sealed->conn;
    switch (event) {
    case TLS_EVENT_DATA:
        return INBOX_DATA;
    case TLS_EVENT_CLOSE:
        conn->ended = 1;
        if (registry_current(sealed))
            net_shutdown(sealed->fd, SHUT_RD); /* from now on the kernel, too, says readable and end */
        return INBOX_END;
    case TLS_EVENT_KEY_UPDATE_ASKED:
        conn->key_update = 1;
        outbox_key_update(sealed);
        return INBOX_OTHER;
    case TLS_EVENT_NONE:
    case TLS_EVENT_KEY_UPDATE:
        break;
    }
    return INBOX_OTHER;
}

int inbox_cut(const struct sealed *sealed)
{
    if (sealed->conn->read_shut || sealed->conn->ended)
        return 0;
    failure_set(sealed, ECONNRESET, "the connection was cut: the stream ends without close_notify");
    return -ECONNRESET;
}

/* Puts the opened record's content, at `data`, into the inbox. False: no memory. */
static bool keep_content(struct conn *conn, const uint8_t *data, size_t len)
{
    if (len < COPY_BELOW && conn->inbox.first)
        return conn_bytes_append(&conn->inbox, data, len, SIZE_MAX) == len;
    conn_bytes_adopt(&conn->inbox, conn->rx_chunk, TLS_RECORD_HEADER, (uint32_t)len);
    conn->rx_chunk = 0;
    return true;
}

/* A whole record of `size` bytes stands in rx_chunk, its last `rest` bytes also in the kernel behind the
 * stale ones. */
static int open_record(const struct sealed *sealed, size_t size, size_t rest)
{
    struct conn *conn = sealed->conn;
    uint8_t *data = conn_rx_data(conn);
    enum tls_event event = TLS_EVENT_NONE;
    size_t len = 0;
    enum tls_result result =
        tls_session_open(&conn->session, data, size, data + TLS_RECORD_HEADER, &len, &event);
    conn->rx_have = 0;
    conn->part_marks = 0;
    if (result != TLS_OK)
        return inbox_fail(sealed, result);
    conn->bulk = event == TLS_EVENT_DATA && len == TLS_PLAINTEXT_MAX;
    if (event == TLS_EVENT_DATA && len > 0) {
        if (!keep_content(conn, data + TLS_RECORD_HEADER, len)) {
            failure_set(sealed, ENOBUFS, "no memory for received data");
            return -ENOBUFS;
        }
        conn->stale += (uint32_t)rest;
        inbox_acknowledges(conn);
        atomic_store_explicit(&conn->readable, conn->inbox.total, memory_order_release);
        return INBOX_DATA;
    }
    consume(sealed, rest);
    int what = inbox_event(sealed, event);
    return what == INBOX_DATA ? INBOX_OTHER : what; /* a record without content */
}

/* Peeks behind the stale bytes into rx_chunk; gives how many bytes of the record were seen, 0 at the end,
 * -errno. */
static ssize_t peek(const struct sealed *sealed, size_t want, int flags)
{
    struct conn *conn = sealed->conn;
    uint8_t marker;
    struct iovec iov[2] = {{&marker, 1}, {conn_rx_data(conn) + conn->rx_have, want}};
    if (conn->stale == 0)
        return blocking_receive(sealed, iov[1].iov_base, want, flags | MSG_PEEK);
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = 2};
    long got = net_recvmsg(sealed->fd, &message, flags | MSG_PEEK | MSG_DONTWAIT);
    if (got == 1) /* the marker alone */
        return -EAGAIN;
    return got > 0 ? got - 1 : got;
}

/* What was seen is not a whole record: out of the kernel with it, or its window would stay shut. */
static int keep_part(const struct sealed *sealed, size_t seen)
{
    struct conn *conn = sealed->conn;
    if (conn->inbox.total > 0) { /* a byte of it stays, as the marker */
        discard(sealed, conn->stale + seen - 1);
        conn->stale = 0;
        conn->rx_have += (uint32_t)seen - 1;
        conn->part_marks = 1;
        return -EAGAIN;
    }
    discard(sealed, seen);
    conn->rx_have += (uint32_t)seen;
    return INBOX_OTHER;
}

int inbox_fill(const struct sealed *sealed, int flags)
{
    struct conn *conn = sealed->conn;
    size_t want = FIRST_LOOK, size = 0;
    if (!conn->rx_chunk && !(conn->rx_chunk = arena_chunk_take()))
        return -ENOBUFS;
    if (conn->stale > 1) {
        discard(sealed, conn->stale - 1);
        conn->stale = 1;
    }
    for (;;) {
        if (conn->rx_have >= TLS_RECORD_HEADER || size) {
            if (tls_record_size(&conn->session, conn_rx_data(conn), TLS_RECORD_HEADER, &size) != TLS_OK)
                return inbox_fail(sealed, TLS_FAIL_PROTOCOL);
            want = size - conn->rx_have;
            if (want == 0) /* a record of nothing but its header */
                return open_record(sealed, size, 0);
        }
        ssize_t seen = peek(sealed, want, flags);
        if (!registry_current(sealed))
            return -EBADF;
        if (seen == 0)
            return INBOX_CUT;
        if (seen < 0)
            return (int)seen;
        enum tls_result result =
            tls_record_size(&conn->session, conn_rx_data(conn), conn->rx_have + (size_t)seen, &size);
        if (result != TLS_OK)
            return inbox_fail(sealed, result);
        if (size && size <= conn->rx_have + (size_t)seen)
            return open_record(sealed, size, size - conn->rx_have);
        if ((size_t)seen < want || size == 0)
            return keep_part(sealed, (size_t)seen);
        flags |= MSG_DONTWAIT; /* the record is longer than the first look */
    }
}

int inbox_collect(const struct sealed *sealed, size_t want, int flags)
{
    struct conn *conn = sealed->conn;
    int result = conn->inbox.total == 0 ? inbox_recall(conn) : 0;
    unsigned empty = 0;
    while (result >= 0 && conn->inbox.total < want && conn->inbox.total < CONN_QUEUE_MAX && !conn->ended &&
           !conn_failed(conn)) {
        result = inbox_fill(sealed, conn->inbox.total ? MSG_DONTWAIT : flags & MSG_DONTWAIT);
        if (result == INBOX_CUT)
            return conn->inbox.total ? -EAGAIN : inbox_cut(sealed);
        if (result == INBOX_OTHER && ++empty % INBOX_EMPTY_MAX == 0 &&
            (conn->inbox.total > 0 || !blocking_allowed(sealed->fd, flags)))
            return -EAGAIN;
    }
    return result;
}

/* Opens one record that stands in the kernel's queue behind the stale bytes, and was seen whole. */
static int open_seen(const struct sealed *sealed, uint8_t *record, size_t size)
{
    struct conn *conn = sealed->conn;
    enum tls_event event = TLS_EVENT_NONE;
    size_t len = 0;
    if (!conn->rx_chunk && !(conn->rx_chunk = arena_chunk_take()))
        return -ENOBUFS;
    uint8_t *data = conn_rx_data(conn) + TLS_RECORD_HEADER;
    enum tls_result result = tls_session_open(&conn->session, record, size, data, &len, &event);
    if (result != TLS_OK)
        return inbox_fail(sealed, result);
    conn->stale += (uint32_t)size;
    conn->part_marks = 0;
    if (event != TLS_EVENT_DATA)
        return inbox_event(sealed, event);
    if (len == 0)
        return INBOX_OTHER;
    if (!keep_content(conn, data, len)) {
        failure_set(sealed, ENOBUFS, "no memory for received data");
        return -ENOBUFS;
    }
    inbox_acknowledges(conn);
    return INBOX_DATA;
}

/* The records of a look; what follows the last whole one stays in the kernel for the next. */
static int open_look(const struct sealed *sealed, uint8_t *data, size_t len)
{
    struct conn *conn = sealed->conn;
    size_t at = 0, size = 0;
    int what = INBOX_OTHER;
    while (at < len && what > 0 && what != INBOX_END) {
        if (tls_record_size(&conn->session, data + at, len - at, &size) != TLS_OK || size == 0 ||
            size > len - at)
            break;
        what = open_seen(sealed, data + at, size);
        at += size;
    }
    if (at == 0)
        return inbox_fill(sealed, MSG_DONTWAIT); /* it takes an incomplete record out of the kernel */
    atomic_store_explicit(&conn->readable, conn->inbox.total, memory_order_release);
    inbox_settle(sealed);
    return conn->inbox.total > 0 ? INBOX_DATA : what;
}

static void give_back(uint8_t **buffer)
{
    scratch_give(*buffer);
}

int inbox_gather(const struct sealed *sealed, size_t want, bool *drained)
{
    struct conn *conn = sealed->conn;
    const size_t overhead = tls_session_overhead(&conn->session),
                 most = GATHER_RECORDS * (TLS_PLAINTEXT_MAX + overhead);
    *drained = false;
    if (want < FIRST_LOOK || conn->stale > 0 || conn->rx_have > 0)
        return inbox_fill(sealed, MSG_DONTWAIT);
    uint8_t *buffer __attribute__((cleanup(give_back))) = scratch_take();
    if (!buffer)
        return -ENOBUFS;
    const size_t ask = want + (want / TLS_PLAINTEXT_MAX + 1) * overhead; /* if the records are full */
    const size_t look = ask < most ? ask : most;
    ssize_t seen = blocking_receive(sealed, buffer, look, MSG_PEEK | MSG_DONTWAIT);
    if (seen <= 0)
        return seen == 0 ? INBOX_CUT : (int)seen;
    *drained = (size_t)seen < look;
    return open_look(sealed, buffer, (size_t)seen);
}

void inbox_taken(const struct sealed *sealed, size_t len)
{
    struct conn *conn = sealed->conn;
    conn_bytes_drop(&conn->inbox, len);
    atomic_store_explicit(&conn->readable, conn->inbox.total, memory_order_release);
    inbox_settle(sealed);
}

bool inbox_has_bulk(const struct sealed *sealed)
{
    struct conn *conn = sealed->conn;
    uint8_t header[TLS_RECORD_HEADER];
    size_t size;
    int queued = 0;
    if (!conn->bulk || conn->stale > 0)
        return false;
    if (conn->rx_have >= TLS_RECORD_HEADER)
        memcpy(header, conn_rx_data(conn), sizeof header);
    else if (conn->rx_have > 0 ||
             net_recv(sealed->fd, header, sizeof header, MSG_PEEK | MSG_DONTWAIT) != (long)sizeof header)
        return false;
    return tls_record_size(&conn->session, header, sizeof header, &size) == TLS_OK &&
           size == TLS_PLAINTEXT_MAX + tls_session_overhead(&conn->session) &&
           net_ioctl(sealed->fd, FIONREAD, &queued) == 0 && (size_t)queued >= size - conn->rx_have;
}

void inbox_rest(struct conn *conn)
{
    if (conn->rx_have > 0 || !conn->rx_chunk)
        return;
    arena_chunk_give(conn->rx_chunk);
    conn->rx_chunk = 0;
}

void inbox_told(struct conn *conn, ssize_t result)
{
    if (result == -ECONNRESET || result == -ETIMEDOUT || result == -EPIPE)
        conn->read_shut = 1;
}

int inbox_recall(struct conn *conn)
{
    return conn->pending ? -atomic_exchange(&conn->pending, 0) : 0;
}

void inbox_remember(struct conn *conn, int result)
{
    if (result < 0 && result != -EAGAIN && result != -EINTR && result > -4096 && !conn_failed(conn))
        conn->pending = -result;
}
