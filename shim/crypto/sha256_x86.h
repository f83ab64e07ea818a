/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_SHA256_X86_H
#define SOCKSEAL_SHA256_X86_H

/* The compression function of SHA-256 (FIPS 180-4, 6.2.2) by the processor's SHA instructions, which
 * libsodium does not use: a handshake hashes a hundred blocks. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether this processor has them. */
bool sha256_x86_usable(void);

/* Takes `count` blocks of 64 bytes into the state. */
void sha256_x86_blocks(uint32_t state[static 8], const uint8_t *data, size_t count);

#endif
