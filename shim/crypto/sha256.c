/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "crypto/sha256.h"

#include <sodium.h>

#include "crypto/secret.h"

_Static_assert(sizeof(crypto_hash_sha256_state) <= sizeof(struct sha256),
               "struct sha256 holds libsodium's state");
_Static_assert(_Alignof(crypto_hash_sha256_state) <= _Alignof(struct sha256), "and is aligned for it");
_Static_assert(sizeof(crypto_auth_hmacsha256_state) <= sizeof(struct sha256_key),
               "so does struct sha256_key");
_Static_assert(_Alignof(crypto_auth_hmacsha256_state) <= _Alignof(struct sha256_key),
               "and is aligned for it");

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
    crypto_hash_sha256_update(inner(state), data, len);
}

void sha256_final(struct sha256 *state, uint8_t out[static SHA256_LEN])
{
    crypto_hash_sha256_final(inner(state), out);
}

void sha256_key_init(struct sha256_key *prepared, const uint8_t *key, size_t key_len)
{
    crypto_auth_hmacsha256_init((crypto_auth_hmacsha256_state *)(void *)prepared, key, key_len);
}

void sha256_key_hmac(const struct sha256_key *prepared, const uint8_t *data, size_t len,
                     uint8_t out[static SHA256_LEN])
{
    struct sha256_key copy = *prepared;
    crypto_auth_hmacsha256_state *state = (crypto_auth_hmacsha256_state *)(void *)&copy;
    crypto_auth_hmacsha256_update(state, data, len);
    crypto_auth_hmacsha256_final(state, out);
    secret_wipe(&copy, sizeof copy);
}

void sha256_hmac(const uint8_t *key, size_t key_len, const uint8_t *data, size_t len,
                 uint8_t out[static SHA256_LEN])
{
    struct sha256_key prepared;
    sha256_key_init(&prepared, key, key_len);
    sha256_key_hmac(&prepared, data, len, out);
    secret_wipe(&prepared, sizeof prepared);
}
