/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "crypto/aead.h"

#include <sodium.h>
#include <string.h>

bool aead_pretend_no_aes;

static bool chacha20_seal(const uint8_t *key, const uint8_t *nonce, const uint8_t *aad, size_t aad_len,
                          const uint8_t *in, size_t len, uint8_t *out)
{
    return crypto_aead_chacha20poly1305_ietf_encrypt(out, NULL, in, len, aad, aad_len, NULL, nonce, key) == 0;
}

static bool chacha20_open(const uint8_t *key, const uint8_t *nonce, const uint8_t *aad, size_t aad_len,
                          const uint8_t *in, size_t len, uint8_t *out)
{
    const size_t tag_len = crypto_aead_chacha20poly1305_ietf_ABYTES;
    if (len < tag_len)
        return false;
    if (crypto_aead_chacha20poly1305_ietf_decrypt(out, NULL, NULL, in, len, aad, aad_len, nonce, key) == 0)
        return true;
    memset(out, 0, len - tag_len);
    return false;
}

/* RFC 8439. RFC 8446, 5.5 sets no limit on records below the sequence number's own. */
const struct aead aead_chacha20 = {
    .suite = AEAD_CHACHA20_POLY1305,
    .key_len = crypto_aead_chacha20poly1305_ietf_KEYBYTES,
    .iv_len = crypto_aead_chacha20poly1305_ietf_NPUBBYTES,
    .tag_len = crypto_aead_chacha20poly1305_ietf_ABYTES,
    .records_max = UINT64_MAX,
    .seal = chacha20_seal,
    .open = chacha20_open,
};

#ifndef SOCKSEAL_NO_AEGIS

static bool aegis_seal(const uint8_t *key, const uint8_t *nonce, const uint8_t *aad, size_t aad_len,
                       const uint8_t *in, size_t len, uint8_t *out)
{
    return crypto_aead_aegis128l_encrypt_detached(out, out + len, NULL, in, len, aad, aad_len, NULL, nonce,
                                                  key) == 0;
}

static bool aegis_open(const uint8_t *key, const uint8_t *nonce, const uint8_t *aad, size_t aad_len,
                       const uint8_t *in, size_t len, uint8_t *out)
{
    const size_t tag_len = crypto_aead_aegis128l_ABYTES;
    if (len < tag_len)
        return false;
    len -= tag_len;
    if (crypto_aead_aegis128l_decrypt_detached(out, NULL, in, len, in + len, aad, aad_len, nonce, key) == 0)
        return true;
    memset(out, 0, len);
    return false;
}

/* RFC 10032 with the 256-bit tag; keys are renewed before 2^48 records. */
const struct aead aead_aegis = {
    .suite = AEAD_AEGIS_128L,
    .key_len = crypto_aead_aegis128l_KEYBYTES,
    .iv_len = crypto_aead_aegis128l_NPUBBYTES,
    .tag_len = crypto_aead_aegis128l_ABYTES,
    .records_max = UINT64_C(1) << 48,
    .seal = aegis_seal,
    .open = aegis_open,
};

/* libsodium's portable AEGIS is slower than ChaCha20 and not constant in time everywhere. */
static bool has_aes(void)
{
    return !aead_pretend_no_aes && (sodium_runtime_has_aesni() != 0 || sodium_runtime_has_armcrypto() != 0);
}

#endif

bool aead_usable(uint16_t suite)
{
    if (aead_of(suite) == NULL)
        return false;
#ifndef SOCKSEAL_NO_AEGIS
    if (suite == AEAD_AEGIS_128L)
        return has_aes();
#endif
    return true;
}
