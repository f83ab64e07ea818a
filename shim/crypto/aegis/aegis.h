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

#include "crypto/aead_parts.h"

enum aegis_kind { AEGIS_128L, AEGIS_128X2, AEGIS_128X4 };

enum { AEGIS_KEY_LEN = 16, AEGIS_NONCE_LEN = 16, AEGIS_TAG_LEN = 16, AEGIS_TAG_LONG_LEN = 32 };

/* Whether the processor has AES instructions and the kernel saves the registers that they need. */
bool aegis_usable(void);

/* The widest kind whose lanes fit one register here. A wider one works too, but gains nothing. Only where
 * aegis_usable(). */
enum aegis_kind aegis_widest(void);

/*
 * Encrypts, and writes the tag, of AEGIS_TAG_LEN or AEGIS_TAG_LONG_LEN bytes, to `tag`. A part's output may
 * overlap its own input in any way. False, with nothing written, if the processor cannot.
 */
bool aegis_seal(enum aegis_kind kind, const struct aead_message *message, uint8_t *tag, size_t tag_len);

/*
 * Decrypts, and compares the tag in constant time. False if it does not fit: then all of the output is zeros.
 * Plaintext goes there before the tag is verified, since both come from one pass over the ciphertext; the
 * caller lets nobody look there before the call has returned.
 */
bool aegis_open(enum aegis_kind kind, const struct aead_message *message, const uint8_t *tag, size_t tag_len);

#endif
