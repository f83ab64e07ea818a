/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "crypto/mlkem768.h"

#include <sodium.h>

#include "crypto/secret.h"

#ifdef crypto_kem_mlkem768_PUBLICKEYBYTES

_Static_assert(MLKEM768_SEED == crypto_kem_mlkem768_SEEDBYTES &&
                   MLKEM768_PUBLIC == crypto_kem_mlkem768_PUBLICKEYBYTES &&
                   MLKEM768_CIPHERTEXT == crypto_kem_mlkem768_CIPHERTEXTBYTES &&
                   MLKEM768_SHARED == crypto_kem_mlkem768_SHAREDSECRETBYTES,
               "libsodium's sizes are those of FIPS 203");

bool mlkem768_available(void)
{
    return true;
}

bool mlkem768_public(uint8_t public_key[static MLKEM768_PUBLIC], const uint8_t seed[static MLKEM768_SEED])
{
    uint8_t secret_key[crypto_kem_mlkem768_SECRETKEYBYTES];
    bool done = crypto_kem_mlkem768_seed_keypair(public_key, secret_key, seed) == 0;
    secret_wipe(secret_key, sizeof secret_key);
    return done;
}

bool mlkem768_encapsulate(uint8_t ciphertext[static MLKEM768_CIPHERTEXT],
                          uint8_t shared[static MLKEM768_SHARED],
                          const uint8_t public_key[static MLKEM768_PUBLIC],
                          const uint8_t random[static MLKEM768_RANDOM])
{
    return crypto_kem_mlkem768_enc_deterministic(ciphertext, shared, public_key, random) == 0;
}

bool mlkem768_decapsulate(uint8_t shared[static MLKEM768_SHARED],
                          const uint8_t ciphertext[static MLKEM768_CIPHERTEXT],
                          const uint8_t seed[static MLKEM768_SEED])
{
    uint8_t public_key[MLKEM768_PUBLIC];
    uint8_t secret_key[crypto_kem_mlkem768_SECRETKEYBYTES];
    bool done = crypto_kem_mlkem768_seed_keypair(public_key, secret_key, seed) == 0 &&
                crypto_kem_mlkem768_dec(shared, ciphertext, secret_key) == 0;
    secret_wipe(secret_key, sizeof secret_key);
    return done;
}

#else

bool mlkem768_available(void)
{
    return false;
}

bool mlkem768_public(uint8_t public_key[static MLKEM768_PUBLIC], const uint8_t seed[static MLKEM768_SEED])
{
    (void)public_key;
    (void)seed;
    return false;
}

bool mlkem768_encapsulate(uint8_t ciphertext[static MLKEM768_CIPHERTEXT],
                          uint8_t shared[static MLKEM768_SHARED],
                          const uint8_t public_key[static MLKEM768_PUBLIC],
                          const uint8_t random[static MLKEM768_RANDOM])
{
    (void)ciphertext;
    (void)shared;
    (void)public_key;
    (void)random;
    return false;
}

bool mlkem768_decapsulate(uint8_t shared[static MLKEM768_SHARED],
                          const uint8_t ciphertext[static MLKEM768_CIPHERTEXT],
                          const uint8_t seed[static MLKEM768_SEED])
{
    (void)shared;
    (void)ciphertext;
    (void)seed;
    return false;
}

#endif
