/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "io/info.h"

#include <string.h>

#include "record/handshake.h"

static uint8_t state_of(const struct conn *conn)
{
    if (conn_failed(conn))
        return SOCKSEAL_FAILED;
    if (!conn_is_established(conn))
        return SOCKSEAL_HANDSHAKE;
    return conn_peer_closed(conn) && conn_tx_has(conn, TX_SHUT) ? SOCKSEAL_CLOSED : SOCKSEAL_ESTABLISHED;
}

void info_fill(const struct conn_handle *handle, struct sockseal_info *info)
{
    struct conn *conn = handle->conn;
    memset(info, 0, sizeof *info);
    if (!conn || conn_is_plaintext(conn))
        return;
    if (!conn_is_established(conn))
        handshake_progress(handle);
    info->sealed = 1;
    info->state = state_of(conn);
    info->server = conn->session.role == TLS_SERVER;
    info->error = (uint32_t)conn->status.error;
    if (info->state == SOCKSEAL_HANDSHAKE)
        return;
    info->suite = conn->session.suite;
    info->identity_len = (uint8_t)tls_session_identity_len(&conn->session);
    memcpy(info->identity, conn->session.identity, sizeof info->identity);
}
