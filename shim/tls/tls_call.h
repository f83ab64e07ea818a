/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_TLS_CALL_H
#define SOCKSEAL_TLS_CALL_H

/*
 * What one call of the handshake works on: the session, the state of the handshake, the configuration and
 * the output. The lowest layer of the handshake; the state machine is in tls_handshake.h.
 */

#include "crypto/sha256.h"
#include "crypto/x25519.h"
#include "tls/tls.h"
#include "tls/tls_hello.h"

/* tls_session.state. Zero is no state, so that a session that was never begun has none. */
enum tls_state {
    TLS_STATE_NONE,
    TLS_STATE_WAIT_SERVER_HELLO,
    TLS_STATE_WAIT_SERVER_HELLO_2, /* after a HelloRetryRequest */
    TLS_STATE_WAIT_ENCRYPTED_EXTENSIONS,
    TLS_STATE_WAIT_SERVER_FINISHED,
    TLS_STATE_WAIT_CLIENT_HELLO,
    TLS_STATE_WAIT_CLIENT_HELLO_2, /* after our HelloRetryRequest */
    TLS_STATE_WAIT_CLIENT_FINISHED,
    TLS_STATE_COMPLETE,
    TLS_STATE_COUNT
};

/* The real layout of struct tls_handshake. */
struct tls_handshake_data {
    struct sha256 transcript;
    uint8_t client_random[TLS_HELLO_RANDOM];
    uint8_t ephemeral[X25519_LEN];   /* client: our X25519 secret */
    struct sha256_key master_secret; /* from the ServerHello until the application traffic secrets */
    uint8_t next_rx[32];     /* server: the client's application traffic secret, for after its Finished */
    uint8_t first_hello[32]; /* server: hash over what the second ClientHello must repeat */
    uint16_t retry_suite;    /* the suite that a HelloRetryRequest chose, or TLS_SUITE_NONE */
    uint32_t early_left;     /* server: bytes of early data that are still skipped */
    uint8_t ignored;         /* records so far that were to be ignored */
    size_t message_len;      /* bytes in `message` so far */
    struct tls_hello_offer offer; /* client */
    uint8_t message[TLS_HANDSHAKE_MESSAGE_MAX];
};

struct tls_call {
    struct tls_session *session;
    struct tls_handshake_data *handshake;
    const struct tls_config *config;
    struct tls_buffer *out;
};

/* Makes the memory ready for a handshake. */
void tls_call_reset(struct tls_handshake *handshake);

/* Wipes it, secrets and all. */
void tls_call_wipe(struct tls_handshake *handshake);

/* The state of a handshake in the memory that the caller of the engine lends. */
struct tls_handshake_data *tls_call_data(struct tls_handshake *handshake);

/* Fresh random bytes from the configured source. */
void tls_call_random(const struct tls_call *call, uint8_t *out, size_t len);

/* Writes one line of the key log, if there is one. */
void tls_call_keylog(const struct tls_call *call, const char *label, const uint8_t secret[static 32]);

#endif
