/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "conn/map.h"

#include <errno.h>

#include "conn/error.h"

static bool fail(const struct conn_handle *handle, struct lock *role)
{
    error_set(handle, ENOBUFS,
              "the kernel refuses to map what another process has left in it; check the limit on this "
              "process's address space (RLIMIT_AS, ulimit -v)");
    conn_release(handle->conn, role);
    return false;
}

bool map_rx_chunks(const struct conn_handle *handle)
{
    return conn_map_rx(handle->conn) || fail(handle, &handle->conn->rx);
}

bool map_tx_chunks(const struct conn_handle *handle)
{
    return conn_map_tx(handle->conn) || fail(handle, &handle->conn->tx);
}
