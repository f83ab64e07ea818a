/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "record/handshake_timeout.h"

#include <errno.h>

#include "config/config.h"
#include "conn/error.h"
#include "conn/hold.h"
#include "diag/log.h"
#include "record/plaintext.h"
#include "sys/net.h"

void handshake_timeout_note_answer(struct conn *conn)
{
    if (!atomic_exchange(&conn->status.peer_answered, 1) && conn->status.connects)
        conn->status.deadline_ms = net_now_ms() + config_get()->handshake_timeout_ms;
}

static bool expired(const struct conn *conn)
{
    return !conn_is_established(conn) && !conn_is_connecting(conn) && !conn_failed(conn) &&
           net_now_ms() >= conn->status.deadline_ms;
}

/* Wipes the secrets of a handshake that has failed: they are of no use any more. */
static void forget_secrets(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    if (!conn_failed(conn) || hold_tx(handle, HOLD_TRY) != HOLD_TAKEN)
        return;
    tls_session_fail(&conn->session, TLS_FAIL_INTERNAL);
    if (conn->handshake)
        tls_handshake_wipe(conn_handshake(conn));
    tls_key_pair_wipe(&conn->pair);
    conn_release_tx(conn);
}

bool handshake_timeout_unanswered(const struct conn *conn)
{
    return conn->status.connects && !conn->status.peer_answered;
}

/* The deadline of a connecting side without an answer is past: whether it may wait on. The first time the log
 * tells so. From then on the limit is SOCKSEAL_CONNECT_TIMEOUT, if there is one. */
static bool may_wait_on(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    const struct config *config = config_get();
    const unsigned limit = config->connect_timeout_ms, notice = config->handshake_timeout_ms;
    if (!handshake_timeout_unanswered(conn) || conn->status.wait_told || (limit > 0 && limit <= notice))
        return false;
    conn->status.wait_told = 1;
    conn->status.deadline_ms = limit > 0 ? conn->status.deadline_ms + (limit - notice) : INT64_MAX;
    error_note(handle, LOG_INFO, "still waiting for the peer's answer: it is busy, or not sealed");
    return true;
}

void handshake_timeout_apply(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    if (!expired(conn) || hold_rx(handle, HOLD_TRY) != HOLD_TAKEN)
        return;
    if (expired(conn) && !may_wait_on(handle)) {
        if (plaintext_may_begin(conn) && conn->rx.have == 0)
            plaintext_begin(handle); /* the peer waits for this server to speak first */
        else
            error_set(handle, ETIMEDOUT, "the peer did not finish the handshake in time");
    }
    forget_secrets(handle);
    conn_release_rx(conn);
}
