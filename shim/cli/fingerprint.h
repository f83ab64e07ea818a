/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_FINGERPRINT_H
#define SOCKSEAL_FINGERPRINT_H

#include <stddef.h>
#include <stdint.h>

enum { FINGERPRINT_TEXT = 5 * 5 };

/*
 * Five groups of four digits by which people compare a key without showing it: of HMAC-SHA-256 under the key
 * of a fixed text. That tells nothing of a random key (HMAC is a pseudo-random function), and another key
 * with the same digits takes 2^66 attempts. The text is terminated.
 */
const char *fingerprint_of(const uint8_t *key, size_t len, char text[static FINGERPRINT_TEXT]);

#endif
