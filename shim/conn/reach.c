/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "conn/reach.h"

#include <errno.h>

#include "conn/failure.h"

static bool fail(const struct sealed *sealed, struct role *role)
{
    failure_set(sealed, ENOBUFS,
                "the kernel refuses to map what another process has left in it; check the limit on this "
                "process's address space (RLIMIT_AS, ulimit -v)");
    conn_release(sealed->conn, role);
    return false;
}

bool reach_reading(const struct sealed *sealed)
{
    return conn_reach_rx(sealed->conn) || fail(sealed, &sealed->conn->rx);
}

bool reach_writing(const struct sealed *sealed)
{
    return conn_reach_tx(sealed->conn) || fail(sealed, &sealed->conn->tx);
}
