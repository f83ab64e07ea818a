/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_CHACHA20_H
#define SOCKSEAL_CHACHA20_H

/* ChaCha20-Poly1305 (RFC 8439) of messages in parts, from libsodium's stream cipher and authenticator: its
 * own AEAD takes a message in one piece only. */

#include <stdbool.h>

#include "crypto/aead_parts.h"

enum { CHACHA20_KEY_LEN = 32, CHACHA20_NONCE_LEN = 12, CHACHA20_TAG_LEN = 16 };

/* Encrypts, and writes the tag. */
void chacha20_seal(const struct aead_message *message, uint8_t tag[static CHACHA20_TAG_LEN]);

/* Verifies the tag, and decrypts only then. False if it does not fit, with zeros in all of the output. */
bool chacha20_open(const struct aead_message *message, const uint8_t tag[static CHACHA20_TAG_LEN]);

#endif
