/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_CRYPTO_H
#define SOCKSEAL_CRYPTO_H

/* A thin layer over libsodium. No call allocates; all are safe in a signal handler once crypto_init() has run. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Makes libsodium ready (processor features). Safe to call from any thread, any number of times; false if libsodium
 * refuses to work. */
bool crypto_init(void);

/* Random bytes from the kernel. */
void crypto_random(uint8_t *out, size_t len);

/* Wipes memory in a way that the compiler does not remove. */
void crypto_wipe(void *memory, size_t len);

/* Constant-time comparison. */
bool crypto_equal(const uint8_t *a, const uint8_t *b, size_t len);

#endif
