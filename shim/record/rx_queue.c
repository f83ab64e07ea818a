/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "record/rx_queue.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "conn/error.h"
#include "record/sysio.h"
#include "shm/scratch.h"
#include "sys/net.h"

enum {
    FIRST_PEEK = 2048,  /* bytes to peek at while the record's size is not known */
    GATHER_RECORDS = 4, /* full records that rx_queue_gather() decrypts at most */
};

static void discard(const struct conn_handle *handle, size_t len)
{
    if (len > 0 && fdtable_current(handle))
        sysio_drop(handle->fd, len);
}

/* Takes what was decrypted out of the kernel's queue, but for one byte. */
static void drop_decrypted(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    if (conn->rx.decrypted > 1) {
        discard(handle, conn->rx.decrypted - 1);
        conn->rx.decrypted = 1;
    }
}

/* Moves the readiness byte to its record in rx.chunk. Left in the kernel it would keep the whole skb that it
 * is the end of. That could close the TCP window: then nothing more arrives, and an edge-triggered program
 * gets no event. */
static void take_readiness_byte(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    conn->rx.byte_is_next = 0;
    if (!fdtable_current(handle) || !rx_record_has_chunk(conn))
        return;
    const size_t have = conn_rx_have(conn);
    if (have == CONN_RX_ROOM)
        error_damaged(handle);
    else if (net_recv(handle->fd, conn_rx_data(conn) + have, 1, MSG_DONTWAIT) == 1)
        conn->rx.have = (uint32_t)have + 1;
}

void rx_queue_settle(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    if (conn->rx.queue.total > 0)
        return;
    if (conn->rx.byte_is_next)
        take_readiness_byte(handle);
    if (conn->rx.decrypted == 0)
        return;
    discard(handle, conn->rx.decrypted);
    conn->rx.decrypted = 0;
}

/* Takes the decrypted bytes and `len` bytes behind them out of the kernel, but for one while the queue must
 * keep the descriptor readable. */
static void consume(const struct conn_handle *handle, size_t len)
{
    struct conn *conn = handle->conn;
    size_t all = conn->rx.decrypted + len, keep = conn->rx.queue.total > 0 ? 1 : 0;
    discard(handle, all - keep);
    conn->rx.decrypted = (uint32_t)keep;
}

/* A whole record of `size` bytes is in rx.chunk, its last `rest` bytes also in the kernel behind the
 * decrypted ones. */
static struct rx_step decrypt_chunk(const struct conn_handle *handle, size_t size, size_t rest)
{
    struct conn *conn = handle->conn;
    conn->rx.have = 0;
    conn->rx.byte_is_next = 0;
    struct rx_step step = rx_record_take(handle, conn_rx_data(conn), size, NULL);
    if (step.kind == RX_DATA)
        conn->rx.decrypted += (uint32_t)rest;
    else if (step.kind != RX_ERROR)
        consume(handle, rest);
    return step;
}

/* Peeks at what is behind the decrypted bytes, into rx.chunk behind the `have` bytes there: how many bytes of
 * the record were seen, 0 at the end, -errno. */
static struct io_result peek(const struct conn_handle *handle, size_t have, size_t want, int flags)
{
    struct conn *conn = handle->conn;
    uint8_t readiness_byte;
    struct iovec iov[2] = {{&readiness_byte, 1}, {conn_rx_data(conn) + have, want}};
    if (conn->rx.decrypted == 0)
        return sysio_recv(handle, iov[1].iov_base, want, flags | MSG_PEEK);
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = 2};
    long got = net_recvmsg(handle->fd, &message, flags | MSG_PEEK | MSG_DONTWAIT);
    if (got == 1) /* the readiness byte alone */
        return io_done(-EAGAIN);
    return io_done(got > 0 ? got - 1 : got);
}

/* The `seen` bytes are not a whole record. They are taken out of the kernel, since a partly read skb keeps
 * the TCP window closed and the rest would never come. */
static struct rx_step keep_seen(const struct conn_handle *handle, size_t have, size_t seen)
{
    struct conn *conn = handle->conn;
    if (conn->rx.queue.total > 0) { /* one byte of it is left, as the readiness byte */
        discard(handle, conn->rx.decrypted + seen - 1);
        conn->rx.decrypted = 0;
        conn->rx.have = (uint32_t)(have + seen - 1);
        conn->rx.byte_is_next = 1;
        return rx_error(-EAGAIN);
    }
    discard(handle, seen);
    conn->rx.have = (uint32_t)(have + seen);
    return rx_is(RX_OTHER);
}

struct rx_step rx_queue_fill(const struct conn_handle *handle, int flags)
{
    struct conn *conn = handle->conn;
    size_t want = FIRST_PEEK, size = 0;
    if (!rx_record_has_chunk(conn))
        return rx_error(-ENOBUFS);
    drop_decrypted(handle);
    const size_t have = conn_rx_have(conn);
    for (;;) {
        if (have >= TLS_RECORD_HEADER || size) {
            if (tls_record_size(&conn->session, conn_rx_data(conn), TLS_RECORD_HEADER, &size) != TLS_OK)
                return rx_record_fail(handle, TLS_FAIL_PROTOCOL);
            if (size < have)
                return rx_error(error_damaged(handle));
            want = size - have;
            if (want == 0) /* a record of nothing but its header */
                return decrypt_chunk(handle, size, 0);
        }
        if (want > CONN_RX_ROOM - have)
            return rx_error(error_damaged(handle));
        struct io_result got = peek(handle, have, want, flags);
        if (got.status == IO_DONE && !fdtable_current(handle))
            return rx_error(-EBADF);
        if (got.status != IO_DONE || got.value <= 0)
            return rx_no_bytes(got);
        const size_t seen = (size_t)got.value;
        enum tls_result result = tls_record_size(&conn->session, conn_rx_data(conn), have + seen, &size);
        if (result != TLS_OK)
            return rx_record_fail(handle, result);
        if (size && size < have)
            return rx_error(error_damaged(handle));
        if (size && size <= have + seen)
            return decrypt_chunk(handle, size, size - have);
        if (seen < want || size == 0)
            return keep_seen(handle, have, seen);
        flags |= MSG_DONTWAIT; /* the record is longer than the first peek */
    }
}

static struct io_result collect(const struct conn_handle *handle, size_t want, int flags)
{
    struct conn *conn = handle->conn;
    const struct chunk_list *queue = &conn->rx.queue;
    int kept = queue->total == 0 ? -conn_take_so_error(conn) : 0;
    const int64_t since_ms = sysio_begins(flags);
    unsigned empty = 0;
    if (kept < 0)
        return io_done(kept);
    while (queue->total < want && queue->total < CONN_QUEUE_MAX && !conn_peer_closed(conn) &&
           !conn_failed(conn)) {
        struct rx_step step = rx_queue_fill(handle, queue->total ? MSG_DONTWAIT : flags & MSG_DONTWAIT);
        if (step.kind == RX_LOCK_LOST)
            return io_is(IO_LOCK_LOST);
        if (step.kind == RX_ERROR)
            return io_done(step.error);
        if (step.kind == RX_TRUNCATED)
            return io_done(queue->total ? -EAGAIN : rx_record_truncated(handle));
        if (step.kind == RX_OTHER && ++empty % RX_EMPTY_MAX == 0 &&
            (queue->total > 0 || !sysio_may_block(handle->fd, flags)))
            return io_done(-EAGAIN);
        conn->rx.since_ms = since_ms;
    }
    return io_done(0);
}

struct io_result rx_queue_collect(const struct conn_handle *handle, size_t want, int flags)
{
    struct io_result result = collect(handle, want, flags);
    if (result.status != IO_LOCK_LOST)
        handle->conn->rx.since_ms = 0;
    return result;
}

/* Decrypts the whole records among the bytes that were peeked at. What follows them is left in the kernel. */
static struct rx_step decrypt_seen(const struct conn_handle *handle, uint8_t *data, size_t len)
{
    size_t used;
    struct rx_step step = rx_record_take_all(handle, data, len, NULL, &used);
    if (used == 0 && step.kind == RX_OTHER)
        return rx_queue_fill(handle, MSG_DONTWAIT); /* this takes an incomplete record out of the kernel */
    rx_queue_settle(handle);
    return handle->conn->rx.queue.total > 0 ? rx_is(RX_DATA) : step;
}

struct rx_step rx_queue_gather(const struct conn_handle *handle, size_t want, bool *drained)
{
    struct conn *conn = handle->conn;
    const size_t most = GATHER_RECORDS * (TLS_PLAINTEXT_MAX + TLS_SEAL_OVERHEAD);
    *drained = false;
    if (want < FIRST_PEEK || conn->rx.have > 0)
        return rx_queue_fill(handle, MSG_DONTWAIT);
    drop_decrypted(handle);
    uint8_t *buffer __attribute__((cleanup(scratch_cleanup))) = scratch_take();
    if (!buffer)
        return rx_error(-ENOBUFS);
    const size_t ask =
        want + (want / TLS_PLAINTEXT_MAX + 1) * TLS_SEAL_OVERHEAD; /* if the records are full */
    const size_t peeked = ask < most ? ask : most;
    const size_t skip = conn->rx.decrypted > 0; /* the readiness byte, or none */
    struct io_result seen = sysio_recv(handle, buffer, skip + peeked, MSG_PEEK | MSG_DONTWAIT);
    if (seen.value <= 0)
        return rx_no_bytes(seen);
    *drained = (size_t)seen.value < skip + peeked;
    if ((size_t)seen.value <= skip)
        return rx_error(-EAGAIN);
    return decrypt_seen(handle, buffer + skip, (size_t)seen.value - skip);
}

void rx_queue_taken(const struct conn_handle *handle, size_t len)
{
    struct conn *conn = handle->conn;
    chunks_drop(conn, &conn->rx.queue, len);
    atomic_store_explicit(&conn->rx.readable, conn->rx.queue.total, memory_order_release);
    rx_queue_settle(handle);
}

bool rx_queue_has_bulk(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    uint8_t header[TLS_RECORD_HEADER];
    size_t size;
    int queued = 0;
    if (!conn->rx.bulk || conn->rx.decrypted > 0)
        return false;
    if (conn->rx.have >= TLS_RECORD_HEADER)
        memcpy(header, conn_rx_data(conn), sizeof header);
    else if (conn->rx.have > 0 ||
             net_recv(handle->fd, header, sizeof header, MSG_PEEK | MSG_DONTWAIT) != (long)sizeof header)
        return false;
    return tls_record_size(&conn->session, header, sizeof header, &size) == TLS_OK &&
           size == TLS_PLAINTEXT_MAX + TLS_SEAL_OVERHEAD && net_ioctl(handle->fd, FIONREAD, &queued) == 0 &&
           (size_t)queued >= size - conn->rx.have;
}

void rx_queue_free_idle_chunk(struct conn *conn)
{
    if (conn->rx.have > 0 || !conn->rx.chunk)
        return;
    arena_chunk_give(conn, conn->rx.chunk);
    conn->rx.chunk = 0;
}

void rx_queue_note_result(struct conn *conn, ssize_t result)
{
    if (result == -ECONNRESET || result == -ETIMEDOUT || result == -EPIPE)
        conn->status.read_shut = 1;
}

void rx_queue_save_error(struct conn *conn, int result)
{
    if (result < 0 && result != -EAGAIN && result != -EINTR && !conn_failed(conn))
        conn_save_so_error(conn, -result);
}
