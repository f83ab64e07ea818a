/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "io/ending.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "conn/hold.h"
#include "conn/pending.h"
#include "record/handshake.h"
#include "record/rx_probe.h"
#include "record/tx_flush.h"
#include "record/txbuf.h"
#include "sys/net.h"

_Atomic bool ending_linger_used;

void ending_carry(void)
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
    if (held == HOLD_BLOCKED && closing && lock_blocked_here(&conn->tx_lock))
        return false;       /* the kernel would go on with that call, and end the connection behind it */
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
    if ((!ending_linger_used && !handle->conn->status.lingers) ||
        net_getsockopt(handle->fd, SOL_SOCKET, SO_LINGER, &linger, &len) < 0 || !linger.l_onoff)
        return -1;
    return linger.l_linger;
}

bool ending_may_linger(const struct conn_handle *handle)
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

void ending_step(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    bool closing = fdtable_flags(handle->fd) & FDTABLE_ORPHAN;
    if (closing && lock_blocked_here(&conn->tx_lock))
        return;
    if (!(closing && conn_is_established(conn) && will_reset(handle)) && !end_sending(handle, closing))
        return;
    /* Closed meanwhile: another descriptor, an orphan say, is to end what is left. */
    if (!fdtable_current(handle))
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

bool ending_unsent(const struct conn_handle *handle)
{
    int bytes = 0;
    return !conn_peer_closed(handle->conn) && !conn_failed(handle->conn) &&
           net_ioctl(handle->fd, SIOCOUTQNSD, &bytes) == 0 && bytes > 0;
}

bool ending_owes(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    if (conn_failed(conn) || !(fdtable_flags(handle->fd) & FDTABLE_OWES) ||
        !conn_tx_has(conn, TX_PARTIAL | TX_QUEUED))
        return false;
    handshake_progress(handle);
    conn->tx.partial_left = PARTIAL_DUE;
    tx_flush(handle);
    return !conn_failed(conn) && conn->tx.to_send > 0;
}

bool ending_became_last(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    return conn_is_established(conn) && !conn_is_plaintext(conn) && !conn_failed(conn) &&
           !conn->tx.close_sent && !conn_tx_has(conn, TX_SHUT) && fdtable_only_descriptor(conn) &&
           !will_reset(handle);
}

bool ending_unfinished(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    handshake_progress(handle);
    if (conn_failed(conn) || will_reset(handle))
        return false;
    conn->status.close_pending = 1;
    bool sent = end_sending(handle, true);
    if (conn_failed(conn) || !fdtable_current(handle) || (conn_is_plaintext(conn) && sent))
        return false;
    /* Before the handshake is over, the client's Finished would arrive at a closed socket. The kernel would
     * answer with a reset, and data would be lost. */
    if (!sent || !conn_is_established(conn))
        return true;
    conn->status.close_pending = 0;
    if (!ending_unsent(handle))
        return false;
    const int on = 1; /* nothing follows: Nagle's algorithm need not hold the last segment */
    net_setsockopt(handle->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return ending_unsent(handle);
}
