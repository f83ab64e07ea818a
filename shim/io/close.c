/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "io/close.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "config/config.h"
#include "conn/error.h"
#include "conn/hold.h"
#include "conn/pending.h"
#include "conn/reserve.h"
#include "diag/log.h"
#include "record/handshake.h"
#include "record/rx_probe.h"
#include "record/tx_flush.h"
#include "record/txbuf.h"
#include "shm/ownfd.h"
#include "shm/self.h"
#include "sys/net.h"

_Atomic bool close_linger_used;

/* The program makes no further call on the connection: the worker is to finish what is left. */
static void carry(void)
{
    if (pending_carry)
        pending_carry();
}

/* Appends close_notify to what is to be sent; tx_lock held. It closes this side's direction only (RFC
 * 8446, 6.1).
 */
static void queue_close_notify(struct conn *conn)
{
    uint8_t bytes[TLS_FLIGHT_MAX];
    struct tls_buffer out = {.data = bytes, .cap = sizeof bytes};
    /* There was no memory to end the partial record, so nothing can follow it. */
    if (conn_tx_has(conn, TX_PARTIAL))
        return;
    tls_session_alert(&conn->session, TLS_ALERT_CLOSE_NOTIFY, &out);
    if (txbuf_append(conn, bytes, out.len))
        conn->tx.close_sent = 1;
}

/* Sends everything, close_notify last: true when the kernel has it all, or can never have it. `closing`: the
 * program has closed the connection. Then close_notify waits for the end of the handshake. Data may come with
 * that end, which nobody will read, and then the connection must end with a reset. */
static bool end_sending(const struct conn_handle *handle, bool closing)
{
    struct conn *conn = handle->conn;
    if (conn_failed(conn))
        return true;
    if (conn_is_plaintext(conn)) {
        int left = tx_flush(handle);
        return left != -EAGAIN && left != -EBUSY;
    }
    handshake_progress(handle);
    if (conn_failed(conn))
        return true;
    if (!conn->tx.can_send)
        return false;
    const enum hold_result held = hold_tx(handle, HOLD_SOON);
    if (held != HOLD_TAKEN) /* it failed, or another thread is in a system call, and is not waited for */
        return held != HOLD_BUSY;
    int result = tx_flush_locked(handle);
    if (result == 0 && !conn->tx.close_sent && (conn_is_established(conn) || !closing)) {
        queue_close_notify(conn);
        result = tx_flush_locked(handle);
    }
    bool done = result != -EAGAIN && conn->tx.close_sent;
    tx_flush_release(handle);
    return done || (result < 0 && result != -EAGAIN);
}

/* SO_LINGER's seconds, -1: off. */
static int linger_time(const struct conn_handle *handle)
{
    struct linger linger = {0};
    socklen_t len = sizeof linger;
    if ((!close_linger_used && !handle->conn->status.lingers) ||
        net_getsockopt(handle->fd, SOL_SOCKET, SO_LINGER, &linger, &len) < 0 || !linger.l_onoff)
        return -1;
    return linger.l_linger;
}

bool close_may_linger(const struct conn_handle *handle)
{
    return linger_time(handle) > 0;
}

/* Whether the kernel will end the connection with a reset: SO_LINGER with time 0, or data that the program
 * has not read. Then the peer must see the reset, and no close_notify before it. */
static bool will_reset(const struct conn_handle *handle)
{
    rx_probe_discard(handle);
    return handle->conn->rx.readable > 0 || linger_time(handle) == 0;
}

void close_finish_step(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    bool closing = fdtable_flags(handle->fd) & FDTABLE_ORPHAN;
    if (!(closing && conn_is_established(conn) && will_reset(handle)) && !end_sending(handle, closing))
        return;
    /* The FIN waits: if the reading side is shut too, by now or later, what comes to finish the handshake
     * would be answered with a reset. */
    if (!conn_is_established(conn) && !conn_failed(conn))
        return;
    conn->status.close_pending = 0;
    if (conn_tx_has(conn, TX_SHUT) || (closing && conn_is_established(conn) && conn->tx.close_sent &&
                                       !(conn_tx_set(conn, TX_SHUT) & TX_SHUT)))
        fdtable_shutdown(handle, SHUT_WR);
}

bool close_unsent(const struct conn_handle *handle)
{
    int bytes = 0;
    return !conn_peer_closed(handle->conn) && !conn_failed(handle->conn) &&
           net_ioctl(handle->fd, SIOCOUTQNSD, &bytes) == 0 && bytes > 0;
}

bool close_unfinished(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    handshake_progress(handle);
    if (conn_failed(conn) || will_reset(handle))
        return false;
    conn->status.close_pending = 1;
    bool sent = end_sending(handle, true);
    if (conn_failed(conn) || (conn_is_plaintext(conn) && sent))
        return false;
    /* Before the handshake is over, the client's Finished would arrive at a closed socket. The kernel would
     * answer with a reset, and data would be lost. */
    if (!sent || !conn_is_established(conn))
        return true;
    conn->status.close_pending = 0;
    if (!close_unsent(handle))
        return false;
    const int on = 1; /* nothing follows: Nagle's algorithm need not hold the last segment */
    net_setsockopt(handle->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return close_unsent(handle);
}

enum { UNANSWERED_MS = 300 * 1000 };

void close_set_deadline(struct conn *conn)
{
    const struct config *config = config_get();
    const bool data = conn->tx.to_send > 0 || (conn->tx.sent_data && !conn_is_established(conn));
    int64_t span = data ? (int64_t)config->close_timeout_ms : CONN_GRACE_MS;
    /* On plain TCP the data would wait in the peer's kernel. But a peer that never accepts must not cost the
     * program a descriptor for good. */
    const int64_t patience = config->connect_timeout_ms ? config->connect_timeout_ms : UNANSWERED_MS;
    if (data && handshake_unanswered(conn) && patience > span)
        span = patience;
    conn->status.wait_told = 1; /* it is final */
    conn->status.deadline_ms = net_now_ms() + span;
}

/* Without a descriptor for an orphan, close(2) itself waits, for the time that a write waits for a handshake:
 * a server at its limit of descriptors says so to its clients, and closes. Whether all is sent. */
static bool finish_here(const struct conn_handle *handle)
{
    enum { SLICE_MS = 10 };
    struct pollfd look = {.fd = handle->fd, .events = POLLIN};
    for (int64_t end = net_now_ms() + CONN_GRACE_MS; fdtable_current(handle) && net_now_ms() < end;) {
        net_ppoll(&look, 1, &(struct timespec){.tv_nsec = SLICE_MS * 1000000L});
        if (!close_unfinished(handle))
            return true;
    }
    return false;
}

static void make_orphan(const struct conn_handle *handle)
{
    int fd = ownfd_duplicate(handle->fd);
    if (fd < 0) {
        if (!finish_here(handle) && handle->conn->tx.to_send > 0)
            error_note(handle, LOG_ERROR,
                       "closed by the program with data to be sent, and no descriptor is left to send it: "
                       "data is lost");
        return;
    }
    close_set_deadline(handle->conn);
    if (conn_is_established(handle->conn) && !handle->conn->status.close_pending &&
        !(conn_tx_set(handle->conn, TX_SHUT) & TX_SHUT))
        net_shutdown(fd, SHUT_WR); /* the kernel has it all: the FIN depends on nobody's progress */
    fdtable_add(fd, handle->conn, handle->generation);
    fdtable_set_flags(fd, FDTABLE_ORPHAN);
    pending_add(fd);
    if (!conn_is_established(handle->conn) || handle->conn->tx.to_send > 0 ||
        handle->conn->status.close_pending)
        carry();
}

bool close_release(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    bool left, last;
    if (conn == &fdtable_dead || !self_owns_tables())
        return false;
    bool pending = fdtable_flags(handle->fd) & FDTABLE_PENDING;
    fdtable_settle_copies();
    bool tried = conn_is_connecting(conn) || fdtable_only_descriptor(conn);
    if (tried && !conn_is_connecting(conn) && close_unfinished(handle))
        make_orphan(handle);
    pending_remove(handle->fd);
    if (!fdtable_hide(handle, &left, &last))
        return false;
    hold_drain(handle);
    handshake_forget_keys();
    if (!left) {
        int other = pending ? fdtable_any(conn, handle->fd) : -1;
        if (other >= 0)
            pending_add(other);
    }
    /* Not tried, and yet the last: the other holder closed at the same moment, and took this one for the
     * last. */
    if (last && !tried && !conn_failed(conn)) {
        conn->status.close_pending = 1;
        make_orphan(handle);
    } else if (last) {
        conn_discard(conn);
    }
    fdtable_leave(handle);
    reserve_sweep();
    return true;
}

void close_fd(const struct conn_handle *handle)
{
    bool hidden = close_release(handle);
    sys_close(handle->fd);
    if (hidden)
        fdtable_publish(handle->fd);
}

/* Whether nobody computes with the lock, or it is taken now. Who is in a system call does not count, since
 * the kernel keeps the socket for it. */
static bool is_quiet(enum hold_result held, const struct lock *lock)
{
    bool blocked;
    return held != HOLD_BUSY && !(held == HOLD_REENTERED && lock_mine(lock, &blocked) && !blocked);
}

/* Hides an orphan while nobody computes with its connection, which would use the number when it is another
 * file's. False: somebody does, and is not waited for, since this thread may be in a signal handler. *hidden:
 * whether this thread was the first. */
static bool hide_quietly(const struct conn_handle *handle, bool *hidden, bool *last)
{
    struct conn *conn = handle->conn;
    const enum hold_result rx = hold_rx(handle, HOLD_SOON);
    if (!is_quiet(rx, &conn->rx_lock))
        return false;
    const enum hold_result tx = hold_tx(handle, HOLD_SOON);
    bool done = false;
    if (is_quiet(tx, &conn->tx_lock)) {
        pending_drop(handle);
        done = fdtable_hide_soon(handle, hidden, last);
        if (!done)
            pending_add(handle->fd);
    }
    if (tx == HOLD_TAKEN)
        conn_release_tx(conn);
    if (rx == HOLD_TAKEN)
        conn_release_rx(conn);
    return done;
}

/* It is to be looked at again soon. */
static bool come_back(struct conn *conn, int64_t now)
{
    conn->status.recheck_ms = now + CLOSE_RECHECK_MS;
    return false;
}

bool close_orphan_step(const struct conn_handle *handle, bool over)
{
    struct conn *conn = handle->conn;
    bool hidden, last;
    int64_t now = net_now_ms();
    if (over && now < conn->status.deadline_ms && close_unsent(handle)) {
        rx_probe_discard(handle);
        return come_back(conn, now);
    }
    if (!over && now < conn->status.deadline_ms)
        return false;
    const bool lost = !over && conn->tx.to_send > 0;
    if (!conn_failed(conn) && conn_is_established(conn))
        rx_probe_discard(handle);
    if (!hide_quietly(handle, &hidden, &last))
        return come_back(conn, now);
    if (!hidden) /* another thread was first */
        return true;
    if (lost)
        error_note(handle, LOG_ERROR,
                   "closed by the program, and the peer did not take the rest in time: data is lost");
    sys_close(handle->fd);
    fdtable_publish(handle->fd);
    if (last)
        conn_discard(conn);
    fdtable_leave(handle);
    reserve_sweep();
    return true;
}

/*
 * shutdown(SHUT_RD), or the half of SHUT_RDWR. The handshake goes on behind it: the kernel still takes in
 * what comes to such a socket, as long as our direction is open.
 */
static int shut_reading(const struct conn_handle *handle)
{
    const bool was_shut = atomic_exchange(&handle->conn->status.read_shut, 1); /* before the kernel says so */
    int result = fdtable_shutdown(handle, SHUT_RD);
    if (result < 0) {
        handle->conn->status.read_shut = was_shut;
        return result;
    }
    if (!conn_is_established(handle->conn))
        pending_rewatch(handle);
    return 0;
}

/* shutdown(SHUT_WR), or the half of SHUT_RDWR. */
static void shut_sending(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    conn->status.close_pending = 1;
    conn_tx_set(conn, TX_SHUT);
    close_finish_step(handle);
    if (conn->status.close_pending) {
        pending_add(handle->fd);
        carry();
    }
}

/* Whether TCP's connection is over, because of a reset for example: shutdown(2) gives ENOTCONN then, and what
 * SO_ERROR has to tell stays there. */
static bool tcp_is_over(int fd)
{
    uint8_t state = 0; /* the first byte of struct tcp_info */
    socklen_t len = sizeof state;
    return net_getsockopt(fd, IPPROTO_TCP, TCP_INFO, &state, &len) == 0 && state == TCP_CLOSE;
}

int close_shutdown(const struct conn_handle *handle, int how)
{
    struct conn *conn = handle->conn;
    const bool known = how == SHUT_RD || how == SHUT_WR || how == SHUT_RDWR;
    handshake_unhold(conn);
    if (conn_is_connecting(conn))
        handshake_progress(handle); /* TCP may be connected by now */
    if (!known || conn_failed(conn) || conn_is_connecting(conn) || tcp_is_over(handle->fd)) {
        int result = net_shutdown(handle->fd, how);
        if (result == 0 && how != SHUT_WR)
            conn->status.read_shut = 1;
        return result;
    }
    int result = how == SHUT_WR ? 0 : shut_reading(handle);
    if (result == 0 && how != SHUT_RD)
        shut_sending(handle);
    return result;
}

/* Moves an orphan to another number. False: other threads go on computing with it. */
static bool move_orphan(int fd)
{
    enum { ATTEMPTS = 200 }; /* of a millisecond */
    struct conn_handle orphan = fdtable_find(fd), copy = orphan;
    copy.fd = orphan.conn ? ownfd_duplicate(fd) : -1;
    bool left, last, hidden = false, done = false;
    if (copy.fd < 0)
        return true; /* it is released as any other */
    fdtable_add(copy.fd, orphan.conn, orphan.generation);
    fdtable_set_flags(copy.fd, FDTABLE_ORPHAN);
    for (int i = 0; i < ATTEMPTS && !done; i++)
        done = hide_quietly(&orphan, &hidden, &last);
    if (hidden)
        fdtable_publish(fd);
    if (done) {
        pending_add(copy.fd);
        return true;
    }
    if (fdtable_hide(&copy, &left, &last)) {
        sys_close(copy.fd);
        fdtable_publish(copy.fd);
    }
    return false;
}

bool close_make_way(int fd)
{
    if (!fdtable_is_own(fd) || !self_owns_tables())
        return true;
    if ((fdtable_flags(fd) & FDTABLE_ORPHAN) && !move_orphan(fd))
        return false;
    if (ownfd_make_way(fd))
        log_keep(ownfd_get(OWNFD_LOG));
    return true;
}
