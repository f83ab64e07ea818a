/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_AEAD_H
#define SOCKSEAL_AEAD_H

/*
 * The AEAD of each TLS suite. No allocation, no state: a `const struct aead` is found by the suite's code
 * point at each use, so that nothing that is kept holds a pointer.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/aead_parts.h"

enum { AEAD_KEY_MAX = 32, AEAD_IV_MAX = 16, AEAD_TAG_LEN = 16 };

/* The suites' code points on the wire (tls/tls.h: enum tls_suite). */
enum {
    AEAD_CHACHA20_POLY1305 = 0x1303,
    AEAD_AEGIS_128L = 0x1307,
    AEAD_AEGIS_128X2 = 0xFF52,
    AEAD_AEGIS_128X4 = 0xFF54,
};

struct aead {
    uint16_t suite; /* the code point on the wire */
    uint8_t key_len;
    uint8_t iv_len;       /* of the nonce too */
    uint64_t records_max; /* how many records one key may protect (RFC 8446, 5.5) */
    /* Encrypts, and writes the tag of AEAD_TAG_LEN bytes. False, with nothing written, if it cannot. */
    bool (*seal)(const struct aead_message *message, uint8_t *tag);
    /* Decrypts. False, with zeros in all of the output, if the tag does not fit. */
    bool (*open)(const struct aead_message *message, const uint8_t *tag);
};

/* Set by tests: behave as on a processor without AES instructions. */
extern bool aead_pretend_no_aes;

/* The AEAD of a suite, or NULL if there is none. */
const struct aead *aead_of(uint16_t suite);

/* The same, but for an unknown suite one that seals and opens nothing, and may protect no record: for a suite
 * that stands in memory which other processes can write to. */
const struct aead *aead_or_none(uint16_t suite);

/* Whether to offer and to choose the suite here: known, and with AES instructions where it needs them.
 * secret_init() must have run. */
bool aead_usable(uint16_t suite);

/* The suites to offer and to choose from where the user says nothing, the best for this processor first:
 * *count of them. AEGIS-128X is among them only where its lanes fit one register. */
const uint16_t *aead_default_suites(size_t *count);

/* The same as aead->seal for a message of one part, with the tag behind it: writes len + AEAD_TAG_LEN bytes
 * to `out`, which is `in` or does not overlap it. */
bool aead_seal(const struct aead *aead, const uint8_t *key, const uint8_t *nonce, const uint8_t *ad,
               size_t ad_len, const uint8_t *in, size_t len, uint8_t *out);

/* Opens `len` bytes, tag included, into len - AEAD_TAG_LEN bytes at `out`, which is `in` or does not overlap
 * it. False, with zeros in `out`, if they do not authenticate. */
bool aead_open(const struct aead *aead, const uint8_t *key, const uint8_t *nonce, const uint8_t *ad,
               size_t ad_len, const uint8_t *in, size_t len, uint8_t *out);

#endif
