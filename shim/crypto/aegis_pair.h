/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_AEGIS_PAIR_H
#define SOCKSEAL_AEGIS_PAIR_H

/*
 * AEGIS-128L (RFC 10032) with the 256-bit tag, two messages of one key at once, each in half of the
 * processor's wide registers (VAES). A single message cannot use them: each of its steps waits for the one
 * before. The result is what crypto/aead.h gives for each message alone, at half the time.
 *
 * A message is `len` bytes, a multiple of AEGIS_PAIR_BLOCK, and one byte behind them that lies elsewhere: the
 * content of a record and its type (RFC 8446, 5.2), so that the content need not be copied to stand before
 * the type. Both messages have the same length and additional data.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    AEGIS_PAIR_KEY = 16,
    AEGIS_PAIR_NONCE = 16,
    AEGIS_PAIR_TAG = 32,
    AEGIS_PAIR_BLOCK = 32,
    AEGIS_PAIR_AAD_MAX = AEGIS_PAIR_BLOCK,
};

struct aegis_pair {
    const uint8_t *key;
    const uint8_t *nonce[2];
    const uint8_t *aad;
    size_t aad_len; /* at most AEGIS_PAIR_AAD_MAX */
    size_t len;
};

/* Whether this processor can. */
bool aegis_pair_usable(void);

/* Writes len + 1 + AEGIS_PAIR_TAG bytes at each `out`, which does not overlap the messages. */
void aegis_pair_seal(const struct aegis_pair *pair, const uint8_t *const in[static 2], uint8_t last,
                     uint8_t *const out[static 2]);

/* Opens len + 1 + AEGIS_PAIR_TAG bytes at each `in` into len bytes at each `out`, which does not overlap
 * them, and the byte behind in `last`. False, with zeros in both, unless both authenticate. */
bool aegis_pair_open(const struct aegis_pair *pair, const uint8_t *const in[static 2], uint8_t last[static 2],
                     uint8_t *const out[static 2]);

#endif
