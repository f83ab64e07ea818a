/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_TLS_CALL_H
#define SOCKSEAL_TLS_CALL_H

/*
 * What one call of the handshake works on: the session, the state of the handshake, the configuration and
 * the output. The lowest layer of the handshake; the state machine is in tls_handshake.h.
 */

#include "crypto/sha256.h"
#include "tls/tls.h"
#include "tls/tls_hello.h"
#include "tls/tls_hello_reader.h"
#include "tls/tls_message.h"
#include "tls/tls_schedule.h"

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

/* What a client keeps during its handshake. */
struct tls_client_state {
    struct tls_hello_offer offer;
    uint32_t unsent, unsent_end; /* the part of stored[] that is a ClientHello and is still to be sent */
};

/* What a server keeps during its handshake, besides the hello that it reads. */
struct tls_server_state {
    struct tls_schedule_psk psk; /* of the identity that it chose, or that stands in for it */
    bool psk_known;              /* the client offered a configured identity */
    uint32_t early_left;         /* bytes of early data that are still skipped */
    uint8_t covered[32];         /* transcript hash over what the binders cover */
    uint8_t first_hello[32];     /* hash over what the second ClientHello must repeat */
    uint8_t next_rx[32];         /* the client's application traffic secret, for after its Finished */
};

/* One handshake message is stored whole, or a ClientHello is read as it comes. The longest that a client
 * needs room for is a second ClientHello with a cookie of 16 KiB and TLS_OFFERED_PSKS_MAX identities. */
enum { TLS_STORED_MAX = TLS_HANDSHAKE_SIZE - 2368 };

/* The real layout of struct tls_handshake. */
struct tls_handshake_data {
    struct sha256 transcript;
    struct sha256_key master_secret; /* from the ServerHello until the application traffic secrets */
    uint8_t client_random[TLS_HELLO_RANDOM];
    uint16_t retry_suite;               /* the suite that a HelloRetryRequest chose, or TLS_SUITE_NONE */
    uint16_t retry_group;               /* server: the group that it asked for */
    uint8_t ignored;                    /* records so far that were to be ignored */
    uint16_t fragments;                 /* records so far that did not complete a message */
    uint8_t header[TLS_MESSAGE_HEADER]; /* of the message under way */
    uint32_t message_len;               /* bytes of it so far, header included; 0: none is under way */
    uint32_t used;                      /* bytes of `stored` or `hello` that hold something */
    union {
        struct tls_client_state client;
        struct tls_server_state server;
    };
    union {
        uint8_t stored[TLS_STORED_MAX];
        struct tls_hello_reader hello;
    };
};

struct tls_call {
    struct tls_session *session;
    struct tls_handshake_data *handshake;
    const struct tls_config *config;
    struct tls_buffer *out;
};

/* The suites of a configuration, or those that suit the processor if it has none. */
const uint16_t *tls_call_suites(const struct tls_config *config, size_t *count);

/* Makes the memory ready for a handshake. */
void tls_call_reset(struct tls_handshake *handshake);

/* Whether the counts that a handshake in this state keeps are within their bounds. The memory may be shared
 * with processes that are not to be trusted. */
bool tls_call_valid(const struct tls_handshake_data *handshake, enum tls_state state);

/* Notes that this many bytes of `stored` or `hello` hold something. */
void tls_call_use(struct tls_handshake_data *handshake, size_t len);

/* Wipes what holds something, secrets and all. */
void tls_call_wipe(struct tls_handshake *handshake);

/* The state of a handshake in the memory that the caller of the engine lends. */
struct tls_handshake_data *tls_call_data(struct tls_handshake *handshake);

/* Fresh random bytes from the configured source, or TLS_REASON_NO_RANDOM. */
enum tls_reason tls_call_random(const struct tls_call *call, uint8_t *out, size_t len)
    __attribute__((warn_unused_result));

/* Writes one line of the key log, if there is one. */
void tls_call_keylog(const struct tls_call *call, const char *label, const uint8_t secret[static 32]);

#endif
