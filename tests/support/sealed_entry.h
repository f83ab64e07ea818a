/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_SEALED_ENTRY_H
#define SOCKSEAL_SEALED_ENTRY_H

/* For unit tests, behind cmocka's headers: a connection in the table of descriptors, as its connecting side,
 * without a handshake. */

#include "config/config.h"
#include "conn/fdtable.h"

static inline struct conn_handle make_sealed(int fd)
{
    config_load();
    assert_true(fdtable_init());
    struct conn *conn = conn_new(TLS_CLIENT, false);
    assert_non_null(conn);
    fdtable_add(fd, conn, atomic_load(&conn->generation));
    return fdtable_find(fd);
}

#endif
