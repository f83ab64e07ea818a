/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_TESTS_TOY_TLS_H
#define SOCKSEAL_TESTS_TOY_TLS_H

/*
 * A toy TLS 1.3 peer (RFC 8446) with an external PSK and X25519, client or server, for tests of the protocol
 * engine: an independent implementation over libsodium's primitives and a slow AEGIS, and one that misbehaves
 * on request. It offers steps, not a state machine: a test builds each message, breaks it if it likes, and
 * says when it enters the transcript and when keys change.
 */

#include "toy_codec.h"

#include <sodium.h>

enum { TOY_CHACHA20 = 0x1303, TOY_AEGIS = 0x1307, TOY_AEGIS_X2 = 0xFF52, TOY_AEGIS_X4 = 0xFF54 };

enum { TOY_TAG_LEN = 16 }; /* what sealing adds to a TLSInnerPlaintext */

/* One direction's traffic keys; `suite` 0: records go in the clear. */
struct toy_keys {
    uint16_t suite;
    uint64_t sequence;
    uint8_t secret[32];
    uint8_t key[32];
    uint8_t iv[16];
};

struct toy {
    bool server;
    uint16_t suite; /* the one a client offers first, and a server chooses */
    size_t psk_len;
    uint8_t psk[64];
    size_t identity_len;
    uint8_t identity[128];
    uint8_t private_key[32];
    uint8_t public_key[32];
    struct toy_hello peer; /* the peer's last hello */
    crypto_hash_sha256_state transcript;
    uint8_t early_secret[32];
    uint8_t master_secret[32];
    uint8_t client_handshake[32], server_handshake[32];
    uint8_t client_application[32], server_application[32];
    struct toy_keys tx, rx;
};

/* Prepares a peer with this suite, identity and key; its randomness is fixed. */
void toy_init(struct toy *toy, bool server, uint16_t suite, const char *identity, const uint8_t *psk,
              size_t psk_len);

/* Hellos as they should be: a ClientHello with one identity and a place for its binder, a ServerHello and a
 * HelloRetryRequest that answer toy->peer. */
void toy_client_hello(const struct toy *toy, struct toy_hello *hello);
void toy_server_hello(const struct toy *toy, struct toy_hello *hello);
void toy_retry_request(const struct toy *toy, struct toy_hello *hello, const void *cookie, size_t cookie_len);

/* The body of a pre_shared_key extension of a ClientHello with zeros for the binders; identities[] are
 * strings. */
void toy_psk_body(struct toy_buffer *body, const char *const identities[], size_t count);

/* Fills the `count` binders (32 bytes each) in the tail of an encoded ClientHello, for the toy's PSK. */
void toy_bind(const struct toy *toy, struct toy_buffer *message, size_t count);
void toy_bind_one(const struct toy *toy, struct toy_buffer *message, size_t count, size_t index,
                  const uint8_t *psk, size_t psk_len);

/* The binder that an encoded ClientHello should have at `index` for the toy's PSK. */
void toy_binder(const struct toy *toy, const uint8_t *message, size_t len, size_t count, uint8_t binder[32]);

void toy_transcript_add(struct toy *toy, const void *message, size_t len);

/* Replaces the first ClientHello in the transcript by its message_hash (RFC 8446, 4.4.1). */
void toy_transcript_retry(struct toy *toy);

void toy_transcript_hash(const struct toy *toy, uint8_t hash[32]);

/* After the ServerHello is in the transcript: derives the handshake secrets. After the server's Finished is:
 * the application secrets. Neither touches tx and rx: see toy_keys_set(). */
void toy_handshake_secrets(struct toy *toy, const uint8_t peer_share[32]);
void toy_application_secrets(struct toy *toy);

/* The Finished of either side over the transcript so far. */
void toy_finished(const struct toy *toy, bool of_server, struct toy_buffer *message);

void toy_expand_label(const uint8_t secret[32], const char *label, const void *context, size_t context_len,
                      uint8_t *out, size_t len);
void toy_keys_set(struct toy_keys *keys, uint16_t suite, const uint8_t secret[32]);

/* The next generation of traffic keys (RFC 8446, 7.2). */
void toy_keys_update(struct toy_keys *keys);

/* Appends a record with these keys: `content`, the type, `padding` zeros. toy_seal_inner() takes the whole
 * TLSInnerPlaintext, however odd. */
void toy_seal(struct toy_keys *keys, uint8_t type, const void *content, size_t len, size_t padding,
              struct toy_buffer *out);
void toy_seal_inner(struct toy_keys *keys, const void *inner, size_t len, struct toy_buffer *out);

/* Opens the whole record at `record`: content without padding, and its type. False if it does not
 * authenticate. */
bool toy_open(struct toy_keys *keys, const uint8_t *record, size_t len, uint8_t *type,
              struct toy_buffer *content);

#endif
