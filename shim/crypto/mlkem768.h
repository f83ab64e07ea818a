/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_MLKEM768_H
#define SOCKSEAL_MLKEM768_H

/* ML-KEM-768 (FIPS 203), where libsodium has it (1.0.22). A key pair is made from its seed whenever it is
 * needed, so that 64 bytes are kept in place of 2400. */

#include <stdbool.h>
#include <stdint.h>

enum {
    MLKEM768_SEED = 64, /* of a key pair: random bytes */
    MLKEM768_PUBLIC = 1184,
    MLKEM768_CIPHERTEXT = 1088,
    MLKEM768_SHARED = 32,
    MLKEM768_RANDOM = 32, /* what encapsulation takes */
};

/* Whether libsodium has it. The other calls give false if not. */
bool mlkem768_available(void);

/* The encapsulation key of a seed's key pair. */
bool mlkem768_public(uint8_t public_key[static MLKEM768_PUBLIC], const uint8_t seed[static MLKEM768_SEED]);

/* Encapsulates under a peer's key. False if the key does not pass the check that FIPS 203, 7.2 demands. */
bool mlkem768_encapsulate(uint8_t ciphertext[static MLKEM768_CIPHERTEXT],
                          uint8_t shared[static MLKEM768_SHARED],
                          const uint8_t public_key[static MLKEM768_PUBLIC],
                          const uint8_t random[static MLKEM768_RANDOM]);

/* Decapsulates with a seed's key pair. A ciphertext that was made for another key gives another secret. */
bool mlkem768_decapsulate(uint8_t shared[static MLKEM768_SHARED],
                          const uint8_t ciphertext[static MLKEM768_CIPHERTEXT],
                          const uint8_t seed[static MLKEM768_SEED]);

#endif
