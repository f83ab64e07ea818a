/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_HANDSHAKE_KEYS_H
#define SOCKSEAL_HANDSHAKE_KEYS_H

/* Which keys of the key file a handshake may use, which one it has used, and when the process needs none any
 * more. */

#include "config/keyring.h"
#include "conn/fdtable.h"

/* What decides which keys count for a connection. */
struct handshake_keys {
    const struct keyring *keys;
    enum rules_direction direction;
    struct rule_peer peer; /* family 0: unknown */
    uint16_t port;
};

/* For this connection. `keys` must outlive it. */
struct handshake_keys handshake_keys_of(const struct conn *conn, const struct keyring *keys);

/* What the engine is to use for it. Scope and key pair must outlive it. */
struct tls_config handshake_keys_config(const struct handshake_keys *scope, struct tls_key_pair *pair);

/* Has the engine begin, in memory of this process alone, with the keys that count, and write a ClientHello to
 * `out`. 0 or -errno (ENOKEY: none counts). */
int handshake_keys_offer(const struct conn_handle *handle, const struct keyring *keys,
                         struct tls_session *session, struct tls_handshake *state, struct tls_key_pair *pair,
                         struct tls_buffer *out);

/* Records which key the handshake has used, so that the connection can end with it (io/revoke.h). */
void handshake_keys_note(struct conn *conn);

/* In a process that is to forget its keys: forgets them as soon as no handshake of its connections needs
 * them. */
void handshake_keys_forget(void);

#endif
