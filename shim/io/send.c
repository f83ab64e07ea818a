/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "io/send.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>

#include "conn/error.h"
#include "conn/map.h"
#include "conn/pending.h"
#include "io/connect.h"
#include "io/progress.h"
#include "record/handshake.h"
#include "record/sysio.h"
#include "record/tx_flush.h"
#include "record/tx_record.h"
#include "record/txbuf.h"
#include "shm/scratch.h"
#include "shm/self.h"
#include "sys/net.h"
#include "sys/real.h"

ssize_t send_broken_pipe(int flags)
{
    if (!(flags & MSG_NOSIGNAL))
        net_tgkill(sys_getpid(), (int)self_tid(), SIGPIPE);
    return -EPIPE;
}

static size_t append_from(struct chunk_list *list, struct iov_cursor *source, size_t limit)
{
    size_t done = 0;
    while (source->left > 0) {
        size_t len;
        const uint8_t *data = iov_cursor_piece(source, &len);
        size_t part = chunks_append(list, data, len, limit);
        iov_cursor_advance(source, part);
        done += part;
        if (part < len)
            break;
    }
    return done;
}

/* What a signal handler writes while it interrupts this thread's own write goes out behind it: by way of the
 * queue, whose bound holds for both. */
static ssize_t defer(struct conn *conn, struct iov_cursor *source)
{
    const size_t queued = conn->queue.total;
    if (conn->deferring || queued >= CONN_QUEUE_MAX) /* deferring: a handler above a handler */
        return -EAGAIN;
    conn->deferring = 1;
    size_t done = append_from(&conn->deferred, source, CONN_QUEUE_MAX - queued);
    conn->deferring = 0;
    return done ? (ssize_t)done : -EAGAIN;
}

/* Before keys stand: into the queue. A blocking write that does not fit goes in whole later, so that several
 * writers do not tear each other's. */
static ssize_t enqueue_held(const struct conn_handle *handle, struct iov_cursor *source, int flags)
{
    struct conn *conn = handle->conn;
    bool fits = source->left <= CONN_QUEUE_MAX - conn->queue.total;
    if (!fits && source->left <= CONN_QUEUE_MAX && sysio_may_block(handle->fd, flags))
        return -EAGAIN;
    size_t done = append_from(&conn->queue, source, CONN_QUEUE_MAX);
    txbuf_account(conn);
    if (source->left > 0)
        atomic_store(&conn->edge_pending, 1);
    pending_add(handle->fd);
    return done ? (ssize_t)done : -EAGAIN;
}

/* Gets the handshake bytes, what a signal handler wrote and the rest of a cut record out of the way. 0 or
 * -errno. */
static int clear_way(const struct conn_handle *handle, struct iov_cursor *source, int flags)
{
    struct conn *conn = handle->conn;
    if ((conn->key_update || tls_session_wants_key_update(&conn->session)) && !tx_flush_update_keys(handle))
        return -EIO;
    if (conn->tx_len > 0 || conn->queue.total > 0)
        return tx_flush_with(handle, flags);
    return conn->partial ? tx_record_resume(handle, source, flags) : 0;
}

/* A handshake message went out alone just before: Nagle's algorithm would hold our first small data until the
 * peer's delayed acknowledgement of it. TCP_NODELAY pushes once, and is put back. */
static void push_once(const struct conn_handle *handle)
{
    int value = 0;
    const int on = 1;
    socklen_t len = sizeof value;
    handle->conn->finished_alone = 0;
    if (net_getsockopt(handle->fd, IPPROTO_TCP, TCP_NODELAY, &value, &len) < 0 || value)
        return;
    net_setsockopt(handle->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    net_setsockopt(handle->fd, IPPROTO_TCP, TCP_NODELAY, &value, sizeof value);
}

/* What the program is told after `done` of its bytes were taken and `result` ended the sending. */
static ssize_t account(const struct conn_handle *handle, size_t done, int result, int flags)
{
    struct conn *conn = handle->conn;
    if (result == -ESTALE)
        return -ESTALE;
    txbuf_account(conn);
    if (conn->to_send > 0)
        pending_add(handle->fd);
    if (conn->finished_alone && !(flags & MSG_MORE))
        push_once(handle);
    conn->sent_data = 1;
    return done > 0 ? (ssize_t)done : result; /* -EPIPE: the kernel has raised the signal */
}

static ssize_t send_held(const struct conn_handle *handle, struct iov_cursor *source, int flags)
{
    struct conn *conn = handle->conn;
    size_t total = source->left;
    if (!conn->can_send)
        return enqueue_held(handle, source, flags);
    int result = clear_way(handle, source, flags);
    if (result == 0 && source->left > 0)
        result = tx_record_send(handle, source, flags);
    return account(handle, total - source->left, result, flags);
}

/* Takes the role as a writer: 0, -errno, CONN_RETRY_LOOKUP. */
static int become_writer(const struct conn_handle *handle, int flags)
{
    struct conn *conn = handle->conn;
    for (;;) {
        switch (lock_take(&conn->tx)) {
        case LOCK_TAKEN:
            if (!map_tx(handle))
                return -ENOBUFS;
            if (fdtable_current(handle))
                return 0;
            lock_release(&conn->tx);
            return CONN_RETRY_LOOKUP;
        case LOCK_REENTERED:
            return -EAGAIN;
        case LOCK_OWNER_DIED:
        case LOCK_RECOVERED:
            error_set(handle, EIO, "a sender left in the middle of a record");
            conn_release(conn, &conn->tx);
            return -EIO;
        case LOCK_BLOCKED:
            if (!sysio_may_block(handle->fd, flags))
                return -EAGAIN;
            if (lock_wait_unblocked(&conn->tx) == -EINTR && !sysio_restarts())
                return -EINTR;
        }
    }
}

/* The role went away in the midst of sending. */
static ssize_t lost(const struct conn_handle *handle)
{
    if (fdtable_current(handle))
        error_set(handle, EIO, "a signal handler wrote in the middle of a record");
    return -EIO;
}

static ssize_t send_once(const struct conn_handle *handle, struct iov_cursor *source, int flags)
{
    struct conn *conn = handle->conn;
    if (sysio_above_own_send(conn))
        return defer(conn, source);
    int result = become_writer(handle, flags);
    if (result < 0)
        return result;
    if (conn_failed(conn) || conn->write_shut) {
        int error = conn->error;
        conn_release(conn, &conn->tx);
        return error && error != ECONNRESET ? -error : send_broken_pipe(flags);
    }
    int so_error = conn->so_error ? atomic_exchange(&conn->so_error, 0) : 0;
    ssize_t sent = !so_error           ? send_held(handle, source, flags)
                   : so_error == EPIPE ? send_broken_pipe(flags)
                                       : -so_error;
    if (sent == -ESTALE)
        return lost(handle);
    tx_flush_release(handle);
    return sent;
}

/* Whether there are keys, and nothing but the program's bytes is to be sent or told. */
static inline bool may_send_fast(const struct conn *conn)
{
    uint32_t waiting = conn->to_send | conn->tx_len | conn->queue.total | conn->partial | conn->key_update |
                       conn->finished_alone;
    uint32_t over = (uint32_t)conn->error | (uint32_t)conn->so_error | conn->write_shut | conn->plaintext;
    return conn->established && conn->can_send && !(waiting | over | conn->connecting) &&
           !tls_session_wants_key_update(&conn->session);
}

ssize_t send_fast(const struct conn_handle *handle, const struct iovec *iov, int flags)
{
    struct conn *conn = handle->conn;
    if (iov->iov_len - 1 >= SCRATCH_SMALL || (flags & ~(MSG_DONTWAIT | MSG_NOSIGNAL)) || !lock_try(&conn->tx))
        return CONN_NOT_FAST;
    if (!fdtable_current(handle) || !may_send_fast(conn)) {
        tx_flush_leave(handle);
        return CONN_NOT_FAST;
    }
    struct iov_cursor source = {.iov = iov, .count = 1, .left = iov->iov_len};
    int result = tx_record_send_small(handle, &source, flags);
    ssize_t sent = (ssize_t)iov->iov_len;
    if (result == 0)
        conn->sent_data = 1;
    else
        sent = account(handle, iov->iov_len - source.left, result, flags);
    if (sent == -ESTALE)
        return lost(handle);
    tx_flush_leave(handle);
    return sent;
}

/* How long a write waits for the handshake, in milliseconds. A peer that did not answer in time may not
 * accept until this program does something else first, so the next waits are shorter, until a handshake
 * succeeds again. */
static _Atomic int grace_ms = CONN_GRACE_MS;

static void learn_grace(bool answered)
{
    int brief = atomic_load(&grace_ms);
    atomic_store(&grace_ms, answered ? CONN_GRACE_MS : brief > 8 ? brief / 4 : brief);
}

/* A blocking write before keys stand waits: for room as long as it takes, and once, briefly, for the
 * handshake, so that in the ordinary case nothing is left in the queue when it returns. */
static ssize_t wait_for_keys(const struct conn_handle *handle, struct iov_cursor *source, ssize_t sent,
                             int flags)
{
    struct conn *conn = handle->conn;
    size_t done = sent > 0 ? (size_t)sent : 0;
    int64_t limit = sysio_limit(handle->fd, SO_SNDTIMEO);
    while (!conn->can_send && !conn->plaintext) {
        bool all = source->left == 0;
        int64_t brief = net_now_ms() + atomic_load(&grace_ms), until = all && limit > brief ? brief : limit;
        if (all && conn->waited)
            break;
        int result = progress_handshake(handle, true, until);
        conn->waited = 1;
        learn_grace(result > 0);
        if (result == -EINTR && done == 0 && sysio_restarts())
            continue;
        if (result < 0 && (result != -EINTR || done == 0))
            return result;
        if (result <= 0)
            break;
    }
    if (source->left == 0 || (!conn->can_send && !conn->plaintext))
        return done ? (ssize_t)done : -EAGAIN;
    ssize_t more = send_once(handle, source, flags);
    if (more < 0)
        return done ? (ssize_t)done : more;
    return (ssize_t)done + more;
}

/* To a peer that does not seal (SOCKSEAL_PLAINTEXT=accept): what was queued before that was known, then
 * libc's own call. */
static ssize_t send_plain(const struct conn_handle *handle, const struct iovec *iov, size_t count, int flags)
{
    struct conn *conn = handle->conn;
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = count};
    if (conn->to_send > 0) {
        int result = become_writer(handle, flags);
        if (result < 0)
            return result;
        result = tx_flush_plaintext(handle, flags);
        if (result != -ESTALE)
            conn_release(conn, &conn->tx);
        if (result < 0)
            return result == -ESTALE ? -EIO : result;
    }
    ssize_t sent = real()->sendmsg(handle->fd, &message, flags);
    return sent < 0 ? -errno : sent;
}

/* A client's small write before there are keys. It is queued before the handshake goes on: if the server has
 * answered already, Finished and data leave in one segment, and no Nagle need be pushed. */
static bool coalesces(const struct conn *conn, size_t len)
{
    return conn->session.role == TLS_CLIENT && !conn->can_send && !conn->connecting && len <= SCRATCH_SMALL;
}

ssize_t send_message(const struct conn_handle *handle, const struct iovec *iov, size_t count, int flags)
{
    struct conn *conn = handle->conn;
    struct iov_cursor source = iov_cursor_of(iov, count);
    flags &= ~(MSG_FASTOPEN | MSG_ZEROCOPY);
    const bool rides = coalesces(conn, source.left);
    if (!conn->established && !rides)
        handshake_progress(handle);
    if (conn->connecting) {
        int result = connect_wait(handle, flags);
        if (result < 0)
            return result == -EPIPE ? send_broken_pipe(flags) : result;
    }
    if (conn->plaintext)
        return send_plain(handle, iov, count, flags);
    if (source.left == 0)
        return conn_failed(conn) ? -conn->error : 0;
    ssize_t sent = send_once(handle, &source, flags);
    if (rides && sent > 0) {
        int progress = handshake_progress(handle);
        if (progress < 0 && progress != -EBUSY) /* busy: another thread is at it, and sends what is queued */
            return send_once(handle, &source, flags); /* it tells the error */
    }
    if (!conn->can_send && !conn->plaintext && (sent >= 0 || sent == -EAGAIN) &&
        sysio_may_block(handle->fd, flags))
        return wait_for_keys(handle, &source, sent, flags);
    if (sent == -EAGAIN && !conn->can_send && !conn->plaintext)
        progress_wait(
            -1, 0, net_now_ms() + 1); /* else a level-triggered loop would spin until the handshake is over */
    return sent;
}
