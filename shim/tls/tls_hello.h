/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_TLS_HELLO_H
#define SOCKSEAL_TLS_HELLO_H

/*
 * Codec of ClientHello, ServerHello and HelloRetryRequest (RFC 8446, 4.1), except that a ClientHello is read
 * by tls_hello_reader. Parsing checks form alone: what a hello means is decided in tls_client.c.
 */

#include "tls/tls_cursor.h"
#include "tls/tls_extensions.h"
#include "tls/tls_failure.h"
#include "tls/tls_kex.h"
#include "tls/tls_schedule.h"

enum {
    TLS_HELLO_RANDOM = 32,
    TLS_HELLO_SESSION_ID_MAX = 32,
    TLS_HELLO_BINDER = 32, /* a PskBinderEntry under SHA-256 */
    TLS_HELLO_SUITES_MAX = 4,
    TLS_VERSION_SSL3 = 0x0300,
    TLS_VERSION_12 = 0x0303, /* what every legacy_version of TLS 1.3 says */
    TLS_VERSION_13 = 0x0304,
    TLS_PSK_DHE_KE = 1,
};

/* A PSK as a client keeps it for its handshake: what follows from the key in place of the key. */
struct tls_hello_psk {
    uint8_t identity[TLS_IDENTITY_MAX];
    uint8_t identity_len;
    uint8_t early[TLS_SCHEDULE_HASH]; /* Early Secret (RFC 8446, 7.1) */
};

/* What a ClientHello of ours says; the same for the second, after a HelloRetryRequest (RFC 8446, 4.1.2). */
struct tls_hello_offer {
    uint8_t random[TLS_HELLO_RANDOM];
    struct tls_kex_key key; /* of its shares */
    uint16_t groups[TLS_GROUPS_MAX];
    size_t group_count;
    uint16_t suites[TLS_HELLO_SUITES_MAX];
    size_t suite_count;
    struct tls_hello_psk psks[TLS_OFFERED_PSKS_MAX];
    size_t psk_count;
    struct tls_schedule_psk first; /* of psks[0], which is nearly always the one that is used */
};

struct tls_server_hello {
    uint16_t legacy_version;
    struct tls_reader random;
    struct tls_reader session_id;
    uint16_t suite;
    uint8_t compression;
    struct tls_extensions extensions;
};

/* The random value that makes a ServerHello a HelloRetryRequest (RFC 8446, 4.1.3). */
extern const uint8_t tls_hello_retry_random[TLS_HELLO_RANDOM];

/* Writes a ClientHello, header included, with binders of zeros. Gives the length of what comes before the
 * binders. An empty cookie is left out. `pair`: tls_config.pair */
size_t tls_hello_put_client(struct tls_writer *writer, const struct tls_hello_offer *offer,
                            const struct tls_key_pair *pair, struct tls_reader cookie);

/* What a ServerHello of ours says. */
struct tls_hello_answer {
    uint8_t random[TLS_HELLO_RANDOM];
    struct tls_reader session_id; /* the client's */
    uint16_t suite;
    uint16_t group;
    uint16_t psk; /* index of the identity */
    uint8_t share[TLS_KEX_SERVER_MAX];
};

/* Writes a ServerHello, header included. */
void tls_hello_put_server(struct tls_writer *writer, const struct tls_hello_answer *answer);

/* Writes a HelloRetryRequest, header included, that asks for a share of this group. */
void tls_hello_put_retry(struct tls_writer *writer, struct tls_reader session_id, uint16_t suite,
                         uint16_t group);

/* Parses a whole message, its header of four bytes included. A parsed hello points into the message. */
enum tls_reason tls_hello_parse_server(const uint8_t *message, size_t len, struct tls_server_hello *hello);

#endif
