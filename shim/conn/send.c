/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "conn/send.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>

#include "conn/blocking.h"
#include "conn/drive.h"
#include "conn/failure.h"
#include "conn/handshake.h"
#include "conn/open.h"
#include "conn/outbox.h"
#include "conn/reach.h"
#include "conn/scratch.h"
#include "conn/seal.h"
#include "sys/net.h"
#include "sys/real.h"

/* The writing's frames stand on the stack above ours then. If it has jumped out of the call instead, they are
 * gone. */
bool send_is_interrupted(const struct conn *conn)
{
    bool parked;
    return role_mine(&conn->tx, &parked) &&
           (!parked || (uintptr_t)__builtin_frame_address(0) < conn->writer_frame);
}

ssize_t send_broken_pipe(int flags)
{
    if (!(flags & MSG_NOSIGNAL))
        net_tgkill(sys_getpid(), (int)role_self(), SIGPIPE);
    return -EPIPE;
}

static size_t append_from(struct conn_bytes *list, struct seal_source *source, size_t limit)
{
    size_t done = 0;
    while (source->left > 0) {
        size_t len;
        const uint8_t *data = seal_contiguous(source, &len);
        size_t part = conn_bytes_append(list, data, len, limit);
        seal_advance(source, part);
        done += part;
        if (part < len)
            break;
    }
    return done;
}

/* What a signal handler writes while it interrupts this thread's own write goes out behind it: by way of the
 * queue, whose bound holds for both. */
static ssize_t defer(struct conn *conn, struct seal_source *source)
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
static ssize_t enqueue_held(const struct sealed *sealed, struct seal_source *source, int flags)
{
    struct conn *conn = sealed->conn;
    bool fits = source->left <= CONN_QUEUE_MAX - conn->queue.total;
    if (!fits && source->left <= CONN_QUEUE_MAX && blocking_allowed(sealed->fd, flags))
        return -EAGAIN;
    size_t done = append_from(&conn->queue, source, CONN_QUEUE_MAX);
    outbox_account(conn);
    if (source->left > 0)
        atomic_store(&conn->refused_edge, 1);
    drive_add(sealed->fd);
    return done ? (ssize_t)done : -EAGAIN;
}

/* Gets the handshake bytes, what a signal handler wrote and the rest of a cut record out of the way. 0 or
 * -errno. */
static int clear_way(const struct sealed *sealed, struct seal_source *source, int flags)
{
    struct conn *conn = sealed->conn;
    if ((conn->key_update || tls_session_wants_key_update(&conn->session)) && !outbox_update_keys(sealed))
        return -EIO;
    if (conn->tx_len > 0 || conn->queue.total > 0)
        return outbox_flush_with(sealed, flags);
    return conn->cut ? seal_resume(sealed, source, flags) : 0;
}

/* A handshake message went out alone just before: Nagle's algorithm would hold our first small data until the
 * peer's delayed acknowledgement of it. TCP_NODELAY pushes once, and is put back. */
static void push_once(const struct sealed *sealed)
{
    int value = 0;
    const int on = 1;
    socklen_t len = sizeof value;
    sealed->conn->flight_alone = 0;
    if (net_getsockopt(sealed->fd, IPPROTO_TCP, TCP_NODELAY, &value, &len) < 0 || value)
        return;
    net_setsockopt(sealed->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    net_setsockopt(sealed->fd, IPPROTO_TCP, TCP_NODELAY, &value, sizeof value);
}

/* What the program is told after `done` of its bytes were taken and `result` ended the sending. */
static ssize_t account(const struct sealed *sealed, size_t done, int result, int flags)
{
    struct conn *conn = sealed->conn;
    if (result == -ESTALE)
        return -ESTALE;
    outbox_account(conn);
    if (conn->to_send > 0)
        drive_add(sealed->fd);
    if (conn->flight_alone && !(flags & MSG_MORE))
        push_once(sealed);
    conn->sent_data = 1;
    return done > 0 ? (ssize_t)done : result; /* -EPIPE: the kernel has raised the signal */
}

static ssize_t send_held(const struct sealed *sealed, struct seal_source *source, int flags)
{
    struct conn *conn = sealed->conn;
    size_t total = source->left;
    if (!conn->can_send)
        return enqueue_held(sealed, source, flags);
    int result = clear_way(sealed, source, flags);
    if (result == 0 && source->left > 0)
        result = seal_and_send(sealed, source, flags);
    return account(sealed, total - source->left, result, flags);
}

/* Takes the role as a writer: 0, -errno, CONN_LOOK_AGAIN. */
static int become_writer(const struct sealed *sealed, int flags)
{
    struct conn *conn = sealed->conn;
    for (;;) {
        switch (role_take(&conn->tx)) {
        case ROLE_TAKEN:
            if (!reach_tx(sealed))
                return -ENOBUFS;
            if (registry_current(sealed))
                return 0;
            role_release(&conn->tx);
            return CONN_LOOK_AGAIN;
        case ROLE_REENTERED:
            return -EAGAIN;
        case ROLE_ABANDONED:
        case ROLE_RESUMED:
            failure_set(sealed, EIO, "a sender left in the middle of a record");
            conn_release(conn, &conn->tx);
            return -EIO;
        case ROLE_PARKED:
            if (!blocking_allowed(sealed->fd, flags))
                return -EAGAIN;
            if (role_wait(&conn->tx) == -EINTR && !blocking_restarts())
                return -EINTR;
        }
    }
}

/* The role went away in the midst of sending. */
static ssize_t lost(const struct sealed *sealed)
{
    if (registry_current(sealed))
        failure_set(sealed, EIO, "a signal handler wrote in the middle of a record");
    return -EIO;
}

static ssize_t send_once(const struct sealed *sealed, struct seal_source *source, int flags)
{
    struct conn *conn = sealed->conn;
    if (send_is_interrupted(conn))
        return defer(conn, source);
    int result = become_writer(sealed, flags);
    if (result < 0)
        return result;
    if (conn_failed(conn) || conn->write_shut) {
        int error = conn->error;
        conn_release(conn, &conn->tx);
        return error && error != ECONNRESET ? -error : send_broken_pipe(flags);
    }
    int pending = conn->pending ? atomic_exchange(&conn->pending, 0) : 0;
    ssize_t sent = !pending           ? send_held(sealed, source, flags)
                   : pending == EPIPE ? send_broken_pipe(flags)
                                      : -pending;
    if (sent == -ESTALE)
        return lost(sealed);
    outbox_release(sealed);
    return sent;
}

/* Whether there are keys, and nothing but the program's bytes is to be sent or told. */
static inline bool way_is_clear(const struct conn *conn)
{
    uint32_t waiting =
        conn->to_send | conn->tx_len | conn->queue.total | conn->cut | conn->key_update | conn->flight_alone;
    uint32_t over = (uint32_t)conn->error | (uint32_t)conn->pending | conn->write_shut | conn->plaintext;
    return conn->established && conn->can_send && !(waiting | over | conn->connecting) &&
           !tls_session_wants_key_update(&conn->session);
}

ssize_t send_ordinary(const struct sealed *sealed, const struct iovec *iov, int flags)
{
    struct conn *conn = sealed->conn;
    if (iov->iov_len - 1 >= SCRATCH_SMALL || (flags & ~(MSG_DONTWAIT | MSG_NOSIGNAL)) || !role_try(&conn->tx))
        return CONN_LONG_WAY;
    if (!registry_current(sealed) || !way_is_clear(conn)) {
        outbox_leave(sealed);
        return CONN_LONG_WAY;
    }
    struct seal_source source = {.iov = iov, .count = 1, .left = iov->iov_len};
    int result = seal_one(sealed, &source, flags);
    ssize_t sent = (ssize_t)iov->iov_len;
    if (result == 0)
        conn->sent_data = 1;
    else
        sent = account(sealed, iov->iov_len - source.left, result, flags);
    if (sent == -ESTALE)
        return lost(sealed);
    outbox_leave(sealed);
    return sent;
}

/* How long a write waits for the handshake, in milliseconds. A peer that did not answer in time may not
 * accept until this program does something else first, so the next waits are shorter, until a handshake
 * succeeds again. */
static _Atomic int brief_ms = CONN_BRIEF_MS;

static void learn_brief(bool answered)
{
    int brief = atomic_load(&brief_ms);
    atomic_store(&brief_ms, answered ? CONN_BRIEF_MS : brief > 8 ? brief / 4 : brief);
}

/* A blocking write before keys stand waits: for room as long as it takes, and once, briefly, for the
 * handshake, so that in the ordinary case nothing is left in the queue when it returns. */
static ssize_t wait_for_keys(const struct sealed *sealed, struct seal_source *source, ssize_t sent, int flags)
{
    struct conn *conn = sealed->conn;
    size_t done = sent > 0 ? (size_t)sent : 0;
    int64_t limit = blocking_limit(sealed->fd, SO_SNDTIMEO);
    while (!conn->can_send && !conn->plaintext) {
        bool all = source->left == 0;
        int64_t brief = net_now_ms() + atomic_load(&brief_ms), until = all && limit > brief ? brief : limit;
        if (all && conn->waited)
            break;
        int result = handshake_wait(sealed, true, until);
        conn->waited = 1;
        learn_brief(result > 0);
        if (result == -EINTR && done == 0 && blocking_restarts())
            continue;
        if (result < 0 && (result != -EINTR || done == 0))
            return result;
        if (result <= 0)
            break;
    }
    if (source->left == 0 || (!conn->can_send && !conn->plaintext))
        return done ? (ssize_t)done : -EAGAIN;
    ssize_t more = send_once(sealed, source, flags);
    if (more < 0)
        return done ? (ssize_t)done : more;
    return (ssize_t)done + more;
}

/* To a peer that does not seal (SOCKSEAL_PLAINTEXT=accept): what was queued before that was known, then
 * libc's own call. */
static ssize_t send_plain(const struct sealed *sealed, const struct iovec *iov, size_t count, int flags)
{
    struct conn *conn = sealed->conn;
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = count};
    if (conn->to_send > 0) {
        int result = become_writer(sealed, flags);
        if (result < 0)
            return result;
        result = outbox_flush_plain(sealed, flags);
        if (result != -ESTALE)
            conn_release(conn, &conn->tx);
        if (result < 0)
            return result == -ESTALE ? -EIO : result;
    }
    ssize_t sent = real()->sendmsg(sealed->fd, &message, flags);
    return sent < 0 ? -errno : sent;
}

/* A client's small write before there are keys. It is queued before the handshake goes on: if the server has
 * answered already, Finished and data leave in one segment, and no Nagle need be pushed. */
static bool rides_along(const struct conn *conn, size_t len)
{
    return conn->session.role == TLS_CLIENT && !conn->can_send && !conn->connecting && len <= SCRATCH_SMALL;
}

ssize_t send_message(const struct sealed *sealed, const struct iovec *iov, size_t count, int flags)
{
    struct conn *conn = sealed->conn;
    struct seal_source source = seal_source_of(iov, count);
    flags &= ~(MSG_FASTOPEN | MSG_ZEROCOPY);
    const bool rides = rides_along(conn, source.left);
    if (!conn->established && !rides)
        handshake_progress(sealed);
    if (conn->connecting) {
        int result = open_wait_connected(sealed, flags);
        if (result < 0)
            return result == -EPIPE ? send_broken_pipe(flags) : result;
    }
    if (conn->plaintext)
        return send_plain(sealed, iov, count, flags);
    if (source.left == 0)
        return conn_failed(conn) ? -conn->error : 0;
    ssize_t sent = send_once(sealed, &source, flags);
    if (rides && sent > 0 && handshake_progress(sealed) < 0)
        return send_once(sealed, &source, flags); /* it tells the error */
    if (!conn->can_send && !conn->plaintext && (sent >= 0 || sent == -EAGAIN) &&
        blocking_allowed(sealed->fd, flags))
        return wait_for_keys(sealed, &source, sent, flags);
    if (sent == -EAGAIN && !conn->can_send && !conn->plaintext)
        drive_wait(-1, 0,
                   net_now_ms() + 1); /* else a level-triggered loop would spin until the handshake is over */
    return sent;
}
