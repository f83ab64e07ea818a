/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_SHA256_H
#define SOCKSEAL_SHA256_H

/* SHA-256 (FIPS 180-4) and HMAC-SHA-256 (RFC 2104): by the processor's instructions where it has them
 * (sha256/), else libsodium's. No allocation; the state is a value that may be copied. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SHA256_LEN = 32 };

/* The same as libsodium's crypto_hash_sha256_state, so that either code can go on with it. */
struct sha256 {
    uint32_t h[8];
    uint64_t bits;    /* hashed so far */
    uint8_t rest[64]; /* what does not fill a block yet */
};

/* Set by tests: behave as on a processor without instructions for it. */
extern bool sha256_pretend_no_instructions;

void sha256_init(struct sha256 *state);
void sha256_update(struct sha256 *state, const uint8_t *data, size_t len);

/* Ends the hash; the state is wiped. To go on hashing afterwards, finish a copy. */
void sha256_final(struct sha256 *state, uint8_t out[static SHA256_LEN]);

/* HMAC of one piece of data. The key may have any length. */
void sha256_hmac(const uint8_t *key, size_t key_len, const uint8_t *data, size_t len,
                 uint8_t out[static SHA256_LEN]);

/* An HMAC key with its two pads hashed already, which is half of the work of a short HMAC: for a key that is
 * used several times. As secret as the key; a value that may be copied. */
struct sha256_key {
    struct sha256 inner, outer;
};

void sha256_key_init(struct sha256_key *prepared, const uint8_t *key, size_t key_len);
void sha256_key_hmac(const struct sha256_key *prepared, const uint8_t *data, size_t len,
                     uint8_t out[static SHA256_LEN]);

/* The same of data in pieces: a copy of prepared->inner is updated with them, and used up here. */
void sha256_key_final(const struct sha256_key *prepared, struct sha256 *inner,
                      uint8_t out[static SHA256_LEN]);

#endif
