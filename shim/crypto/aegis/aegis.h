/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_AEGIS_H
#define SOCKSEAL_AEGIS_H

/*
 * AEGIS-128L, AEGIS-128X2 and AEGIS-128X4 (RFC 10032), with tags of 128 or 256 bits, by the processor's AES
 * instructions. There is no other implementation: without these instructions nothing here works. No
 * allocation, no state between calls. See README.md.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum aegis_kind { AEGIS_128L, AEGIS_128X2, AEGIS_128X4 };

enum { AEGIS_KEY_LEN = 16, AEGIS_NONCE_LEN = 16, AEGIS_TAG_LEN = 16, AEGIS_TAG_LONG_LEN = 32 };

/*
 * A part of a message, cut anywhere: `len` bytes from `in`, encrypted or decrypted, go to `out`. The two may
 * be the same, and may overlap in any way. Nothing of another part may overlap `out`, except that `out` of
 * one part may lie at or before its own input where all parts lie behind each other, both `in` and `out`.
 */
struct aegis_part {
    const uint8_t *in;
    uint8_t *out;
    size_t len;
};

/* What the calls below have in common. Key and nonce have AEGIS_KEY_LEN and AEGIS_NONCE_LEN bytes. A pair of
 * key and nonce seals one message only (RFC 10032, security considerations). */
struct aegis_message {
    const uint8_t *key, *nonce;
    const uint8_t *ad; /* associated data */
    size_t ad_len;
    struct aegis_part *parts; /* used up by the call */
    size_t count;
};

/* Whether the processor has AES instructions and the kernel saves the registers that they need. */
bool aegis_usable(void);

/* Encrypts, and writes the tag, of AEGIS_TAG_LEN or AEGIS_TAG_LONG_LEN bytes, to `tag`. False, with nothing
 * written, if the processor cannot. */
bool aegis_seal(enum aegis_kind kind, const struct aegis_message *message, uint8_t *tag, size_t tag_len);

/*
 * Decrypts, and compares the tag in constant time. False if it does not fit: then all of `out` is zeros.
 * The plaintext goes to `out` before the tag is verified, since both come from one pass over the ciphertext;
 * the caller must let nobody look there before the call has returned.
 */
bool aegis_open(enum aegis_kind kind, const struct aegis_message *message, const uint8_t *tag,
                size_t tag_len);

#endif
