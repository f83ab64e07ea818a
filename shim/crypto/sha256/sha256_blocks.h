/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_SHA256_BLOCKS_H
#define SOCKSEAL_SHA256_BLOCKS_H

/* The compression function of SHA-256 (FIPS 180-4, 6.2.2) by the processor's own instructions. */

#include <stddef.h>
#include <stdint.h>

enum { SHA256_BLOCK = 64, SHA256_WORDS = 8 };

/* Hashes `count` blocks into the hash value `h`. In constant time; leaves nothing of them in registers. */
typedef void sha256_blocks(uint32_t h[static SHA256_WORDS], const uint8_t *data, size_t count);

/* What this processor has; NULL: nothing, so libsodium's code is used. */
sha256_blocks *sha256_cpu(void);

#if defined(__x86_64__)
sha256_blocks sha256_shani;
#elif defined(__aarch64__)
sha256_blocks sha256_armv8;
#endif

/* The constants K (FIPS 180-4, 4.2.2). */
extern const uint32_t sha256_constants[64];

#endif
