/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "crypto/sha256.h"

#include <sodium.h>
#include <string.h>

#include "crypto/secret.h"
#include "crypto/sha256_x86.h"

_Static_assert(sizeof(crypto_hash_sha256_state) <= sizeof(struct sha256),
               "struct sha256 holds libsodium's state");
_Static_assert(_Alignof(crypto_hash_sha256_state) <= _Alignof(struct sha256), "and is aligned for it");

enum { BLOCK = 64, LENGTH = 8 };

/* Libsodium's state in both cases; its `count` is ours too, in bits. */
static crypto_hash_sha256_state *inner(struct sha256 *state)
{
    return (crypto_hash_sha256_state *)(void *)state;
}

void sha256_init(struct sha256 *state)
{
    crypto_hash_sha256_init(inner(state));
}

void sha256_update(struct sha256 *state, const uint8_t *data, size_t len)
{
    crypto_hash_sha256_state *hash = inner(state);
    if (!sha256_x86_usable()) {
        crypto_hash_sha256_update(hash, data, len);
        return;
    }
    size_t have = hash->count / 8 % BLOCK, take = BLOCK - have;
    hash->count += (uint64_t)len * 8;
    if (have > 0 && len >= take) {
        memcpy(hash->buf + have, data, take);
        sha256_x86_blocks(hash->state, hash->buf, 1);
        data += take;
        len -= take;
        have = 0;
    }
    if (len >= BLOCK) {
        sha256_x86_blocks(hash->state, data, len / BLOCK);
        data += len / BLOCK * BLOCK;
        len %= BLOCK;
    }
    if (len > 0)
        memcpy(hash->buf + have, data, len);
}

static void put_u32(uint8_t *out, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        out[i] = (uint8_t)(value >> (24 - 8 * i));
}

void sha256_final(struct sha256 *state, uint8_t out[static SHA256_LEN])
{
    static const uint8_t padding[BLOCK] = {0x80}; /* FIPS 180-4, 5.1.1 */
    crypto_hash_sha256_state *hash = inner(state);
    if (!sha256_x86_usable()) {
        crypto_hash_sha256_final(hash, out);
        return;
    }
    uint8_t bits[LENGTH];
    put_u32(bits, (uint32_t)(hash->count >> 32));
    put_u32(bits + 4, (uint32_t)hash->count);
    size_t have = hash->count / 8 % BLOCK;
    const size_t end = have < BLOCK - LENGTH ? BLOCK : 2 * BLOCK;
    sha256_update(state, padding, end - LENGTH - have);
    sha256_update(state, bits, sizeof bits);
    for (size_t i = 0; i < 8; i++)
        put_u32(out + 4 * i, hash->state[i]);
    secret_wipe(hash, sizeof *hash);
}

void sha256_hmac_init(struct sha256_hmac *state, const uint8_t *key, size_t key_len)
{
    uint8_t block[BLOCK] = {0};
    if (key_len > BLOCK) { /* RFC 2104, 2 */
        sha256_init(&state->inner);
        sha256_update(&state->inner, key, key_len);
        sha256_final(&state->inner, block);
    } else if (key_len > 0) {
        memcpy(block, key, key_len);
    }
    for (int i = 0; i < BLOCK; i++)
        block[i] ^= 0x36;
    sha256_init(&state->inner);
    sha256_update(&state->inner, block, BLOCK);
    for (int i = 0; i < BLOCK; i++)
        block[i] ^= 0x36 ^ 0x5c;
    sha256_init(&state->outer);
    sha256_update(&state->outer, block, BLOCK);
    secret_wipe(block, sizeof block);
}

void sha256_hmac_update(struct sha256_hmac *state, const uint8_t *data, size_t len)
{
    sha256_update(&state->inner, data, len);
}

void sha256_hmac_final(struct sha256_hmac *state, uint8_t out[static SHA256_LEN])
{
    uint8_t hash[SHA256_LEN];
    sha256_final(&state->inner, hash);
    sha256_update(&state->outer, hash, sizeof hash);
    sha256_final(&state->outer, out);
    secret_wipe(hash, sizeof hash);
    secret_wipe(state, sizeof *state);
}

void sha256_hmac(const uint8_t *key, size_t key_len, const uint8_t *data, size_t len,
                 uint8_t out[static SHA256_LEN])
{
    struct sha256_hmac state;
    sha256_hmac_init(&state, key, key_len);
    sha256_hmac_update(&state, data, len);
    sha256_hmac_final(&state, out);
}
