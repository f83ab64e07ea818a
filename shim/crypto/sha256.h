/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_SHA256_H
#define SOCKSEAL_SHA256_H

/* SHA-256 (FIPS 180-4) and HMAC-SHA-256 (RFC 2104). No allocation; the state is a value that may be copied.
 */

#include <stddef.h>
#include <stdint.h>

enum { SHA256_LEN = 32 };

struct sha256 {
    uint64_t opaque[13];
};

void sha256_init(struct sha256 *state);
void sha256_update(struct sha256 *state, const uint8_t *data, size_t len);

/* Ends the hash; the state is used up. To go on hashing afterwards, finish a copy. */
void sha256_final(struct sha256 *state, uint8_t out[static SHA256_LEN]);

/* HMAC of one piece of data. The key may have any length. */
void sha256_hmac(const uint8_t *key, size_t key_len, const uint8_t *data, size_t len,
                 uint8_t out[static SHA256_LEN]);

/* An HMAC key with its two pads hashed already, which is half of the work of a short HMAC: for a key that is
 * used several times. As secret as the key; a value that may be copied. */
struct sha256_key {
    uint64_t opaque[26];
};

void sha256_key_init(struct sha256_key *prepared, const uint8_t *key, size_t key_len);
void sha256_key_hmac(const struct sha256_key *prepared, const uint8_t *data, size_t len,
                     uint8_t out[static SHA256_LEN]);

#endif
