/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "conn/describe.h"

#include <stdio.h>

#include "conn/address.h"
#include "sys/net.h"

const char *describe_conn(const struct conn *conn, char text[static DESCRIBE_TEXT])
{
    const struct tls_session *session = &conn->session;
    char local[ADDRESS_TEXT], peer[ADDRESS_TEXT], name[ESCAPE_BYTE_MAX * TLS_IDENTITY_MAX + 1];
    const size_t identity_len = tls_session_identity_len(session);
    snprintf(text, DESCRIBE_TEXT, "%s %s %s%s%s%s", address_text(&conn->local, local),
             session->role == TLS_CLIENT ? "->" : "<-", address_text(&conn->peer, peer),
             identity_len > 0 ? " (identity '" : "",
             identity_len > 0 ? escape_peer(name, sizeof name, session->identity, identity_len) : "",
             identity_len > 0 ? "')" : "");
    return text;
}

void describe_learn_local(struct conn *conn, int fd)
{
    struct sockaddr_storage local = {0};
    socklen_t len = sizeof local;
    if (conn->local.family == 0 && net_getsockname(fd, &local, &len) == 0)
        conn->local = address_of((const struct sockaddr *)&local);
}
