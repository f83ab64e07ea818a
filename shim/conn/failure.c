/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "conn/failure.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "conn/open.h"
#include "diag/log.h"
#include "sys/net.h"

int failure_errno(enum tls_result result)
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

const char *failure_address(const struct conn_address *address, char text[static FAILURE_ADDRESS_TEXT])
{
    char host[INET6_ADDRSTRLEN] = "?";
    if (address->family == AF_INET || address->family == AF_INET6)
        inet_ntop(address->family, address->bytes, host, sizeof host);
    snprintf(text, FAILURE_ADDRESS_TEXT, address->family == AF_INET6 ? "[%s]:%u" : "%s:%u", host,
             address->port);
    return text;
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
        return "; somebody or something on the way changes the data";
    case ETIMEDOUT:
        return "; check that the other end is sealed too (SOCKSEAL_PORTS, or SOCKSEAL_HANDSHAKE_TIMEOUT is "
               "too short)";
    default:
        return "";
    }
}

static void describe(const struct conn *conn, enum log_level level, const char *what, const char *more)
{
    char local[FAILURE_ADDRESS_TEXT], peer[FAILURE_ADDRESS_TEXT], identity[TLS_IDENTITY_MAX + 16] = "";
    if (!log_enabled(level))
        return;
    if (conn->session.identity_len && conn->session.identity_len <= TLS_IDENTITY_MAX)
        snprintf(identity, sizeof identity, " (identity '%.*s')", conn->session.identity_len,
                 (const char *)conn->session.identity);
    log_line(level, "%s %s %s%s: %s%s", failure_address(&conn->local, local),
             conn->session.role == TLS_CLIENT ? "->" : "<-", failure_address(&conn->peer, peer), identity,
             what, more);
}

void failure_note(const struct conn *conn, int level, const char *what)
{
    describe(conn, (enum log_level)level, what, "");
}

void failure_set(const struct sealed *sealed, int error, const char *reason)
{
    struct conn *conn = sealed->conn;
    int32_t none = 0;
    if (!atomic_compare_exchange_strong(&conn->error, &none, error))
        return;
    open_name_local(sealed);
    describe(conn, error == ECONNRESET ? LOG_WARN : LOG_ERROR, reason, advice(error));
    /* The kernel then answers every wait: readable, hung up. */
    if (registry_current(sealed))
        net_shutdown(sealed->fd, SHUT_RDWR);
}

void failure_from(const struct sealed *sealed, const struct tls_session *session, enum tls_result result)
{
    char text[160];
    const char *reason = tls_session_reason(session);
    if (session->alert_in != TLS_ALERT_NONE) {
        snprintf(text, sizeof text, "%s (alert %s)", reason, tls_alert_name(session->alert_in));
        reason = text;
    }
    failure_set(sealed, failure_errno(result), reason);
}
