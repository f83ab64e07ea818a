/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "io/rx_fetch.h"

#include <errno.h>

#include "conn/error.h"
#include "record/rx_queue.h"
#include "record/sysio.h"
#include "shm/scratch.h"

/* Up to so many decrypted bytes that are still in the kernel are received along with what follows them. */
enum { READINESS_MAX = 2048 };

struct rx_fetch rx_fetch_of(const struct conn_handle *handle, const struct iov_cursor *memory, int flags)
{
    size_t low = (size_t)handle->conn->rx.low_water;
    size_t need = flags & MSG_WAITALL ? memory->left : low > 1 ? low : 1;
    return (struct rx_fetch){.handle = handle,
                             .memory = *memory,
                             .all = memory->left,
                             .need = need < memory->left ? need : memory->left,
                             .flags = flags,
                             .since_ms = sysio_begins(flags)};
}

/* Gives the program what is in the connection's queue. Once that is empty, its bytes must be taken out of the
 * kernel: by rx_queue_settle(), or, with what follows them, by receive_into(). */
static void serve_queue(struct rx_fetch *fetch)
{
    struct conn *conn = fetch->handle->conn;
    size_t len;
    while (fetch->memory.left > 0 && conn->rx.queue.total > 0) {
        const uint8_t *data = chunks_head(conn, &conn->rx.queue, &len);
        if (len == 0) {
            error_damaged(fetch->handle);
            chunks_free(conn, &conn->rx.queue);
            break;
        }
        if (len > fetch->memory.left)
            len = fetch->memory.left;
        iov_cursor_scatter(&fetch->memory, data, len);
        chunks_drop(conn, &conn->rx.queue, len);
    }
    atomic_store_explicit(&conn->rx.readable, conn->rx.queue.total, memory_order_release);
}

/* Whether a step ends the fetch; *result is what that gives. */
static bool ends(struct rx_step step, struct io_result *result)
{
    *result = step.kind == RX_LOCK_LOST ? io_is(IO_LOCK_LOST) : io_done(step.error);
    return rx_stopped(step) || step.kind == RX_END;
}

/* Decrypts the whole records in a buffer, and keeps the start of the next: 0 or -errno. */
static struct io_result decrypt_records(struct rx_fetch *fetch, uint8_t *data, size_t len)
{
    struct conn *conn = fetch->handle->conn;
    size_t used, size;
    struct io_result result;
    /* RFC 8446, 6.1: what follows a close_notify is ignored. */
    if (ends(rx_record_take_all(fetch->handle, data, len, &fetch->memory, &used), &result) || used == len)
        return result;
    enum tls_result valid = tls_record_size(&conn->session, data + used, len - used, &size);
    if (valid != TLS_OK)
        return io_done(rx_record_fail(fetch->handle, valid).error);
    if (rx_record_keep(conn, data + used, len - used))
        return io_done(0);
    /* These bytes are out of the kernel, and are lost. */
    error_set(fetch->handle, ENOBUFS, "no memory is left for the start of a record");
    return io_done(-ENOBUFS);
}

static struct io_result reached_end(struct rx_fetch *fetch)
{
    fetch->at_end = true;
    return io_done(rx_record_truncated(fetch->handle));
}

/* How much ciphertext to ask for so that the plaintext of its whole records fits `room` bytes, whatever sizes
 * the records have. A record adds its overhead to at most TLS_PLAINTEXT_MAX bytes of content (RFC 8446, 5.1).
 * So content of more than `room` bytes would be in at least as many records as are counted here, and their
 * overhead would make it longer than this. */
static size_t cipher_for(size_t room)
{
    return room + (room + TLS_PLAINTEXT_MAX - 1) / TLS_PLAINTEXT_MAX * TLS_SEAL_OVERHEAD;
}

/*
 * One system call, for as much ciphertext as surely fits, decrypted, the memory that is left. `whole` is the
 * size of the record that is begun in rx.chunk, whose content fits; 0: none is begun. The first element of
 * `iov` completes that record in its chunk. The second receives further records in `buffer`, after the
 * decrypted bytes that may still be before them in the kernel. 0 or -errno; fetch->drained tells whether the
 * kernel had less than was asked for.
 */
static struct io_result receive_into(struct rx_fetch *fetch, size_t whole, uint8_t *buffer, size_t cap,
                                     int flags)
{
    struct conn *conn = fetch->handle->conn;
    const size_t have = whole ? conn_rx_have(conn) : 0;
    if (have > whole)
        return io_done(error_damaged(fetch->handle));
    size_t first = whole - have, more = fetch->memory.left;
    if (whole)
        more -= whole - TLS_SEAL_OVERHEAD;
    size_t decrypted = conn->rx.decrypted, second = decrypted + cipher_for(more);
    if (second > cap)
        second = cap;
    struct iovec iov[2] = {{whole ? conn_rx_data(conn) + have : NULL, first}, {buffer, second}};
    struct msghdr message = {.msg_iov = whole ? iov : iov + 1, .msg_iovlen = whole && second ? 2 : 1};
    struct io_result result = sysio_recvmsg(fetch->handle, &message, flags);
    if (!io_ok(result))
        return result;
    if (result.value == 0)
        return reached_end(fetch);
    const size_t got = (size_t)result.value;
    fetch->drained = got < first + second;
    size_t used = got < first ? got : first;
    if (whole)
        conn->rx.have = (uint32_t)(have + used);
    if (used < first)
        return io_done(0);
    if (decrypted > got - used)
        decrypted = got - used;
    conn->rx.decrypted -= (uint32_t)decrypted;
    if (whole) {
        conn->rx.have = 0;
        if (ends(rx_record_take(fetch->handle, conn_rx_data(conn), whole, &fetch->memory), &result))
            return result;
    }
    return decrypt_records(fetch, buffer + decrypted, got - used - decrypted);
}

static struct io_result receive_large(struct rx_fetch *fetch, size_t whole, int flags)
{
    uint8_t *buffer __attribute__((cleanup(scratch_cleanup))) = scratch_take();
    return buffer ? receive_into(fetch, whole, buffer, SCRATCH_SIZE, flags) : io_done(-ENOBUFS);
}

static struct io_result receive_small(struct rx_fetch *fetch, size_t whole, int flags)
{
    uint8_t buffer[READINESS_MAX + SCRATCH_SMALL + TLS_SEAL_OVERHEAD];
    return receive_into(fetch, whole, buffer, sizeof buffer, flags);
}

/* The header of the record in rx.chunk is not whole: receives more of it. */
static struct io_result complete_header(struct rx_fetch *fetch, int flags)
{
    struct conn *conn = fetch->handle->conn;
    const size_t have = conn_rx_have(conn);
    if (have >= TLS_RECORD_HEADER)
        return io_done(error_damaged(fetch->handle));
    struct io_result got =
        sysio_recv(fetch->handle, conn_rx_data(conn) + have, TLS_RECORD_HEADER - have, flags);
    if (!io_ok(got))
        return got;
    if (got.value == 0)
        return reached_end(fetch);
    conn->rx.have = (uint32_t)(have + (size_t)got.value);
    return io_done(0);
}

/* The next record is larger than the memory that is left: decrypts it into the queue. */
static struct io_result fill_queue(struct rx_fetch *fetch, int flags)
{
    struct io_result result;
    struct rx_step step = rx_queue_fill(fetch->handle, flags);
    if (step.kind == RX_TRUNCATED)
        return reached_end(fetch);
    ends(step, &result);
    return result;
}

/* One step towards more data: 0, -errno, or IO_LOCK_LOST. */
static struct io_result fetch_step(struct rx_fetch *fetch, int flags)
{
    struct conn *conn = fetch->handle->conn;
    size_t whole = 0;
    flags &= ~(MSG_WAITALL | MSG_PEEK | MSG_TRUNC);
    if (conn->rx.decrypted > READINESS_MAX || conn->rx.have > 0 || conn->rx.byte_is_next ||
        !(flags & MSG_DONTWAIT))
        rx_queue_settle(fetch->handle);
    if (conn->rx.have > 0) {
        if (conn->rx.have < TLS_RECORD_HEADER)
            return complete_header(fetch, flags);
        if (tls_record_size(&conn->session, conn_rx_data(conn), TLS_RECORD_HEADER, &whole) != TLS_OK)
            return io_done(rx_record_fail(fetch->handle, TLS_FAIL_PROTOCOL).error);
        if (whole > CONN_RX_ROOM)
            return io_done(error_damaged(fetch->handle));
        if (whole < TLS_SEAL_OVERHEAD || whole - TLS_SEAL_OVERHEAD > fetch->memory.left)
            return fill_queue(fetch, flags);
    }
    struct io_result result = fetch->memory.left <= SCRATCH_SMALL ? receive_small(fetch, whole, flags)
                                                                  : receive_large(fetch, whole, flags);
    if (result.status != IO_LOCK_LOST)
        rx_queue_free_idle_chunk(conn);
    return result;
}

static bool over(const struct rx_fetch *fetch)
{
    const struct conn *conn = fetch->handle->conn;
    return fetch->memory.left == 0 || conn_peer_closed(conn) || fetch->at_end || conn_failed(conn) ||
           (fetch->drained && rx_fetch_done(fetch) >= fetch->need);
}

/* Whether another step is needed after one with this result. If not, *result is that of all: 0, -errno, or
 * IO_LOCK_LOST. */
static bool goes_on(struct rx_fetch *fetch, struct io_result *result)
{
    struct conn *conn = fetch->handle->conn;
    if (result->status == IO_LOCK_LOST)
        return false;
    if (conn->rx.queue.total > 0)
        serve_queue(fetch);
    if (result->value == 0 && !fdtable_current(fetch->handle)) { /* closed by another thread meanwhile */
        *result = io_done(fetch->at_end || conn_peer_closed(conn) ? 0 : -EBADF);
        return false;
    }
    if (result->value < 0)
        return false;
    if (rx_fetch_done(fetch) < fetch->need)
        fetch->drained = false;
    if (rx_fetch_done(fetch) == 0 && ++fetch->empty % RX_EMPTY_MAX == 0 &&
        !sysio_may_block(fetch->handle->fd, fetch->flags)) {
        *result = io_done(-EAGAIN);
        return false;
    }
    return !over(fetch);
}

static struct io_result fetch_all(struct rx_fetch *fetch)
{
    struct io_result result;
    struct conn *conn = fetch->handle->conn;
    bool more;
    do {
        bool enough = rx_fetch_done(fetch) >= fetch->need;
        result = fetch_step(fetch, fetch->flags | (enough ? MSG_DONTWAIT : 0));
        more = goes_on(fetch, &result);
        if (result.status != IO_LOCK_LOST)
            conn->rx.since_ms = more ? fetch->since_ms : 0;
    } while (more);
    return result;
}

/* The call's result for the program. */
static struct io_result outcome(struct rx_fetch *fetch, struct io_result result)
{
    struct conn *conn = fetch->handle->conn;
    const size_t done = rx_fetch_done(fetch);
    if (result.status == IO_LOCK_LOST)
        return result;
    rx_queue_settle(fetch->handle);
    if (done > 0)
        rx_queue_save_error(conn, (int)result.value);
    if (done > 0 || result.value == 0)
        return io_done(conn_failed(conn) && done == 0 ? -conn->status.error : (ssize_t)done);
    return result;
}

struct io_result rx_fetch_run(struct rx_fetch *fetch)
{
    struct conn *conn = fetch->handle->conn;
    if (conn->rx.queue.total > 0)
        serve_queue(fetch);
    int kept = rx_fetch_done(fetch) == 0 ? conn_take_so_error(conn) : 0;
    if (kept)
        return io_done(-kept);
    return outcome(fetch, over(fetch) ? io_done(0) : fetch_all(fetch));
}

/* The rest of a call that has begun as one of rx_fetch_fast(). */
static __attribute__((noinline)) struct io_result fetch_on(struct rx_fetch *fetch, struct io_result result)
{
    rx_queue_free_idle_chunk(fetch->handle->conn);
    if (!goes_on(fetch, &result))
        return outcome(fetch, result);
    fetch->handle->conn->rx.since_ms = fetch->since_ms;
    return outcome(fetch, fetch_all(fetch));
}

/* Whether what has come is one record. */
static inline bool is_one_record(struct conn *conn, const uint8_t *data, ssize_t len)
{
    size_t size;
    return len > 0 && tls_record_size(&conn->session, data, (size_t)len, &size) == TLS_OK &&
           size == (size_t)len;
}

/* The ciphertext is received into `buffer`, which has `cap` bytes. */
static inline struct io_result fetch_fast(const struct conn_handle *handle, void *to, size_t len, int flags,
                                          uint8_t *buffer, size_t cap)
{
    struct conn *conn = handle->conn;
    const int64_t since_ms = sysio_begins(flags);
    const size_t ask = cipher_for(len) < cap ? cipher_for(len) : cap;
    struct io_result result = sysio_recv(handle, buffer, ask, flags);
    if (result.status == IO_LOCK_LOST)
        return result;
    struct iov_cursor memory = iov_cursor_one(to, len);
    const bool drained = result.value > 0 && (size_t)result.value < ask;
    const bool is_one = is_one_record(conn, buffer, result.value);
    struct rx_step step = rx_is(RX_OTHER);
    if (is_one) {
        step = rx_record_take(handle, buffer, (size_t)result.value, &memory);
        if (step.kind == RX_DATA && (drained || memory.left == 0) && !conn->rx.chunk)
            return io_done((ssize_t)(len - memory.left));
    }
    struct rx_fetch fetch = {.handle = handle,
                             .memory = memory,
                             .all = len,
                             .need = 1,
                             .drained = drained,
                             .flags = flags,
                             .since_ms = since_ms};
    if (is_one)
        ends(step, &result);
    else if (result.value > 0)
        result = decrypt_records(&fetch, buffer, (size_t)result.value);
    else if (result.value == 0)
        result = reached_end(&fetch);
    return fetch_on(&fetch, result);
}

struct io_result rx_fetch_fast(const struct conn_handle *handle, void *to, size_t len, int flags)
{
    if (len <= SCRATCH_SMALL) {
        uint8_t small[SCRATCH_SMALL + TLS_SEAL_OVERHEAD];
        return fetch_fast(handle, to, len, flags, small, sizeof small);
    }
    uint8_t *buffer __attribute__((cleanup(scratch_cleanup))) = scratch_take();
    return buffer ? fetch_fast(handle, to, len, flags, buffer, SCRATCH_SIZE) : io_done(-ENOBUFS);
}
