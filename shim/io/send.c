/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "io/send.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>

#include "conn/error.h"
#include "conn/hold.h"
#include "conn/pending.h"
#include "io/connect.h"
#include "io/partial.h"
#include "io/progress.h"
#include "io/worker.h"
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

static size_t append_from(struct conn *conn, struct chunk_list *list, struct iov_cursor *source, size_t limit)
{
    size_t done = 0;
    while (source->left > 0) {
        size_t len;
        const uint8_t *data = iov_cursor_piece(source, &len);
        size_t part = chunks_append(conn, list, data, len, limit);
        iov_cursor_advance(source, part);
        done += part;
        if (part < len)
            break;
    }
    return done;
}

/* A signal handler writes while it interrupts this thread's own write. Its bytes are sent after those of that
 * write, by way of the queue, whose bound holds for both. */
static struct io_result defer(struct conn *conn, struct iov_cursor *source)
{
    const size_t queued = conn->tx.queue.total;
    if (conn->tx.deferring || queued >= CONN_QUEUE_MAX) /* deferring: a handler above a handler */
        return io_done(-EAGAIN);
    conn->tx.deferring = 1;
    size_t done = append_from(conn, &conn->tx.deferred, source, CONN_QUEUE_MAX - queued);
    conn->tx.deferring = 0;
    return io_done(done ? (ssize_t)done : -EAGAIN);
}

/* Before sending keys are installed: appends to the queue. A blocking write that does not fit waits until it
 * fits as a whole, so that the bytes of several writers are not mixed. */
static struct io_result enqueue_locked(const struct conn_handle *handle, struct iov_cursor *source, int flags)
{
    struct conn *conn = handle->conn;
    bool fits = source->left <= CONN_QUEUE_MAX - conn->tx.queue.total;
    if (!fits && source->left <= CONN_QUEUE_MAX && sysio_may_block(handle->fd, flags))
        return io_done(-EAGAIN);
    size_t done = append_from(conn, &conn->tx.queue, source, CONN_QUEUE_MAX);
    txbuf_account(conn);
    if (source->left > 0)
        atomic_store(&conn->tx.edge_pending, 1);
    pending_owe(handle->fd);
    pending_add(handle->fd);
    return io_done(done ? (ssize_t)done : -EAGAIN);
}

/* Sends what must go before new records: a KeyUpdate, handshake bytes, what a signal handler wrote, the rest
 * of a partial record. 0 or -errno. */
static struct io_result send_what_is_first(const struct conn_handle *handle, struct iov_cursor *source,
                                           int flags)
{
    struct conn *conn = handle->conn;
    if ((conn_tx_has(conn, TX_KEY_UPDATE) || tx_flush_keys_due(conn)) && !tx_flush_update_keys(handle))
        return io_done(-EIO);
    /* With what follows in one segment: a KeyUpdate by itself would hold small data back (Nagle's algorithm),
     * or make a closed peer's reset come a write too soon. */
    if (conn->tx.len > 0 || conn->tx.queue.total > 0)
        return tx_flush_with(handle, source->left > 0 ? flags | MSG_MORE : flags);
    return conn_tx_has(conn, TX_PARTIAL) ? tx_record_resume(handle, source, flags) : io_done(0);
}

/* Finished was sent without data just before, so Nagle's algorithm would hold back the first small data until
 * the peer's delayed acknowledgement. Setting TCP_NODELAY sends what is held back; then it is reset. */
static void push_once(const struct conn_handle *handle)
{
    int value = 0;
    const int on = 1;
    socklen_t len = sizeof value;
    conn_tx_clear(handle->conn, TX_PUSH);
    if (net_getsockopt(handle->fd, IPPROTO_TCP, TCP_NODELAY, &value, &len) < 0 || value)
        return;
    net_setsockopt(handle->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    net_setsockopt(handle->fd, IPPROTO_TCP, TCP_NODELAY, &value, sizeof value);
}

/* The call is over, and the kernel does not have all that goes before the next record. */
static void leave_unsent(const struct conn_handle *handle)
{
    pending_owe(handle->fd);
    if (conn_tx_has(handle->conn, TX_PARTIAL)) {
        partial_note(handle);
    } else {
        pending_add(handle->fd);
        worker_carry();
    }
}

/* The call's result after `done` bytes of the program were taken and `result` ended the sending. */
static struct io_result account(const struct conn_handle *handle, size_t done, struct io_result result,
                                int flags)
{
    struct conn *conn = handle->conn;
    if (result.status == IO_LOCK_LOST)
        return result;
    txbuf_account(conn);
    if (conn->tx.attention & (TX_PARTIAL | TX_QUEUED))
        leave_unsent(handle);
    if (conn_tx_has(conn, TX_PUSH) && !(flags & MSG_MORE))
        push_once(handle);
    conn->tx.sent_data = 1;
    return io_after(done, result); /* -EPIPE: the kernel has raised the signal */
}

static struct io_result send_locked(const struct conn_handle *handle, struct iov_cursor *source, int flags)
{
    struct conn *conn = handle->conn;
    size_t total = source->left;
    if (!conn->tx.can_send)
        return enqueue_locked(handle, source, flags);
    struct io_result result = send_what_is_first(handle, source, flags);
    if (io_ok(result) && source->left > 0)
        result = tx_record_send(handle, source, flags);
    return account(handle, total - source->left, result, flags);
}

/* Whether the kernel takes bytes now. Then a writer that is in a blocking call does not wait there, and is
 * back soon. */
static bool has_room(int fd)
{
    struct pollfd polled = {.fd = fd, .events = POLLOUT};
    return net_ppoll(&polled, 1, &(struct timespec){0}) > 0 && (polled.revents & POLLOUT);
}

/* Takes tx_lock for a writer with these MSG_ flags, which may wait for another writer: 0, -errno, or
 * IO_RETRY_LOOKUP. */
static struct io_result send_begin(const struct conn_handle *handle, int flags)
{
    int64_t limit = 0; /* SO_SNDTIMEO, once it matters */
    for (unsigned yields = 0;;) {
        const enum hold_result held = hold_tx(handle, HOLD_WAIT);
        if (held != HOLD_BLOCKED)
            return hold_outcome(handle, held);
        if (!sysio_may_block(handle->fd, flags)) {
            if (!has_room(handle->fd) || !sysio_yield(&yields))
                return io_done(-EAGAIN);
            continue;
        }
        limit = limit ? limit : sysio_limit(handle->fd, SO_SNDTIMEO);
        if (net_now_ms() >= limit)
            return io_done(-EAGAIN);
        if (lock_wait_unblocked(&handle->conn->tx_lock, limit) == -EINTR &&
            (limit != INT64_MAX || !sysio_restarts()))
            return io_done(-EINTR);
    }
}

/* The lock was lost during a system call: how much of the record was sent is not known. */
static struct io_result lost(const struct conn_handle *handle)
{
    if (fdtable_current(handle))
        error_set(handle, EIO, "a signal handler wrote in the middle of a record");
    return io_done(-EIO);
}

/* The descriptor was closed during the call, which went on with an orphan: that is the caller's to finish. */
static void finish_orphan(const struct conn_handle *handle)
{
    if (!conn_pin(handle->conn, handle->generation))
        return;
    progress_step(handle);
    conn_unpin(handle->conn);
}

static struct io_result send_once(const struct conn_handle *handle, struct iov_cursor *source, int flags)
{
    struct conn *conn = handle->conn;
    const int fd = handle->fd;
    if (hold_above_own_send(conn))
        return defer(conn, source);
    struct io_result result = send_begin(handle, flags);
    if (!io_ok(result))
        return result;
    if (conn_tx_has(conn, TX_FAILED | TX_SHUT)) {
        int error = conn->status.error;
        conn_release_tx(conn);
        return io_done(error && error != ECONNRESET ? -error : send_broken_pipe(flags));
    }
    int so_error = conn_take_so_error(conn);
    if (so_error)
        result = io_done(so_error == EPIPE ? send_broken_pipe(flags) : -so_error);
    else
        result = send_locked(handle, source, flags);
    if (result.status == IO_LOCK_LOST)
        return lost(handle);
    tx_flush_release(handle);
    if (handle->fd != fd)
        finish_orphan(handle);
    return result;
}

struct io_result send_fast(const struct conn_handle *handle, const void *from, size_t len, int flags)
{
    struct conn *conn = handle->conn;
    if (len - 1 >= SCRATCH_SMALL || (flags & ~(MSG_DONTWAIT | MSG_NOSIGNAL)) || conn->tx.attention)
        return io_is(IO_NOT_FAST);
    sysio_test_cancel();
    if (!lock_try(&conn->tx_lock))
        return io_is(IO_NOT_FAST);
    if (!fdtable_current(handle) || conn->tx.attention || tx_flush_keys_due(conn)) {
        tx_flush_release_fast(handle);
        return io_is(IO_NOT_FAST);
    }
    const int fd = handle->fd;
    struct iov_cursor source = iov_cursor_one((void *)(uintptr_t)from, len);
    struct io_result sent = tx_record_send_small(handle, &source, flags);
    if (io_ok(sent)) {
        conn->tx.sent_data = 1;
        sent = io_done((ssize_t)len);
    } else {
        sent = account(handle, len - source.left, sent, flags);
    }
    if (sent.status == IO_LOCK_LOST)
        return lost(handle);
    tx_flush_release_fast(handle);
    if (handle->fd != fd)
        finish_orphan(handle);
    return sent;
}

/* How long a blocking write waits for the handshake, in milliseconds. If a peer did not answer in time, it
 * may be one that does not accept until this program does something else first. So the next waits are
 * shorter, until a handshake succeeds again. */
static _Atomic int grace_ms = CONN_GRACE_MS;

static void learn_grace(bool answered)
{
    int grace = atomic_load(&grace_ms);
    atomic_store(&grace_ms, answered ? CONN_GRACE_MS : grace > 8 ? grace / 4 : grace);
}

/* The same for a write that does not block: a moment only, and none at all while peers do not answer in it.
 */
enum { MOMENT_MS = 10, PROBE_EVERY = 64 };
static _Atomic int moment_ms = MOMENT_MS;
static _Atomic unsigned without_moment;

static void wait_a_moment(const struct conn_handle *handle)
{
    int moment = atomic_load(&moment_ms);
    if (moment == 0 && atomic_fetch_add(&without_moment, 1) % PROBE_EVERY != PROBE_EVERY - 1)
        return;
    int result = progress_handshake(handle, true, net_now_ms() + (moment ? moment : 1));
    atomic_store(&moment_ms, result > 0 ? MOMENT_MS : moment / 3);
}

/* Whether what is written now goes to the queue, since sending keys are not installed. */
static bool only_queues(const struct conn *conn)
{
    return !conn->tx.can_send && !conn_is_plaintext(conn);
}

/* A blocking write before sending keys are installed. It waits for room in the queue as long as that takes.
 * It also waits for the keys, once in a connection and briefly, so that in the ordinary case nothing is left
 * in the queue when it returns. `sent`: what the queue took. */
static struct io_result wait_for_keys(const struct conn_handle *handle, struct iov_cursor *source,
                                      struct io_result sent, int flags)
{
    struct conn *conn = handle->conn;
    size_t done = sent.value > 0 ? (size_t)sent.value : 0;
    int64_t limit = sysio_limit(handle->fd, SO_SNDTIMEO);
    while (only_queues(conn)) {
        bool all = source->left == 0;
        int64_t grace = net_now_ms() + atomic_load(&grace_ms), until = all && limit > grace ? grace : limit;
        if (all && conn->tx.waited)
            break;
        int result = progress_handshake(handle, true, until);
        conn->tx.waited = 1;
        learn_grace(result > 0);
        if (result == -EINTR && done == 0 && limit == INT64_MAX && sysio_restarts())
            continue;
        if (result < 0 && (result != -EINTR || done == 0))
            return io_done(result);
        if (result <= 0)
            break;
    }
    if (source->left == 0 || only_queues(conn))
        return io_done(done ? (ssize_t)done : -EAGAIN);
    struct io_result more = send_once(handle, source, flags);
    return io_ok(more) ? io_done((ssize_t)done + more.value) : io_after(done, more);
}

/* To a peer that does not seal (SOCKSEAL_PLAINTEXT=accept): first what was queued before that was known, then
 * the call itself. */
static struct io_result send_plaintext(const struct conn_handle *handle, const struct iovec *iov,
                                       size_t count, int flags)
{
    struct conn *conn = handle->conn;
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = count};
    if (conn->tx.to_send > 0) {
        struct io_result result = send_begin(handle, flags);
        if (!io_ok(result))
            return result;
        result = tx_flush_plaintext(handle, flags);
        if (result.status == IO_LOCK_LOST)
            return io_done(-EIO);
        conn_release_tx(conn);
        if (!io_ok(result))
            return result;
    }
    ssize_t sent = real()->sendmsg(handle->fd, &message, flags);
    return io_done(sent < 0 ? -errno : sent);
}

/* A client's small write, while sending keys are missing, is queued before the handshake makes progress. If
 * the server has answered already, Finished and the data then leave in one segment. */
static bool coalesces_with_finished(const struct conn *conn, size_t len)
{
    return conn->status.connects && !conn->tx.can_send && !conn_is_connecting(conn) && len <= SCRATCH_SMALL;
}

/* The call when TCP is connected and the peer seals. */
static struct io_result send_sealed(const struct conn_handle *handle, struct iov_cursor *source,
                                    bool coalesces, int flags)
{
    struct conn *conn = handle->conn;
    struct io_result sent = send_once(handle, source, flags);
    if (coalesces && sent.value > 0) {
        int progress = handshake_progress(handle);
        if (progress < 0 && progress != -EBUSY) /* busy: another thread is at it, and sends what is queued */
            return send_once(handle, source, flags); /* it reports the error */
    }
    const bool waits = only_queues(conn) && (io_ok(sent) || io_is_error(sent, EAGAIN));
    if (waits && sysio_may_block(handle->fd, flags))
        return wait_for_keys(handle, source, sent, flags);
    if (waits && io_ok(sent))
        wait_a_moment(handle);
    /* The queue is full, but the kernel calls the descriptor writable: without this a level-triggered loop
     * would spin until the handshake is over. */
    if (only_queues(conn) && io_is_error(sent, EAGAIN))
        progress_wait(-1, 0, net_now_ms() + 1, NULL);
    return sent;
}

struct io_result send_message(const struct conn_handle *handle, const struct iovec *iov, size_t count,
                              int flags)
{
    struct conn *conn = handle->conn;
    struct iov_cursor source = iov_cursor_of(iov, count);
    flags &= ~(MSG_FASTOPEN | MSG_ZEROCOPY);
    const bool coalesces = coalesces_with_finished(conn, source.left);
    handshake_unhold(conn);
    if (!conn_is_established(conn) && !coalesces)
        handshake_progress(handle);
    if (conn_is_connecting(conn)) {
        int result = connect_wait(handle, flags, sysio_limit(handle->fd, SO_SNDTIMEO));
        if (result < 0)
            return io_done(result == -EPIPE ? send_broken_pipe(flags) : result);
    }
    if (conn_is_plaintext(conn))
        return send_plaintext(handle, iov, count, flags);
    if (source.left == 0)
        return io_done(conn_failed(conn) ? -conn->status.error : 0);
    struct io_result sent = send_sealed(handle, &source, coalesces, flags);
    /* What was accepted is delivered, whatever the program does next. */
    if (conn->tx.to_send > 0)
        worker_carry();
    return sent;
}
