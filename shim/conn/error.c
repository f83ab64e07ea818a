/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "conn/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "conn/describe.h"
#include "conn/status.h"
#include "diag/limit.h"
#include "diag/log.h"
#include "tls/tls_failure.h"

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
    char text[DESCRIBE_TEXT];
    if (!log_enabled(level) || (level <= LOG_WARN && !limit_allows(what)))
        return;
    log_line(level, "%s: %s%s", describe_conn(conn, text), what, more);
}

void error_note(const struct conn_handle *handle, int level, const char *what)
{
    describe_learn_local(handle->conn, handle->fd);
    describe(handle->conn, (enum log_level)level, what, "");
}

static void fail(const struct conn_handle *handle, int level, int error, const char *reason, bool not_tls)
{
    struct conn *conn = handle->conn;
    if (!conn_fail(conn, error))
        return;
    describe_learn_local(handle->conn, handle->fd);
    status_failed(conn, error, not_tls);
    describe(conn, (enum log_level)level, reason, advice(error));
    /* From now on the kernel's answer to every wait is: readable, hung up. */
    fdtable_shutdown(handle, SHUT_RDWR);
}

void error_set_at(const struct conn_handle *handle, int level, int error, const char *reason)
{
    fail(handle, level, error, reason, false);
}

static int level_of(int error)
{
    return error == ECONNRESET ? LOG_WARN : LOG_ERROR;
}

void error_set(const struct conn_handle *handle, int error, const char *reason)
{
    error_set_at(handle, level_of(error), error, reason);
}

int error_damaged(const struct conn_handle *handle)
{
    error_set(handle, EIO,
              "its state is damaged: a process that shares the connection has written to its memory");
    return -EIO;
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
    const int error = error_of_tls(result);
    fail(handle, level_of(error), error, reason, session->reason == TLS_REASON_NOT_TLS);
}
