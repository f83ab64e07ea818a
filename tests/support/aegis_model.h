/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_TESTS_AEGIS_MODEL_H
#define SOCKSEAL_TESTS_AEGIS_MODEL_H

/*
 * AEGIS-128L and AEGIS-128X as RFC 10032 writes them down: one function for each of its functions, in
 * portable C, slow, with nothing taken from shim/. To compare with.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { AEGIS_MODEL_LANES_MAX = 4 };

/* v[0..7][lane]: the RFC's V[0..7, lane], or S0 to S7 of the only lane. */
struct aegis_model {
    int lanes;
    uint8_t v[8][AEGIS_MODEL_LANES_MAX][16];
};

/* If set, sees every state that a message goes through. */
extern void (*aegis_model_observer)(const struct aegis_model *model);

void aegis_model_round(const uint8_t in[16], const uint8_t key[16], uint8_t out[16]);
void aegis_model_update(struct aegis_model *model, const uint8_t *m0, const uint8_t *m1);
void aegis_model_init(struct aegis_model *model, int lanes, const uint8_t key[16], const uint8_t nonce[16]);

/* The tag has 16 or 32 bytes. `ct` and `msg` may be the same. */
void aegis_model_encrypt(int lanes, const uint8_t key[16], const uint8_t nonce[16], const uint8_t *ad,
                         size_t ad_len, const uint8_t *msg, size_t len, uint8_t *ct, uint8_t *tag,
                         size_t tag_len);
bool aegis_model_decrypt(int lanes, const uint8_t key[16], const uint8_t nonce[16], const uint8_t *ad,
                         size_t ad_len, const uint8_t *ct, size_t len, uint8_t *msg, const uint8_t *tag,
                         size_t tag_len);

#endif
