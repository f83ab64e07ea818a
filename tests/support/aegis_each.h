/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_TESTS_AEGIS_EACH_H
#define SOCKSEAL_TESTS_AEGIS_EACH_H

/* AEGIS on every set of instructions that the machine has, in every width, with each length of tag. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/aegis/aegis_backend.h"

struct aegis_variant {
    const struct aegis_backend *backend;
    enum aegis_kind kind;
    int lanes;
    size_t block, tag_len;
};

/* A message whose key, nonce and associated data are random, with an output that the test owns. */
struct aegis_case {
    uint8_t key[16], nonce[16];
    const uint8_t *ad;
    size_t ad_len;
};

/* The variants one after the other: false behind the last. Zeros at first. Prints the backends' names. */
bool aegis_each(struct aegis_variant *variant);

/* Numbers that are the same in each run. */
uint32_t aegis_random(uint32_t below);
void aegis_random_bytes(uint8_t *out, size_t len);

/* A case with `ad_len` (at most 600) bytes of associated data, good until the next call. */
struct aegis_case aegis_random_case(size_t ad_len);

/* Seals or opens parts; the calls use them up, so the array is copied. At most 64 of them. */
void aegis_seal_parts(const struct aegis_variant *variant, const struct aegis_case *with,
                      const struct aead_part *parts, size_t count, uint8_t *tag);
bool aegis_open_parts(const struct aegis_variant *variant, const struct aegis_case *with,
                      const struct aead_part *parts, size_t count, const uint8_t *tag);

/* The same for a message in one part. */
void aegis_seal_whole(const struct aegis_variant *variant, const struct aegis_case *with, const uint8_t *in,
                      size_t len, uint8_t *out, uint8_t *tag);
bool aegis_open_whole(const struct aegis_variant *variant, const struct aegis_case *with, const uint8_t *in,
                      size_t len, uint8_t *out, const uint8_t *tag);

#endif
