/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "conn/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "conn/address.h"
#include "diag/escape.h"
#include "diag/limit.h"
#include "diag/log.h"
#include "sys/net.h"

int error_of_tls(enum tls_result result)
{
    switch (result) {
    case TLS_FAIL_PROTOCOL:
        return EPROTO;
    case TLS_FAIL_KEY:
        return EKEYREJECTED;
    case TLS_FAIL_RECORD:
        return EBADMSG;
    case TLS_FAIL_PEER_ALERT:
        return ECONNRESET;
    case TLS_OK:
    case TLS_FAIL_LIMIT:
    case TLS_FAIL_INTERNAL:
        break;
    }
    return EIO;
}

/* What somebody at a terminal can do about it. */
static const char *advice(int error)
{
    switch (error) {
    case EKEYREJECTED:
        return "; check that both ends have the same line for this identity in their key files";
    case EPROTO:
        return "; check that the other end is sealed too (SOCKSEAL_PORTS), nothing was sent in the clear";
    case EBADMSG:
        return "; the data was changed on its way";
    case ETIMEDOUT:
        return "; check that the other end is sealed too (SOCKSEAL_PORTS), or SOCKSEAL_HANDSHAKE_TIMEOUT or "
               "SOCKSEAL_CONNECT_TIMEOUT is too short";
    default:
        return "";
    }
}

static void describe(const struct conn *conn, enum log_level level, const char *what, const char *more)
{
    char local[ADDRESS_TEXT], peer[ADDRESS_TEXT], identity[ESCAPE_BYTE_MAX * TLS_IDENTITY_MAX + 16] = "";
    char name[ESCAPE_BYTE_MAX * TLS_IDENTITY_MAX + 1];
    if (!log_enabled(level) || (level <= LOG_WARN && !limit_allows(what)))
        return;
    if (conn->session.identity_len && conn->session.identity_len <= TLS_IDENTITY_MAX)
        snprintf(identity, sizeof identity, " (identity '%s')",
                 escape_peer(name, sizeof name, conn->session.identity, conn->session.identity_len));
    log_line(level, "%s %s %s%s: %s%s", address_text(&conn->local, local),
             conn->session.role == TLS_CLIENT ? "->" : "<-", address_text(&conn->peer, peer), identity, what,
             more);
}

/* Asks for the local address, for log lines, if it is not known yet. */
static void fill_local(const struct conn_handle *handle)
{
    struct sockaddr_storage local = {0};
    socklen_t len = sizeof local;
    if (handle->conn->local.family == 0 && net_getsockname(handle->fd, &local, &len) == 0)
        handle->conn->local = address_of((const struct sockaddr *)&local);
}

void error_note(const struct conn_handle *handle, int level, const char *what)
{
    fill_local(handle);
    describe(handle->conn, (enum log_level)level, what, "");
}

void error_set_at(const struct conn_handle *handle, int level, int error, const char *reason)
{
    struct conn *conn = handle->conn;
    if (!conn_fail(conn, error))
        return;
    fill_local(handle);
    describe(conn, (enum log_level)level, reason, advice(error));
    /* From now on the kernel's answer to every wait is: readable, hung up. */
    fdtable_shutdown(handle, SHUT_RDWR);
}

void error_set(const struct conn_handle *handle, int error, const char *reason)
{
    error_set_at(handle, error == ECONNRESET ? LOG_WARN : LOG_ERROR, error, reason);
}

void error_from_tls(const struct conn_handle *handle, const struct tls_session *session,
                    enum tls_result result)
{
    char text[160];
    const char *reason = tls_session_reason(session);
    if (session->alert_in != TLS_ALERT_NONE) {
        snprintf(text, sizeof text, "%s (alert %s)", reason, tls_alert_name(session->alert_in));
        reason = text;
    }
    error_set(handle, error_of_tls(result), reason);
}
