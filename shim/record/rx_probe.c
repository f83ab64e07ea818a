/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "record/rx_probe.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "conn/error.h"
#include "conn/map.h"
#include "record/handshake.h"
#include "record/rx_queue.h"
#include "sys/net.h"

/* Looks for data behind what is not: 1 there is something for the program, 0 nothing now. */
static bool look_held(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    if (conn->inbox.total == 0 && rx_queue_has_bulk(handle))
        return true;
    for (int i = 0; i < RX_EMPTY_MAX; i++) {
        if (conn->inbox.total > 0 || conn->ended || conn_failed(conn))
            return true;
        int result = rx_queue_fill(handle, MSG_DONTWAIT);
        if (result == RX_TRUNCATED || (result < 0 && result != -EAGAIN)) {
            rx_queue_save_so_error(conn, result);
            return true;
        }
        if (result == -EAGAIN) {
            rx_queue_free_idle_chunk(conn);
            return false;
        }
    }
    return true;
}

/* Takes the role rx, unless another reader has it in the kernel. */
static bool take_reading(const struct conn_handle *handle)
{
    enum lock_result taken = conn_take_rx(handle->conn);
    if (taken == LOCK_OWNER_DIED) {
        error_set(handle, EIO, "a process died while it was reading");
        conn_release(handle->conn, &handle->conn->rx);
    }
    return (taken == LOCK_TAKEN || taken == LOCK_RECOVERED) && map_rx(handle);
}

bool rx_probe_ready(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    if (!conn->established)
        handshake_progress(handle);
    if (conn_failed(conn) || conn->ended || conn->connecting || conn->readable > 0 || conn->plaintext)
        return true;
    if (!conn->established)
        return false;
    if (!take_reading(handle))
        return true;
    bool ready = !fdtable_current(handle) || look_held(handle);
    conn_release(conn, &conn->rx);
    return ready;
}

/* What the kernel's queue still holds, opened: exact for full records, more than it will be for smaller ones.
 */
static size_t unopened(const struct conn_handle *handle)
{
    const size_t overhead = tls_session_overhead(&handle->conn->session), full = TLS_PLAINTEXT_MAX + overhead;
    int queued = 0;
    if (net_ioctl(handle->fd, FIONREAD, &queued) < 0 || (size_t)queued <= handle->conn->decrypted)
        return 0;
    size_t rest = (size_t)queued - handle->conn->decrypted, records = (rest + full - 1) / full;
    return rest > records * overhead ? rest - records * overhead : 0;
}

size_t rx_probe_available(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    bool more = true;
    if (!conn->established)
        handshake_progress(handle);
    if (!conn->established || !take_reading(handle))
        return 0;
    for (int i = 0; i < RX_EMPTY_MAX && fdtable_current(handle) && conn->inbox.total < CONN_QUEUE_MAX; i++) {
        more = !conn->ended && !conn_failed(conn);
        if (!more)
            break;
        int result = rx_queue_fill(handle, MSG_DONTWAIT);
        rx_queue_save_so_error(conn, result);
        more = result > 0 && result != RX_TRUNCATED && result != RX_END;
        if (!more)
            break;
    }
    size_t available = conn->inbox.total + (more ? unopened(handle) : 0);
    rx_queue_free_idle_chunk(conn);
    conn_release(conn, &conn->rx);
    return available;
}

void rx_probe_discard(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    if (!conn->established || !lock_try(&conn->rx) || !map_rx(handle))
        return;
    for (int i = 0; i < RX_EMPTY_MAX && fdtable_current(handle) && conn->inbox.total == 0; i++) {
        if (conn->ended || conn_failed(conn))
            break;
        int result = rx_queue_fill(handle, MSG_DONTWAIT);
        if (result < 0 || result == RX_TRUNCATED)
            break;
    }
    conn_release(conn, &conn->rx);
}
