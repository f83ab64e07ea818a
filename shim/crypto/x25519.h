/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_X25519_H
#define SOCKSEAL_X25519_H

/* Diffie-Hellman on Curve25519 (RFC 7748, 6.1). */

#include <stdbool.h>
#include <stdint.h>

enum { X25519_LEN = 32 };

/* The public value that belongs to a secret of 32 random bytes (clamping is done here). */
void x25519_public(uint8_t public_value[static X25519_LEN], const uint8_t secret[static X25519_LEN]);

/* The shared secret. False, with zeros in `shared`, if it would be all zeros, that is if the peer's value is
 * a point of small order (RFC 7748, 6.1; RFC 8446, 7.4.2). */
bool x25519_shared(uint8_t shared[static X25519_LEN], const uint8_t secret[static X25519_LEN],
                   const uint8_t peer[static X25519_LEN]);

#endif
