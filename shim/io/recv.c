/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "io/recv.h"

#include <string.h>

#include "conn/error.h"
#include "conn/map.h"
#include "conn/pending.h"
#include "io/connect.h"
#include "io/progress.h"
#include "io/rx_fetch.h"
#include "io/send.h"
#include "io/wait.h"
#include "record/handshake.h"
#include "record/rx_queue.h"
#include "record/sysio.h"
#include "record/tx_flush.h"
#include "sys/net.h"
#include "sys/real.h"

/* MSG_PEEK: what stands in the inbox, and what can be had to it. */
static ssize_t peek_held(struct rx_fetch *fetch)
{
    struct conn *conn = fetch->handle->conn;
    int result = rx_queue_collect(fetch->handle, fetch->left, fetch->flags);
    if (result == -ESTALE)
        return -ESTALE;
    if (conn->inbox.total == 0) {
        rx_queue_free_idle_chunk(conn);
        return conn_failed(conn) ? -conn->error : conn->ended ? 0 : result;
    }
    size_t here, skip = 0;
    for (uint8_t *to = rx_fetch_room(fetch, &here); here > 0; to = rx_fetch_room(fetch, &here)) {
        size_t part = chunks_copy(&conn->inbox, skip, to, here);
        if (part == 0)
            break;
        skip += part;
        rx_fetch_moved(fetch, part);
    }
    return (ssize_t)fetch->done;
}

int recv_begin(const struct conn_handle *handle, int flags)
{
    struct conn *conn = handle->conn;
    uint8_t byte;
    for (;;) {
        if (sysio_above_own_recv(conn))
            return -EAGAIN; /* in the middle of a record that the interrupted call is collecting */
        switch (conn_take_rx(conn)) {
        case LOCK_TAKEN:
        case LOCK_RECOVERED:
            if (!map_rx(handle))
                return -ENOBUFS;
            if (fdtable_current(handle))
                return 0;
            lock_release(&conn->rx);
            return CONN_RETRY_LOOKUP;
        case LOCK_REENTERED:
            return -EAGAIN;
        case LOCK_OWNER_DIED:
            error_set(handle, EIO, "a process died while it was reading");
            conn_release(conn, &conn->rx);
            return -EIO;
        case LOCK_BLOCKED: /* somebody waits in the kernel: wait beside him, as the kernel decides */
            if (real()->recv(handle->fd, &byte, 1, MSG_PEEK | (flags & MSG_DONTWAIT)) < 0)
                return -errno;
            sys_call3(SYS_sched_yield, 0, 0, 0);
        }
    }
}

/* Whoever is at it, for however long, is waited for: an EAGAIN would tell an edge-triggered program that
 * there is nothing, and what stands behind the handshake that he takes in causes no further edge. But he does
 * not wait for us, in a signal handler. */
static int progress_patiently(const struct conn_handle *handle)
{
    int result;
    bool parked;
    do {
        result = handshake_progress(handle);
    } while (result == -EBUSY && !lock_mine(&handle->conn->tx, &parked));
    return result == -EBUSY ? 0 : result;
}

/* Before the handshake is over: 1 when it is, 0 or -errno for the program. */
static int wait_established(const struct conn_handle *handle, int flags)
{
    struct conn *conn = handle->conn;
    int result = progress_patiently(handle);
    if (conn->connecting) {
        int waited = connect_wait(handle, flags);
        if (waited < 0)
            return waited;
    } else if (result < 0) {
        return result;
    }
    if (conn->established)
        return 1;
    if (!sysio_may_block(handle->fd, flags))
        return -EAGAIN;
    int64_t limit = sysio_limit(handle->fd, SO_RCVTIMEO);
    for (;;) {
        result = progress_handshake(handle, false, limit);
        if (result == -EINTR && sysio_restarts())
            continue;
        return result == 0 ? -EAGAIN : result;
    }
}

/* MSG_TRUNC on TCP throws the bytes away and leaves the program's memory alone (tcp(7)). */
static ssize_t discard_message(const struct conn_handle *handle, size_t len, int flags)
{
    uint8_t nowhere[2048];
    size_t done = 0;
    while (done < len) {
        struct iovec iov = {nowhere, len - done < sizeof nowhere ? len - done : sizeof nowhere};
        ssize_t got = recv_message(handle, &iov, 1, (flags & ~MSG_TRUNC) | (done ? MSG_DONTWAIT : 0));
        if (got <= 0)
            return done ? (ssize_t)done : got;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

/* MSG_PEEK with MSG_WAITALL: the kernel cannot wait for us, since the marker makes the descriptor readable.
 */
static bool peek_again(const struct rx_fetch *fetch, ssize_t got, int64_t until_ms)
{
    const struct conn *conn = fetch->handle->conn;
    struct pollfd look = {.fd = fetch->handle->fd, .events = POLLRDHUP};
    if (!(fetch->flags & MSG_WAITALL) || got <= 0 || (size_t)got >= fetch->need || conn->ended ||
        conn_failed(conn))
        return false;
    if (!sysio_may_block(fetch->handle->fd, fetch->flags) || net_now_ms() >= until_ms)
        return false;
    return net_ppoll(&look, 1, &(struct timespec){.tv_nsec = 1000000}) == 0;
}

/* From a peer that does not seal (SOCKSEAL_PLAINTEXT=accept). What was written before that was known may
 * still stand in the queue, and the peer may wait for it. */
static ssize_t receive_plain(const struct conn_handle *handle, const struct iovec *iov, size_t count,
                             int flags)
{
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = count};
    if (handle->conn->to_send > 0)
        tx_flush(handle);
    int waited = pending_any() ? wait_before_read(handle->fd, flags) : 0;
    if (waited < 0)
        return waited;
    ssize_t got = real()->recvmsg(handle->fd, &message, flags);
    return got < 0 ? -errno : got;
}

ssize_t recv_fast(const struct conn_handle *handle, void *to, size_t len, int flags)
{
    struct conn *conn = handle->conn;
    if (len == 0 || (flags & ~MSG_DONTWAIT) || !lock_try(&conn->rx))
        return CONN_NOT_FAST;
    if (!fdtable_current(handle) || !rx_fetch_fresh(conn)) {
        conn_release(conn, &conn->rx);
        return CONN_NOT_FAST;
    }
    ssize_t got = rx_fetch_once(handle, to, len, flags);
    if (got == -ESTALE)
        return CONN_NOT_FAST;
    if (got < 0)
        rx_queue_told(conn, got);
    conn_release(conn, &conn->rx);
    return got;
}

ssize_t recv_message(const struct conn_handle *handle, const struct iovec *iov, size_t count, int flags)
{
    struct conn *conn = handle->conn;
    if (!conn->established) {
        int result = wait_established(handle, flags);
        if (result <= 0)
            return result;
    }
    if (conn->plaintext)
        return receive_plain(handle, iov, count, flags);
    size_t len = 0;
    for (size_t i = 0; i < count; i++)
        len += iov[i].iov_len;
    if (len == 0)
        return 0;
    if ((flags & MSG_TRUNC) && !(flags & MSG_PEEK))
        return discard_message(handle, len, flags);
    const bool gather = (flags & (MSG_PEEK | MSG_WAITALL)) == (MSG_PEEK | MSG_WAITALL);
    int64_t until_ms = gather ? sysio_limit(handle->fd, SO_RCVTIMEO) : 0;
    for (;;) {
        int result = recv_begin(handle, flags);
        if (result < 0)
            return result;
        struct rx_fetch fetch = rx_fetch_of(handle, iov, count, len, flags);
        ssize_t got = flags & MSG_PEEK ? peek_held(&fetch) : rx_fetch_run(&fetch);
        if (got == -ESTALE) {
            if (fetch.done > 0)
                return (ssize_t)fetch.done;
            continue;
        }
        rx_queue_told(conn, got);
        conn_release(conn, &conn->rx);
        if (!gather || !peek_again(&fetch, got, until_ms))
            return got;
    }
}
