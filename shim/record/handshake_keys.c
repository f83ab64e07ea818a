/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "record/handshake_keys.h"

#include <errno.h>
#include <string.h>

#include "config/config.h"
#include "conn/error.h"
#include "diag/keylog.h"
#include "diag/log.h"

struct handshake_keys handshake_keys_of(const struct conn *conn, const struct keyring *keys)
{
    struct handshake_keys scope = {.keys = keys, .direction = RULES_LISTEN, .port = conn->local.port};
    if (conn->session.role == TLS_CLIENT) {
        scope.direction = RULES_CONNECT;
        scope.port = conn->peer.port;
        rule_target_of(&scope.peer, conn->peer.family, conn->peer.bytes);
    } else {
        rule_peer_of(&scope.peer, conn->peer.family, conn->peer.bytes);
    }
    return scope;
}

static bool key_counts(const void *context, size_t index)
{
    const struct handshake_keys *scope = context;
    return keyring_allows(scope->keys, index, scope->direction, &scope->peer, scope->port);
}

/* The first key that counts, or NULL. */
static const struct tls_psk *first_key(const struct handshake_keys *scope)
{
    for (size_t i = 0; i < scope->keys->count; i++)
        if (key_counts(scope, i))
            return &scope->keys->psks[i];
    return NULL;
}

struct tls_config handshake_keys_config(const struct handshake_keys *scope, struct tls_key_pair *pair)
{
    const struct config *config = config_get();
    return (struct tls_config){
        .psks = scope->keys->psks,
        .psk_count = scope->keys->count,
        .psk_order = scope->keys->order,
        .psk_allowed = key_counts,
        .context = scope,
        .memos = scope->keys->memos,
        .memo_count = scope->keys->memo_count,
        .suites = config->suites,
        .suite_count = config->suite_count,
        .groups = config->groups,
        .group_count = config->group_count,
        .pair = pair,
        .keylog = config->keylog_file ? keylog_write : NULL,
    };
}

int handshake_keys_offer(const struct conn_handle *handle, const struct keyring *keys,
                         struct tls_session *session, struct tls_handshake *state, struct tls_key_pair *pair,
                         struct tls_buffer *out)
{
    struct conn *conn = handle->conn;
    const struct handshake_keys scope = handshake_keys_of(conn, keys);
    const struct tls_psk *first = first_key(&scope);
    if (!first) {
        error_note(handle, LOG_ERROR, "no key of the key file counts for connecting there");
        return -ENOKEY;
    }
    struct tls_config config = handshake_keys_config(&scope, pair);
    enum tls_result result = tls_client_begin(session, state, &config, out);
    /* For log lines until the server has chosen one. */
    session->identity_len = (uint8_t)first->identity_len;
    memcpy(session->identity, first->identity, first->identity_len);
    if (result == TLS_OK)
        return 0;
    error_from_tls(handle, session, result);
    return -error_of_tls(result);
}

void handshake_keys_note(struct conn *conn)
{
    if (!config_get()->close_removed_keys)
        return;
    const struct keyring *keys = keyring_current();
    conn->key_tag =
        keys ? keyring_tag(keys, conn->session.identity, tls_session_identity_len(&conn->session)) : 0;
    keyring_release(keys);
}

static bool needs_keys(int fd)
{
    const struct conn *conn = fdtable_find_now(fd).conn;
    return conn && conn != &fdtable_dead && !conn_is_established(conn) && !conn_failed(conn);
}

void handshake_keys_forget(void)
{
    if (!keyring_is_forgotten())
        return;
    for (int fd = 0; fd < fdtable_bound(); fd++)
        if (needs_keys(fd))
            return;
    keyring_wipe();
}
