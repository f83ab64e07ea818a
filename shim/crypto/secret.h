/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_SECRET_H
#define SOCKSEAL_SECRET_H

/* Handling of secrets, over libsodium. No call allocates; all are async-signal-safe once secret_init() has
 * returned. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Makes libsodium ready (processor features). Any thread may call it, any number of times. Gives false if the
 * kernel gives no random numbers, or libsodium refuses to work. Must have run before anything else in
 * shim/crypto and shim/tls.
 */
bool secret_init(void);

/* Fills `out` with random bytes from the kernel. False if it gives none: `out` must not be used then. */
bool secret_random(uint8_t *out, size_t len) __attribute__((warn_unused_result));

/* Wipes memory in a way that the compiler does not remove. */
void secret_wipe(void *memory, size_t len);

/* Compares in constant time. */
bool secret_equal(const uint8_t *a, const uint8_t *b, size_t len);

#endif
