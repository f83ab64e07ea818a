/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "crypto/hkdf.h"

#include <sodium.h>
#include <string.h>

#include "crypto/secret.h"
#include "crypto/sha256.h"

void hkdf_extract(const uint8_t *salt, size_t salt_len, const uint8_t *ikm, size_t ikm_len,
                  uint8_t prk[static HKDF_PRK_LEN])
{
    /* HMAC pads a short key with zeros, so an empty salt is the 32 zero bytes that RFC 5869, 2.2 asks for. */
    sha256_hmac(salt, salt_len, ikm, ikm_len, prk);
}

bool hkdf_expand_prepared(const struct sha256_key *prk, const uint8_t *info, size_t info_len, uint8_t *out,
                          size_t out_len)
{
    uint8_t block[SHA256_LEN];
    if (out_len > HKDF_OUT_MAX)
        return false;
    for (uint8_t counter = 1; out_len > 0; counter++) {
        struct sha256_key copy = *prk;
        crypto_auth_hmacsha256_state *state = (crypto_auth_hmacsha256_state *)(void *)&copy;
        if (counter > 1)
            crypto_auth_hmacsha256_update(state, block, sizeof block);
        crypto_auth_hmacsha256_update(state, info, info_len);
        crypto_auth_hmacsha256_update(state, &counter, 1);
        crypto_auth_hmacsha256_final(state, block);
        secret_wipe(&copy, sizeof copy);
        size_t take = out_len < sizeof block ? out_len : sizeof block;
        memcpy(out, block, take);
        out += take;
        out_len -= take;
    }
    secret_wipe(block, sizeof block);
    return true;
}

bool hkdf_expand(const uint8_t prk[static HKDF_PRK_LEN], const uint8_t *info, size_t info_len, uint8_t *out,
                 size_t out_len)
{
    struct sha256_key prepared;
    sha256_key_init(&prepared, prk, HKDF_PRK_LEN);
    bool done = hkdf_expand_prepared(&prepared, info, info_len, out, out_len);
    secret_wipe(&prepared, sizeof prepared);
    return done;
}
