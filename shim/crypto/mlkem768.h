/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_MLKEM768_H
#define SOCKSEAL_MLKEM768_H

/* ML-KEM-768 (FIPS 203), where libsodium has it (1.0.22). */

#include <stdbool.h>
#include <stdint.h>

enum {
    MLKEM768_SEED = 64, /* of a key pair: random bytes */
    MLKEM768_PUBLIC = 1184,
    MLKEM768_SECRET = 2400, /* a decapsulation key, which has the encapsulation key in it */
    MLKEM768_CIPHERTEXT = 1088,
    MLKEM768_SHARED = 32,
    MLKEM768_RANDOM = 32, /* what encapsulation takes */
};

/* Whether libsodium has it. The other calls give false if not. */
bool mlkem768_available(void);

/* Makes the key pair of a seed. */
bool mlkem768_make(uint8_t secret_key[static MLKEM768_SECRET], const uint8_t seed[static MLKEM768_SEED]);

/* The encapsulation key, of MLKEM768_PUBLIC bytes, inside a key pair (FIPS 203, 7.1). */
const uint8_t *mlkem768_public(const uint8_t secret_key[static MLKEM768_SECRET]);

/* Encapsulates under a peer's key. False if the key does not pass the check that FIPS 203, 7.2 demands. */
bool mlkem768_encapsulate(uint8_t ciphertext[static MLKEM768_CIPHERTEXT],
                          uint8_t shared[static MLKEM768_SHARED],
                          const uint8_t public_key[static MLKEM768_PUBLIC],
                          const uint8_t random[static MLKEM768_RANDOM]);

/* Decapsulates with a key pair. A ciphertext that was made for another key gives another secret. */
bool mlkem768_decapsulate(uint8_t shared[static MLKEM768_SHARED],
                          const uint8_t ciphertext[static MLKEM768_CIPHERTEXT],
                          const uint8_t secret_key[static MLKEM768_SECRET]);

#endif
