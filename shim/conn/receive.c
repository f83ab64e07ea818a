/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "conn/receive.h"

#include <string.h>

#include "conn/blocking.h"
#include "conn/drive.h"
#include "conn/failure.h"
#include "conn/handshake.h"
#include "conn/inbox.h"
#include "conn/open.h"
#include "conn/outbox.h"
#include "conn/reach.h"
#include "conn/reading.h"
#include "conn/send.h"
#include "conn/waiting.h"
#include "sys/net.h"
#include "sys/real.h"

/* MSG_PEEK: what stands in the inbox, and what can be had to it. */
static ssize_t peek_held(struct reading *reading)
{
    struct conn *conn = reading->sealed->conn;
    int result = inbox_collect(reading->sealed, reading->left, reading->flags);
    if (result == -ESTALE)
        return -ESTALE;
    if (conn->inbox.total == 0) {
        inbox_rest(conn);
        return conn_failed(conn) ? -conn->error : conn->ended ? 0 : result;
    }
    size_t here, skip = 0;
    for (uint8_t *to = reading_room(reading, &here); here > 0; to = reading_room(reading, &here)) {
        size_t part = conn_bytes_copy(&conn->inbox, skip, to, here);
        if (part == 0)
            break;
        skip += part;
        reading_moved(reading, part);
    }
    return (ssize_t)reading->done;
}

/* Whether we are in a signal handler above this thread's own blocked read (as send_is_interrupted() tells for
 * writing). */
static bool above_own_read(const struct conn *conn)
{
    bool parked;
    return role_mine(&conn->rx, &parked) &&
           (!parked || (uintptr_t)__builtin_frame_address(0) < conn->reader_frame);
}

int receive_begin(const struct sealed *sealed, int flags)
{
    struct conn *conn = sealed->conn;
    uint8_t byte;
    for (;;) {
        if (above_own_read(conn))
            return -EAGAIN; /* in the middle of a record that the interrupted call is collecting */
        switch (conn_take_rx(conn)) {
        case ROLE_TAKEN:
        case ROLE_RESUMED:
            if (!reach_rx(sealed))
                return -ENOBUFS;
            if (registry_current(sealed))
                return 0;
            role_release(&conn->rx);
            return CONN_LOOK_AGAIN;
        case ROLE_REENTERED:
            return -EAGAIN;
        case ROLE_ABANDONED:
            failure_set(sealed, EIO, "a process died while it was reading");
            conn_release(conn, &conn->rx);
            return -EIO;
        case ROLE_PARKED: /* somebody waits in the kernel: wait beside him, as the kernel decides */
            if (real()->recv(sealed->fd, &byte, 1, MSG_PEEK | (flags & MSG_DONTWAIT)) < 0)
                return -errno;
            sys_call3(SYS_sched_yield, 0, 0, 0);
        }
    }
}

/* Whoever is at it, for however long, is waited for: an EAGAIN would tell an edge-triggered program that
 * there is nothing, and what stands behind the handshake that he takes in causes no further edge. But he does
 * not wait for us, in a signal handler. */
static int progress_patiently(const struct sealed *sealed)
{
    int result;
    bool parked;
    do {
        result = handshake_progress(sealed);
    } while (result == -EBUSY && !role_mine(&sealed->conn->tx, &parked));
    return result == -EBUSY ? 0 : result;
}

/* Before the handshake is over: 1 when it is, 0 or -errno for the program. */
static int wait_established(const struct sealed *sealed, int flags)
{
    struct conn *conn = sealed->conn;
    int result = progress_patiently(sealed);
    if (conn->connecting) {
        int waited = open_wait_connected(sealed, flags);
        if (waited < 0)
            return waited;
    } else if (result < 0) {
        return result;
    }
    if (conn->established)
        return 1;
    if (!blocking_allowed(sealed->fd, flags))
        return -EAGAIN;
    int64_t limit = blocking_limit(sealed->fd, SO_RCVTIMEO);
    for (;;) {
        result = handshake_wait(sealed, false, limit);
        if (result == -EINTR && blocking_restarts())
            continue;
        return result == 0 ? -EAGAIN : result;
    }
}

/* MSG_TRUNC on TCP throws the bytes away and leaves the program's memory alone (tcp(7)). */
static ssize_t discard_message(const struct sealed *sealed, size_t len, int flags)
{
    uint8_t nowhere[2048];
    size_t done = 0;
    while (done < len) {
        struct iovec iov = {nowhere, len - done < sizeof nowhere ? len - done : sizeof nowhere};
        ssize_t got = receive_message(sealed, &iov, 1, (flags & ~MSG_TRUNC) | (done ? MSG_DONTWAIT : 0));
        if (got <= 0)
            return done ? (ssize_t)done : got;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

/* MSG_PEEK with MSG_WAITALL: the kernel cannot wait for us, since the marker makes the descriptor readable.
 */
static bool peek_again(const struct reading *reading, ssize_t got, int64_t until_ms)
{
    const struct conn *conn = reading->sealed->conn;
    struct pollfd look = {.fd = reading->sealed->fd, .events = POLLRDHUP};
    if (!(reading->flags & MSG_WAITALL) || got <= 0 || (size_t)got >= reading->need || conn->ended ||
        conn_failed(conn))
        return false;
    if (!blocking_allowed(reading->sealed->fd, reading->flags) || net_now_ms() >= until_ms)
        return false;
    return net_ppoll(&look, 1, &(struct timespec){.tv_nsec = 1000000}) == 0;
}

/* From a peer that does not seal (SOCKSEAL_PLAINTEXT=accept). What was written before that was known may
 * still stand in the queue, and the peer may wait for it. */
static ssize_t receive_plain(const struct sealed *sealed, const struct iovec *iov, size_t count, int flags)
{
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = count};
    if (sealed->conn->to_send > 0)
        outbox_flush(sealed);
    int waited = drive_outstanding() ? waiting_before_read(sealed->fd, flags) : 0;
    if (waited < 0)
        return waited;
    ssize_t got = real()->recvmsg(sealed->fd, &message, flags);
    return got < 0 ? -errno : got;
}

ssize_t receive_ordinary(const struct sealed *sealed, void *to, size_t len, int flags)
{
    struct conn *conn = sealed->conn;
    if (len == 0 || (flags & ~MSG_DONTWAIT) || !role_try(&conn->rx))
        return CONN_LONG_WAY;
    if (!registry_current(sealed) || !reading_fresh(conn)) {
        conn_release(conn, &conn->rx);
        return CONN_LONG_WAY;
    }
    ssize_t got = reading_once(sealed, to, len, flags);
    if (got == -ESTALE)
        return CONN_LONG_WAY;
    if (got < 0)
        inbox_told(conn, got);
    conn_release(conn, &conn->rx);
    return got;
}

ssize_t receive_message(const struct sealed *sealed, const struct iovec *iov, size_t count, int flags)
{
    struct conn *conn = sealed->conn;
    if (!conn->established) {
        int result = wait_established(sealed, flags);
        if (result <= 0)
            return result;
    }
    if (conn->plaintext)
        return receive_plain(sealed, iov, count, flags);
    size_t len = 0;
    for (size_t i = 0; i < count; i++)
        len += iov[i].iov_len;
    if (len == 0)
        return 0;
    if ((flags & MSG_TRUNC) && !(flags & MSG_PEEK))
        return discard_message(sealed, len, flags);
    const bool gather = (flags & (MSG_PEEK | MSG_WAITALL)) == (MSG_PEEK | MSG_WAITALL);
    int64_t until_ms = gather ? blocking_limit(sealed->fd, SO_RCVTIMEO) : 0;
    for (;;) {
        int result = receive_begin(sealed, flags);
        if (result < 0)
            return result;
        struct reading reading = reading_of(sealed, iov, count, len, flags);
        ssize_t got = flags & MSG_PEEK ? peek_held(&reading) : reading_run(&reading);
        if (got == -ESTALE) {
            if (reading.done > 0)
                return (ssize_t)reading.done;
            continue;
        }
        inbox_told(conn, got);
        conn_release(conn, &conn->rx);
        if (!gather || !peek_again(&reading, got, until_ms))
            return got;
    }
}
