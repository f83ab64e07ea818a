/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "record/rx_low_water.h"

#include <limits.h>
#include <sys/socket.h>

#include "conn/hold.h"
#include "sys/net.h"

/* The fewest bytes in the kernel's queue that can make `low` bytes of plaintext. */
static size_t fewest(const struct conn_rx *rx, size_t low)
{
    if (rx->queue.total >= low)
        return 1; /* the readiness byte */
    const size_t missing = low - rx->queue.total + TLS_SEAL_OVERHEAD;
    /* Of an incomplete record these bytes are out of the kernel. */
    const size_t taken = rx->have + rx->byte_is_next;
    return rx->decrypted + (missing > taken ? missing - taken : 1);
}

void rx_low_water_apply(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    if (!conn_is_established(conn) || !fdtable_current(handle))
        return; /* the handshake's messages are small */
    const size_t bytes = conn_peer_closed(conn) ? 1 : fewest(&conn->rx, rx_low_water(conn));
    const int value = bytes < INT_MAX ? (int)bytes : INT_MAX;
    const int before = conn->kernel_low > 1 ? conn->kernel_low : 1;
    if (value != before && net_setsockopt(handle->fd, SOL_SOCKET, SO_RCVLOWAT, &value, sizeof value) == 0)
        conn->kernel_low = value;
    if (rx_low_water(conn) == 1 && conn->kernel_low <= 1)
        conn_rx_clear(conn, RX_LOW_WATER);
}

/* What is waited for must fit the connection's queue. The kernel has a bound, too: half of what the socket's
 * buffer may become. */
static int bounded(int low)
{
    enum { MOST = CONN_QUEUE_MAX / 2 };
    if (low == 0)
        return 1;
    return low < 0 || low > MOST ? MOST : low;
}

int rx_low_water_set(const struct conn_handle *handle, int low)
{
    struct conn *conn = handle->conn;
    conn->rx.low_water = bounded(low);
    conn_rx_set(conn, RX_LOW_WATER);
    if (hold_rx(handle, HOLD_SOON) == HOLD_TAKEN) { /* else who has it does this later */
        rx_low_water_apply(handle);
        conn_release_rx(conn);
    }
    return 0;
}
