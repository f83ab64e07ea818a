/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_AEAD_H
#define SOCKSEAL_AEAD_H

/*
 * The AEAD of each TLS suite, over libsodium. No allocation, no state: a `const struct aead` is found by the
 * suite's code point at each use, so that nothing that is kept holds a pointer.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { AEAD_KEY_MAX = 32, AEAD_IV_MAX = 16, AEAD_TAG_MAX = 32 };

/* The suites' code points on the wire (tls/tls.h: enum tls_suite). */
enum { AEAD_CHACHA20_POLY1305 = 0x1303, AEAD_AEGIS_128L = 0xFF5E };

struct aead {
    uint16_t suite; /* the code point on the wire */
    uint8_t key_len;
    uint8_t iv_len; /* of the nonce too */
    uint8_t tag_len;
    uint64_t records_max; /* how many records one key may protect (RFC 8446, 5.5) */
    bool (*seal)(const uint8_t *key, const uint8_t *nonce, const uint8_t *aad, size_t aad_len,
                 const uint8_t *in, size_t len, uint8_t *out);
    bool (*open)(const uint8_t *key, const uint8_t *nonce, const uint8_t *aad, size_t aad_len,
                 const uint8_t *in, size_t len, uint8_t *out);
};

/* Set by tests: behave as on a processor without AES instructions. */
extern bool aead_pretend_no_aes;

extern const struct aead aead_chacha20;
#ifndef SOCKSEAL_NO_AEGIS
extern const struct aead aead_aegis;
#endif

/* The AEAD of a suite, or NULL if this build does not have it. */
static inline const struct aead *aead_of(uint16_t suite)
{
#ifndef SOCKSEAL_NO_AEGIS
    if (suite == AEAD_AEGIS_128L)
        return &aead_aegis;
#endif
    return suite == AEAD_CHACHA20_POLY1305 ? &aead_chacha20 : NULL;
}

/* Whether to offer and to choose the suite here: compiled in, and fast on this processor. secret_init() must
 * have run. */
bool aead_usable(uint16_t suite);

/* Writes len + tag_len bytes to `out`, which is `in` or does not overlap it. False if libsodium refuses. */
static inline bool aead_seal(const struct aead *aead, const uint8_t *key, const uint8_t *nonce,
                             const uint8_t *aad, size_t aad_len, const uint8_t *in, size_t len, uint8_t *out)
{
    return aead->seal(key, nonce, aad, aad_len, in, len, out);
}

/* Opens `len` bytes, tag included (at least tag_len), into len - tag_len bytes at `out`, which is `in` or
 * does not overlap it. False, with zeros in `out`, if they do not authenticate. */
static inline bool aead_open(const struct aead *aead, const uint8_t *key, const uint8_t *nonce,
                             const uint8_t *aad, size_t aad_len, const uint8_t *in, size_t len, uint8_t *out)
{
    return aead->open(key, nonce, aad, aad_len, in, len, out);
}

#endif
