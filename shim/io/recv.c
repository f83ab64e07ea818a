/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "io/recv.h"

#include <string.h>

#include "conn/hold.h"
#include "conn/pending.h"
#include "io/connect.h"
#include "io/progress.h"
#include "io/rx_fetch.h"
#include "io/wait.h"
#include "record/handshake.h"
#include "record/rx_low_water.h"
#include "record/rx_queue.h"
#include "record/sysio.h"
#include "record/tx_flush.h"
#include "sys/net.h"
#include "sys/real.h"

/* MSG_PEEK: decrypts into the connection's queue, and copies what is there. */
static struct io_result peek_locked(struct rx_fetch *fetch)
{
    struct conn *conn = fetch->handle->conn;
    struct io_result result = rx_queue_collect(fetch->handle, fetch->memory.left, fetch->flags);
    if (result.status == IO_LOCK_LOST)
        return result;
    if (conn->rx.queue.total == 0) {
        rx_queue_free_idle_chunk(conn);
        return conn_failed(conn)        ? io_done(-conn->status.error)
               : conn_peer_closed(conn) ? io_done(0)
                                        : result;
    }
    size_t here, part = 0, done = 0;
    do {
        uint8_t *to = iov_cursor_piece(&fetch->memory, &here);
        part = here ? chunks_copy(conn, &conn->rx.queue, done, to, here) : 0;
        iov_cursor_advance(&fetch->memory, part);
        done += part;
    } while (part > 0);
    return io_done((ssize_t)done);
}

struct io_result recv_begin(const struct conn_handle *handle, int flags)
{
    uint8_t byte;
    for (unsigned yields = 0;;) {
        const enum hold_result held = hold_rx(handle, HOLD_WAIT);
        if (held != HOLD_BLOCKED) /* HOLD_REENTERED: the interrupted call is collecting a record */
            return hold_outcome(handle, held);
        /* Another reader waits in the kernel: wait beside it, as the kernel decides. */
        if (real()->recv(handle->fd, &byte, 1, MSG_PEEK | (flags & MSG_DONTWAIT)) < 0)
            return io_done(-errno);
        if (!sysio_yield(&yields) && !sysio_may_block(handle->fd, flags))
            return io_done(-EAGAIN);
    }
}

/* Makes progress with the handshake, and waits for another thread that does so, however long that takes. With
 * an EAGAIN an edge-triggered program would wait for an edge, and data that came with the end of the
 * handshake causes none. But a signal handler does not wait for the call that it has interrupted. */
static int progress_patiently(const struct conn_handle *handle)
{
    int result;
    bool blocked;
    do {
        result = handshake_progress(handle);
    } while (result == -EBUSY && !lock_is_held(&handle->conn->tx_lock, &blocked));
    return result == -EBUSY ? 0 : result;
}

/* Waits for the end of the handshake as the descriptor and `flags` say: 1 when it is over, else the call's
 * result: -errno. */
static int wait_established(const struct conn_handle *handle, int flags)
{
    struct conn *conn = handle->conn;
    handshake_unhold(conn);
    int result = progress_patiently(handle);
    const int64_t limit = sysio_limit(handle->fd, SO_RCVTIMEO);
    if (conn_is_connecting(conn)) {
        int waited = connect_wait(handle, flags, limit);
        if (waited < 0)
            return waited;
    } else if (result < 0) {
        return result;
    }
    if (conn_is_established(conn))
        return 1;
    if (conn->status.read_shut) /* nothing has come before, and the end is what is told then */
        return 0;
    if (!sysio_may_block(handle->fd, flags))
        return -EAGAIN;
    for (;;) {
        result = progress_handshake(handle, false, limit);
        if (result == -EINTR && limit == INT64_MAX && sysio_restarts())
            continue;
        return result == 0 ? -EAGAIN : result;
    }
}

/* MSG_TRUNC on TCP throws the bytes away and leaves the program's memory alone (tcp(7)). */
static struct io_result discard_message(const struct conn_handle *handle, size_t len, int flags)
{
    uint8_t nowhere[2048];
    size_t done = 0;
    while (done < len) {
        struct iovec iov = {nowhere, len - done < sizeof nowhere ? len - done : sizeof nowhere};
        struct io_result got =
            recv_message(handle, &iov, 1, (flags & ~MSG_TRUNC) | (done ? MSG_DONTWAIT : 0));
        if (!io_ok(got) || got.value == 0)
            return io_after(done, got);
        done += (size_t)got.value;
    }
    return io_done((ssize_t)done);
}

/* MSG_PEEK with MSG_WAITALL: waits a moment, and tells whether to peek again. The kernel cannot do this
 * waiting, since the readiness byte makes the descriptor readable. */
static bool peek_again(const struct rx_fetch *fetch, struct io_result got, int64_t until_ms)
{
    const struct conn *conn = fetch->handle->conn;
    struct pollfd polled = {.fd = fetch->handle->fd, .events = POLLRDHUP};
    if (!(fetch->flags & MSG_WAITALL) || got.value <= 0 || (size_t)got.value >= fetch->need ||
        conn_peer_closed(conn) || conn_failed(conn))
        return false;
    if (!sysio_may_block(fetch->handle->fd, fetch->flags) || net_now_ms() >= until_ms)
        return false;
    return net_ppoll(&polled, 1, &(struct timespec){.tv_nsec = 1000000}) == 0;
}

/* From a peer that does not seal (SOCKSEAL_PLAINTEXT=accept). What the program wrote before that was known
 * may still be in the queue, and the peer may be waiting for it. */
static struct io_result receive_plaintext(const struct conn_handle *handle, const struct iovec *iov,
                                          size_t count, int flags)
{
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = count};
    if (handle->conn->tx.to_send > 0)
        tx_flush(handle);
    int waited = pending_any() ? wait_before_read(handle->fd, flags) : 0;
    if (waited < 0)
        return io_done(waited);
    ssize_t got = real()->recvmsg(handle->fd, &message, flags);
    return io_done(got < 0 ? -errno : got);
}

struct io_result recv_fast(const struct conn_handle *handle, void *to, size_t len, int flags)
{
    struct conn *conn = handle->conn;
    if (len == 0 || (flags & ~MSG_DONTWAIT) || conn->rx.attention || !lock_try(&conn->rx_lock))
        return io_is(IO_NOT_FAST);
    if (!fdtable_current(handle) || conn->rx.attention) {
        conn_release_rx(conn);
        return io_is(IO_NOT_FAST);
    }
    struct io_result got = rx_fetch_fast(handle, to, len, flags);
    if (got.status == IO_LOCK_LOST)
        return io_is(IO_NOT_FAST);
    if (got.value < 0)
        rx_queue_note_result(conn, got.value);
    conn_release_rx(conn);
    return got;
}

/* The call when a handshake is complete, and with memory to fill. */
static struct io_result receive(const struct conn_handle *handle, const struct iov_cursor *memory, int flags)
{
    struct conn *conn = handle->conn;
    const bool gather = (flags & (MSG_PEEK | MSG_WAITALL)) == (MSG_PEEK | MSG_WAITALL);
    int64_t until_ms = gather ? sysio_limit(handle->fd, SO_RCVTIMEO) : 0;
    for (;;) {
        struct io_result result = recv_begin(handle, flags);
        if (!io_ok(result))
            return result;
        struct rx_fetch fetch = rx_fetch_of(handle, memory, flags);
        result = flags & MSG_PEEK ? peek_locked(&fetch) : rx_fetch_run(&fetch);
        if (result.status == IO_LOCK_LOST) {
            if (rx_fetch_done(&fetch) > 0)
                return io_done((ssize_t)rx_fetch_done(&fetch));
            continue;
        }
        rx_queue_note_result(conn, result.value);
        if (conn->rx.attention & RX_LOW_WATER)
            rx_low_water_apply(handle);
        conn_release_rx(conn);
        if (!gather || !peek_again(&fetch, result, until_ms))
            return result;
    }
}

struct io_result recv_message(const struct conn_handle *handle, const struct iovec *iov, size_t count,
                              int flags)
{
    struct conn *conn = handle->conn;
    if (!conn_is_established(conn)) {
        int result = wait_established(handle, flags);
        if (result <= 0)
            return io_done(result);
    }
    if (conn_is_plaintext(conn))
        return receive_plaintext(handle, iov, count, flags);
    const struct iov_cursor memory = iov_cursor_of(iov, count);
    if (memory.left == 0)
        return io_done(0);
    if ((flags & MSG_TRUNC) && !(flags & MSG_PEEK))
        return discard_message(handle, memory.left, flags);
    return receive(handle, &memory, flags);
}
