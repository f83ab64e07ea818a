/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "crypto/sha256.h"

#include <endian.h>
#include <sodium.h>
#include <string.h>

#include "crypto/secret.h"
#include "crypto/sha256/sha256_blocks.h"

_Static_assert(sizeof(crypto_hash_sha256_state) == sizeof(struct sha256) &&
                   offsetof(crypto_hash_sha256_state, state) == offsetof(struct sha256, h) &&
                   offsetof(crypto_hash_sha256_state, count) == offsetof(struct sha256, bits) &&
                   offsetof(crypto_hash_sha256_state, buf) == offsetof(struct sha256, rest),
               "struct sha256 is libsodium's state");

static crypto_hash_sha256_state *sodium_state(struct sha256 *state)
{
    return (crypto_hash_sha256_state *)(void *)state;
}

void sha256_init(struct sha256 *state)
{
    crypto_hash_sha256_init(sodium_state(state));
}

static size_t rest_len(const struct sha256 *state)
{
    return (size_t)(state->bits / 8) % SHA256_BLOCK;
}

void sha256_update(struct sha256 *state, const uint8_t *data, size_t len)
{
    sha256_blocks *blocks = sha256_cpu();
    if (!blocks) {
        crypto_hash_sha256_update(sodium_state(state), data, len);
        return;
    }
    size_t have = rest_len(state);
    state->bits += (uint64_t)len * 8;
    if (have > 0) {
        const size_t step = len < SHA256_BLOCK - have ? len : SHA256_BLOCK - have;
        if (step > 0)
            memcpy(state->rest + have, data, step);
        if (have + step < SHA256_BLOCK)
            return;
        blocks(state->h, state->rest, 1);
        data += step;
        len -= step;
    }
    if (len >= SHA256_BLOCK)
        blocks(state->h, data, len / SHA256_BLOCK);
    if (len % SHA256_BLOCK > 0)
        memcpy(state->rest, data + len / SHA256_BLOCK * SHA256_BLOCK, len % SHA256_BLOCK);
}

/* Padding and length (FIPS 180-4, 5.1.1). */
static void end(struct sha256 *state, sha256_blocks *blocks)
{
    const uint64_t bits = htobe64(state->bits);
    const size_t length_at = SHA256_BLOCK - sizeof bits;
    size_t have = rest_len(state);
    state->rest[have++] = 0x80;
    memset(state->rest + have, 0, SHA256_BLOCK - have);
    if (have > length_at) {
        blocks(state->h, state->rest, 1);
        memset(state->rest, 0, SHA256_BLOCK);
    }
    memcpy(state->rest + length_at, &bits, sizeof bits);
    blocks(state->h, state->rest, 1);
}

void sha256_final(struct sha256 *state, uint8_t out[static SHA256_LEN])
{
    sha256_blocks *blocks = sha256_cpu();
    if (!blocks) {
        crypto_hash_sha256_final(sodium_state(state), out);
        return;
    }
    end(state, blocks);
    for (size_t i = 0; i < SHA256_WORDS; i++) {
        const uint32_t word = htobe32(state->h[i]);
        memcpy(out + i * sizeof word, &word, sizeof word);
    }
    secret_wipe(state, sizeof *state);
}

/* Begins with the key xor a pad (RFC 2104, 2). */
static void begin_padded(struct sha256 *state, const uint8_t key[static SHA256_BLOCK], uint8_t pad)
{
    uint8_t padded[SHA256_BLOCK];
    for (size_t i = 0; i < sizeof padded; i++)
        padded[i] = key[i] ^ pad;
    sha256_init(state);
    sha256_update(state, padded, sizeof padded);
    secret_wipe(padded, sizeof padded);
}

void sha256_key_init(struct sha256_key *prepared, const uint8_t *key, size_t key_len)
{
    enum { INNER = 0x36, OUTER = 0x5c };
    uint8_t block[SHA256_BLOCK] = {0};
    if (key_len > sizeof block) {
        struct sha256 state;
        sha256_init(&state);
        sha256_update(&state, key, key_len);
        sha256_final(&state, block);
    } else if (key_len > 0) {
        memcpy(block, key, key_len);
    }
    begin_padded(&prepared->inner, block, INNER);
    begin_padded(&prepared->outer, block, OUTER);
    secret_wipe(block, sizeof block);
}

void sha256_key_final(const struct sha256_key *prepared, struct sha256 *inner, uint8_t out[static SHA256_LEN])
{
    struct sha256 outer = prepared->outer;
    uint8_t hash[SHA256_LEN];
    sha256_final(inner, hash);
    sha256_update(&outer, hash, sizeof hash);
    sha256_final(&outer, out);
    secret_wipe(hash, sizeof hash);
}

void sha256_key_hmac(const struct sha256_key *prepared, const uint8_t *data, size_t len,
                     uint8_t out[static SHA256_LEN])
{
    struct sha256 inner = prepared->inner;
    sha256_update(&inner, data, len);
    sha256_key_final(prepared, &inner, out);
}

void sha256_hmac(const uint8_t *key, size_t key_len, const uint8_t *data, size_t len,
                 uint8_t out[static SHA256_LEN])
{
    struct sha256_key prepared;
    sha256_key_init(&prepared, key, key_len);
    sha256_key_hmac(&prepared, data, len, out);
    secret_wipe(&prepared, sizeof prepared);
}
