/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "record/plaintext.h"

#include "config/config.h"
#include "conn/error.h"
#include "conn/pending.h"
#include "diag/log.h"

bool plaintext_may_begin(const struct conn *conn)
{
    return config_get()->accept_plaintext && conn->session.role == TLS_SERVER && !conn->session.heard;
}

/* A TLS handshake would start with the byte 22 (RFC 8446, 5.1). */
bool plaintext_is_spoken(const struct conn *conn, const uint8_t *data, size_t have)
{
    return plaintext_may_begin(conn) && have > 0 && data[0] != 22;
}

void plaintext_begin(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    error_note(handle, LOG_WARN,
               "the peer does not seal, and SOCKSEAL_PLAINTEXT=accept serves it in the clear");
    arena_chunk_give(conn, conn->rx.chunk);
    conn->rx.chunk = 0;
    conn->rx.have = 0;
    conn_enter(conn, CONN_PLAINTEXT);
    pending_settle(handle);
}
