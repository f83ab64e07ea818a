/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "crypto/hkdf.h"

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
        struct sha256 state = prk->inner;
        if (counter > 1)
            sha256_update(&state, block, sizeof block);
        sha256_update(&state, info, info_len);
        sha256_update(&state, &counter, 1);
        sha256_key_final(prk, &state, block);
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
