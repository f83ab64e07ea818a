/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_TLS_HANDSHAKE_H
#define SOCKSEAL_TLS_HANDSHAKE_H

/*
 * The handshake's state machine: which message may come when, reassembly, transcript. What a message means is
 * in tls_client.c and tls_server.c.
 *
 *     client                                        server
 *     WAIT_SERVER_HELLO --HRR--> WAIT_SERVER_HELLO_2    WAIT_CLIENT_HELLO --HRR--> WAIT_CLIENT_HELLO_2
 *         |                          |                      |                          |
 *         +------ ServerHello -------+                      +------- ClientHello ------+
 *                     |                                                 |
 *           WAIT_ENCRYPTED_EXTENSIONS                              WAIT_FINISHED
 *                     |                                                 |
 *              WAIT_SERVER_FINISHED                                  COMPLETE
 *                     |
 *                  COMPLETE
 */

#include "crypto/sha256.h"
#include "crypto/x25519.h"
#include "tls/tls.h"
#include "tls/tls_failure.h"
#include "tls/tls_hello.h"
#include "tls/tls_schedule.h"

/* HandshakeType (RFC 8446, 4). */
enum tls_message_type {
    TLS_CLIENT_HELLO = 1,
    TLS_SERVER_HELLO = 2,
    TLS_NEW_SESSION_TICKET = 4,
    TLS_END_OF_EARLY_DATA = 5,
    TLS_ENCRYPTED_EXTENSIONS = 8,
    TLS_CERTIFICATE = 11,
    TLS_CERTIFICATE_REQUEST = 13,
    TLS_CERTIFICATE_VERIFY = 15,
    TLS_FINISHED = 20,
    TLS_KEY_UPDATE = 24,
    TLS_MESSAGE_HASH = 254,
};

enum { TLS_MESSAGE_HEADER = 4, TLS_FINISHED_LEN = 36 };

/* tls_session.state. Zero is no state, so that a session that was never begun is none. */
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

/* One call of the engine: what the handlers need. */
struct tls_call {
    struct tls_session *session;
    struct tls_handshake_data *handshake;
    const struct tls_config *config;
    struct tls_buffer *out;
};

/* Whether a message of this type is the one that this state waits for. */
bool tls_handshake_expects(enum tls_state state, uint8_t message_type);

/* Makes the memory ready for a handshake. */
void tls_handshake_begin(struct tls_handshake *handshake);

/* Whether a configured PSK keeps to its limits: the identity's length, and 128 bits of key (RFC 9257, 4). */
bool tls_handshake_psk_usable(const struct tls_psk *psk);

/* What follows from a configured PSK, out of its memo if it is there. */
void tls_handshake_prepare_psk(const struct tls_config *config, const struct tls_psk *psk,
                               struct tls_schedule_psk *prepared);

struct tls_handshake_data *tls_handshake_data(struct tls_handshake *handshake);

/* Fresh random bytes from the configured source. */
void tls_handshake_random(const struct tls_call *call, uint8_t *out, size_t len);

/* One line of the key log, if there is one. */
void tls_handshake_keylog(const struct tls_call *call, const char *label, const uint8_t secret[static 32]);

/* Adds a message to the transcript. */
void tls_handshake_hash(const struct tls_call *call, const uint8_t *message, size_t len);

/* The transcript hash so far. */
void tls_handshake_transcript(const struct tls_call *call, uint8_t hash[static 32]);

/* Replaces the transcript, which holds ClientHello1 alone, by its message_hash (RFC 8446, 4.4.1). */
void tls_handshake_restart_transcript(const struct tls_call *call);

/* With the ServerHello in the transcript: both handshake traffic secrets, from the PSK and the X25519 result,
 * and the Master Secret, which is kept. */
enum tls_reason tls_handshake_derive(const struct tls_call *call, const struct tls_schedule_psk *psk,
                                     const uint8_t ephemeral[static X25519_LEN],
                                     const uint8_t peer[static X25519_LEN], uint8_t client[static 32],
                                     uint8_t server[static 32]);

/* With the server's Finished in the transcript: both application traffic secrets. The Master Secret is used
 * up. */
void tls_handshake_derive_application(const struct tls_call *call, uint8_t client[static 32],
                                      uint8_t server[static 32]);

/* Writes a Finished for the transcript so far, under the sender's handshake traffic secret, and adds it. */
void tls_handshake_put_finished(const struct tls_call *call, const uint8_t secret[static 32],
                                uint8_t message[static TLS_FINISHED_LEN]);

/* Verifies the peer's Finished, under the secret of rx, and adds it to the transcript. */
enum tls_reason tls_handshake_verify_finished(const struct tls_call *call, const uint8_t *message,
                                              size_t len);

#endif
