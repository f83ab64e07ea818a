/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "crypto/mlkem768.h"

#include <sodium.h>

#include "crypto/deep.h"
#include "crypto/secret.h"

#ifdef crypto_kem_mlkem768_PUBLICKEYBYTES

_Static_assert(MLKEM768_SEED == crypto_kem_mlkem768_SEEDBYTES &&
                   MLKEM768_PUBLIC == crypto_kem_mlkem768_PUBLICKEYBYTES &&
                   MLKEM768_SECRET == crypto_kem_mlkem768_SECRETKEYBYTES &&
                   MLKEM768_CIPHERTEXT == crypto_kem_mlkem768_CIPHERTEXTBYTES &&
                   MLKEM768_SHARED == crypto_kem_mlkem768_SHAREDSECRETBYTES,
               "libsodium's sizes are those of FIPS 203");

bool mlkem768_available(void)
{
    return true;
}

/* libsodium's functions take up to 21 KiB of stack (deep.h): these are what they are called with, and give.
 */
struct key_pair {
    uint8_t *secret_key;
    const uint8_t *seed;
    bool done;
};

struct encapsulation {
    uint8_t *ciphertext, *shared;
    const uint8_t *public_key, *random;
    bool done;
};

struct decapsulation {
    uint8_t *shared;
    const uint8_t *ciphertext, *secret_key;
    bool done;
};

static void make(void *context)
{
    struct key_pair *pair = context;
    uint8_t public_key[MLKEM768_PUBLIC];
    pair->done = crypto_kem_mlkem768_seed_keypair(public_key, pair->secret_key, pair->seed) == 0;
}

static void encapsulate(void *context)
{
    struct encapsulation *with = context;
    with->done = crypto_kem_mlkem768_enc_deterministic(with->ciphertext, with->shared, with->public_key,
                                                       with->random) == 0;
}

static void decapsulate(void *context)
{
    struct decapsulation *with = context;
    with->done = crypto_kem_mlkem768_dec(with->shared, with->ciphertext, with->secret_key) == 0;
}

bool mlkem768_make(uint8_t secret_key[static MLKEM768_SECRET], const uint8_t seed[static MLKEM768_SEED])
{
    struct key_pair pair = {secret_key, seed, false};
    deep_call(make, &pair);
    return pair.done;
}

bool mlkem768_encapsulate(uint8_t ciphertext[static MLKEM768_CIPHERTEXT],
                          uint8_t shared[static MLKEM768_SHARED],
                          const uint8_t public_key[static MLKEM768_PUBLIC],
                          const uint8_t random[static MLKEM768_RANDOM])
{
    struct encapsulation with = {ciphertext, shared, public_key, random, false};
    deep_call(encapsulate, &with);
    return with.done;
}

bool mlkem768_decapsulate(uint8_t shared[static MLKEM768_SHARED],
                          const uint8_t ciphertext[static MLKEM768_CIPHERTEXT],
                          const uint8_t secret_key[static MLKEM768_SECRET])
{
    struct decapsulation with = {shared, ciphertext, secret_key, false};
    deep_call(decapsulate, &with);
    return with.done;
}

#else

bool mlkem768_available(void)
{
    return false;
}

bool mlkem768_make(uint8_t secret_key[static MLKEM768_SECRET], const uint8_t seed[static MLKEM768_SEED])
{
    (void)secret_key;
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
                          const uint8_t secret_key[static MLKEM768_SECRET])
{
    (void)shared;
    (void)ciphertext;
    (void)secret_key;
    return false;
}

#endif

/* FIPS 203, algorithm 16: what decrypts, the encapsulation key, its hash, and z. */
const uint8_t *mlkem768_public(const uint8_t secret_key[static MLKEM768_SECRET])
{
    enum { HASH = 32, REJECTION = 32 };
    return secret_key + MLKEM768_SECRET - REJECTION - HASH - MLKEM768_PUBLIC;
}
