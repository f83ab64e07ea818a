/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "record/rx_probe.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "conn/hold.h"
#include "record/handshake.h"
#include "record/rx_low_water.h"
#include "record/rx_queue.h"
#include "sys/net.h"

/* FIONREAD peeks into the kernel's queue at most so often, which matters for small records. */
enum { COUNT_ROUNDS = 16 };

/* With SO_RCVLOWAT: decrypts what there is until the program's number is reached. */
static bool reaches_low_water(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    const size_t low = rx_low_water(conn);
    bool drained;
    for (int i = 0; i < RX_EMPTY_MAX && conn->rx.queue.total < low; i++) {
        if (conn_peer_closed(conn) || conn_failed(conn) || !fdtable_current(handle))
            return true;
        struct rx_step step = rx_queue_gather(handle, low, &drained);
        if (rx_would_block(step))
            break;
        rx_queue_save_error(conn, step.error);
        if (step.kind == RX_TRUNCATED || rx_stopped(step))
            return true;
    }
    rx_low_water_apply(handle);
    return conn->rx.queue.total >= low;
}

/* Takes records without data, until there is data, an end or an error: true. False if nothing more is there.
 */
static bool find_locked(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    if (conn->rx.queue.total == 0 && rx_queue_has_bulk(handle))
        return true;
    for (int i = 0; i < RX_EMPTY_MAX; i++) {
        if (conn->rx.queue.total > 0 || conn_peer_closed(conn) || conn_failed(conn))
            return true;
        struct rx_step step = rx_queue_fill(handle, MSG_DONTWAIT);
        if (rx_would_block(step)) {
            rx_queue_free_idle_chunk(conn);
            return false;
        }
        rx_queue_save_error(conn, step.error);
        if (step.kind == RX_TRUNCATED || rx_stopped(step))
            return true;
    }
    return true;
}

bool rx_probe_ready(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    if (!conn_is_established(conn))
        handshake_progress(handle);
    if (conn_failed(conn) || conn_is_connecting(conn) || conn->rx.readable >= rx_low_water(conn) ||
        conn_phase(conn) > CONN_ESTABLISHED)
        return true;
    if (!conn_is_established(conn))
        return conn->status.read_shut;            /* then an end */
    if (hold_rx(handle, HOLD_WAIT) != HOLD_TAKEN) /* another reader is to find out */
        return true;
    bool ready = rx_low_water(conn) > 1 ? reaches_low_water(handle) : find_locked(handle);
    conn_release_rx(conn);
    return ready;
}

/* Decrypts what the kernel has: true when nothing whole is left there, false when it is too much at once. */
static bool decrypt_all(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    bool drained;
    for (int i = 0; i < COUNT_ROUNDS && conn->rx.queue.total < CONN_QUEUE_MAX; i++) {
        if (conn_peer_closed(conn) || conn_failed(conn) || !fdtable_current(handle))
            return true;
        struct rx_step step = rx_queue_gather(handle, CONN_QUEUE_MAX, &drained);
        rx_queue_save_error(conn, step.error);
        if (step.kind != RX_DATA && step.kind != RX_OTHER)
            return true;
    }
    return false;
}

/* Has the kernel report the descriptor readable once more, to edge-triggered programs too: setting
 * SO_RCVLOWAT, even to the value that it has, does that (tcp_set_rcvlowat() calls tcp_data_ready()). */
static void give_edge(const struct conn_handle *handle)
{
    const int value = 1;
    net_setsockopt(handle->fd, SOL_SOCKET, SO_RCVLOWAT, &value, sizeof value);
    handle->conn->kernel_low = value;
}

size_t rx_probe_available(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    if (!conn_is_established(conn))
        handshake_progress(handle);
    if (!conn_is_established(conn) || hold_rx(handle, HOLD_WAIT) != HOLD_TAKEN)
        return 0;
    if (!decrypt_all(handle) && fdtable_current(handle))
        give_edge(handle);
    size_t available = conn->rx.queue.total;
    rx_queue_free_idle_chunk(conn);
    if (conn->rx.attention & RX_LOW_WATER)
        rx_low_water_apply(handle);
    conn_release_rx(conn);
    return available;
}

void rx_probe_discard(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    if (!conn_is_established(conn) || hold_rx(handle, HOLD_TRY) != HOLD_TAKEN)
        return;
    for (int i = 0; i < RX_EMPTY_MAX && fdtable_current(handle) && conn->rx.queue.total == 0; i++) {
        if (conn_peer_closed(conn) || conn_failed(conn))
            break;
        struct rx_step step = rx_queue_fill(handle, MSG_DONTWAIT);
        if (step.kind == RX_TRUNCATED || rx_stopped(step))
            break;
    }
    conn_release_rx(conn);
}
