/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_HKDF_H
#define SOCKSEAL_HKDF_H

/* HKDF with SHA-256 (RFC 5869). No allocation. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/sha256.h"

enum { HKDF_PRK_LEN = 32, HKDF_OUT_MAX = 255 * 32 };

/* HKDF-Extract (RFC 5869, 2.2). A salt of length 0 stands for 32 zero bytes. */
void hkdf_extract(const uint8_t *salt, size_t salt_len, const uint8_t *ikm, size_t ikm_len,
                  uint8_t prk[static HKDF_PRK_LEN]);

/* HKDF-Expand (RFC 5869, 2.3). False, with nothing written, if out_len is more than HKDF_OUT_MAX. */
bool hkdf_expand(const uint8_t prk[static HKDF_PRK_LEN], const uint8_t *info, size_t info_len, uint8_t *out,
                 size_t out_len);

/* The same for a PRK from which several things are derived: sha256_key_init() of its HKDF_PRK_LEN bytes. */
bool hkdf_expand_prepared(const struct sha256_key *prk, const uint8_t *info, size_t info_len, uint8_t *out,
                          size_t out_len);

#endif
