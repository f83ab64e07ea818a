/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* SHA-256 and HMAC against libsodium's, in every portion; with the processor's SHA instructions where it has
 * them. */

#include "crypto/sha256.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "endpoint.h"

enum { MOST = 300 };

static uint8_t space[MOST + 1];
static uint8_t *const data = space + 1; /* nothing may count on alignment */

static void each_length_in_two_portions(void **state)
{
    (void)state;
    uint8_t expected[SHA256_LEN], got[SHA256_LEN];
    endpoint_random(data, MOST);
    for (size_t len = 0; len <= MOST; len++) {
        crypto_hash_sha256(expected, data, len);
        for (size_t first = 0; first <= len; first++) {
            struct sha256 hash;
            sha256_init(&hash);
            sha256_update(&hash, data, first);
            struct sha256 copy = hash; /* the transcript is finished in copies */
            sha256_update(&copy, data + first, len - first);
            sha256_final(&copy, got);
            assert_memory_equal(got, expected, sizeof got);
        }
    }
}

static void byte_by_byte(void **state)
{
    (void)state;
    uint8_t expected[SHA256_LEN], got[SHA256_LEN];
    struct sha256 hash;
    endpoint_random(data, MOST);
    sha256_init(&hash);
    for (size_t i = 0; i < MOST; i++)
        sha256_update(&hash, data + i, 1);
    sha256_final(&hash, got);
    crypto_hash_sha256(expected, data, MOST);
    assert_memory_equal(got, expected, sizeof got);
}

static void a_megabyte(void **state)
{
    (void)state;
    const size_t len = (1 << 20) + 17;
    uint8_t *large = malloc(len), expected[SHA256_LEN], got[SHA256_LEN];
    struct sha256 hash;
    assert_non_null(large);
    endpoint_random(large, len);
    sha256_init(&hash);
    sha256_update(&hash, large, len);
    sha256_final(&hash, got);
    crypto_hash_sha256(expected, large, len);
    assert_memory_equal(got, expected, sizeof got);
    free(large);
}

static void hmac_with_each_length_of_key(void **state)
{
    (void)state;
    uint8_t expected[SHA256_LEN], got[SHA256_LEN];
    endpoint_random(data, MOST);
    for (size_t key_len = 0; key_len <= 130; key_len++) {
        for (size_t len = 0; len <= 130; len += 13) {
            crypto_auth_hmacsha256_state state_of_theirs;
            crypto_auth_hmacsha256_init(&state_of_theirs, data, key_len);
            crypto_auth_hmacsha256_update(&state_of_theirs, data + 100, len);
            crypto_auth_hmacsha256_final(&state_of_theirs, expected);
            sha256_hmac(data, key_len, data + 100, len, got);
            assert_memory_equal(got, expected, sizeof got);
        }
    }
}

static void the_states_are_wiped(void **state)
{
    (void)state;
    static const uint8_t zeros[sizeof(struct sha256_hmac)];
    uint8_t got[SHA256_LEN];
    struct sha256_hmac hmac;
    sha256_hmac_init(&hmac, data, 32);
    sha256_hmac_update(&hmac, data, 40);
    sha256_hmac_final(&hmac, got);
    assert_memory_equal(&hmac, zeros, sizeof hmac);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_length_in_two_portions),
        cmocka_unit_test(byte_by_byte),
        cmocka_unit_test(a_megabyte),
        cmocka_unit_test(hmac_with_each_length_of_key),
        cmocka_unit_test(the_states_are_wiped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
