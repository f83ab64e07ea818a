/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "toy_tls.h"

#include <string.h>

/* The Random of a ServerHello that makes it a HelloRetryRequest: SHA-256 of "HelloRetryRequest" (RFC
 * 8446, 4.1.3). */
static void retry_random(uint8_t out[32])
{
    crypto_hash_sha256(out, (const uint8_t *)"HelloRetryRequest", strlen("HelloRetryRequest"));
}

void toy_init(struct toy *toy, bool server, uint16_t suite, const char *identity, const uint8_t *psk,
              size_t psk_len)
{
    memset(toy, 0, sizeof *toy);
    toy->server = server;
    toy->suite = suite;
    toy->psk_len = psk_len;
    memcpy(toy->psk, psk, psk_len);
    toy->identity_len = strlen(identity);
    memcpy(toy->identity, identity, toy->identity_len);
    memset(toy->private_key, server ? 0x5e : 0xc1, sizeof toy->private_key);
    crypto_scalarmult_curve25519_base(toy->public_key, toy->private_key);
    crypto_hash_sha256_init(&toy->transcript);
}

static void key_share_entry(const struct toy *toy, struct toy_buffer *out)
{
    toy_put_number(out, TOY_X25519, 2);
    toy_put_number(out, 32, 2);
    toy_put(out, toy->public_key, 32);
}

void toy_psk_body(struct toy_buffer *body, const char *const identities[], size_t count)
{
    body->len = 0;
    size_t mark = toy_vector_begin(body, 2);
    for (size_t i = 0; i < count; i++) {
        toy_put_number(body, strlen(identities[i]), 2);
        toy_put(body, identities[i], strlen(identities[i]));
        toy_put_number(body, 0, 4);
    }
    toy_vector_end(body, mark, 2);
    mark = toy_vector_begin(body, 2);
    for (size_t i = 0; i < count; i++) {
        static const uint8_t zeros[32];
        toy_put_number(body, sizeof zeros, 1);
        toy_put(body, zeros, sizeof zeros);
    }
    toy_vector_end(body, mark, 2);
}

void toy_client_hello(const struct toy *toy, struct toy_hello *hello)
{
    static const uint8_t versions[] = {2, 3, 4};
    static const uint8_t groups[] = {0, 2, 0, TOY_X25519};
    static const uint8_t modes[] = {1, 1};
    struct toy_buffer body;
    body.len = 0;
    memset(hello, 0, sizeof *hello);
    hello->type = TOY_CLIENT_HELLO;
    hello->legacy_version = 0x0303;
    memset(hello->random, 0x3c, sizeof hello->random);
    hello->suites_len = 2;
    hello->suites[0] = (uint8_t)(toy->suite >> 8);
    hello->suites[1] = (uint8_t)toy->suite;
    hello->compression_len = 1;
    toy_hello_append(hello, TOY_SUPPORTED_VERSIONS, versions, sizeof versions);
    toy_hello_append(hello, TOY_SUPPORTED_GROUPS, groups, sizeof groups);
    size_t mark = toy_vector_begin(&body, 2);
    key_share_entry(toy, &body);
    toy_vector_end(&body, mark, 2);
    toy_hello_append(hello, TOY_KEY_SHARE, body.data, body.len);
    toy_hello_append(hello, TOY_PSK_MODES, modes, sizeof modes);
    char identity[129] = {0};
    memcpy(identity, toy->identity, toy->identity_len);
    toy_psk_body(&body, (const char *const[]){identity}, 1);
    toy_hello_append(hello, TOY_PRE_SHARED_KEY, body.data, body.len);
}

/* What a ServerHello and a HelloRetryRequest have in common. */
static void answer(const struct toy *toy, struct toy_hello *hello)
{
    static const uint8_t version[] = {3, 4};
    memset(hello, 0, sizeof *hello);
    hello->type = TOY_SERVER_HELLO;
    hello->legacy_version = 0x0303;
    hello->session_id_len = toy->peer.session_id_len;
    memcpy(hello->session_id, toy->peer.session_id, sizeof hello->session_id);
    hello->suites_len = 2;
    hello->suites[0] = (uint8_t)(toy->suite >> 8);
    hello->suites[1] = (uint8_t)toy->suite;
    hello->compression_len = 1;
    toy_hello_append(hello, TOY_SUPPORTED_VERSIONS, version, sizeof version);
}

void toy_server_hello(const struct toy *toy, struct toy_hello *hello)
{
    static const uint8_t first[] = {0, 0};
    struct toy_buffer body;
    body.len = 0;
    answer(toy, hello);
    memset(hello->random, 0x5a, sizeof hello->random);
    key_share_entry(toy, &body);
    toy_hello_append(hello, TOY_KEY_SHARE, body.data, body.len);
    toy_hello_append(hello, TOY_PRE_SHARED_KEY, first, sizeof first);
}

void toy_retry_request(const struct toy *toy, struct toy_hello *hello, const void *cookie, size_t cookie_len)
{
    struct toy_buffer body;
    body.len = 0;
    answer(toy, hello);
    retry_random(hello->random);
    if (cookie_len == 0)
        return;
    toy_put_number(&body, cookie_len, 2);
    toy_put(&body, cookie, cookie_len);
    toy_hello_append(hello, TOY_COOKIE, body.data, body.len);
}

void toy_transcript_add(struct toy *toy, const void *message, size_t len)
{
    crypto_hash_sha256_update(&toy->transcript, message, len);
}

void toy_transcript_hash(const struct toy *toy, uint8_t hash[32])
{
    crypto_hash_sha256_state copy = toy->transcript;
    crypto_hash_sha256_final(&copy, hash);
}

void toy_transcript_retry(struct toy *toy)
{
    uint8_t synthetic[4 + 32] = {TOY_MESSAGE_HASH, 0, 0, 32};
    toy_transcript_hash(toy, synthetic + 4);
    crypto_hash_sha256_init(&toy->transcript);
    toy_transcript_add(toy, synthetic, sizeof synthetic);
}
