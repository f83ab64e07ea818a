/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* SHA-256 and HMAC, by the processor's instructions and by libsodium: published examples, and both alike. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sodium.h>
#include <string.h>

#include "crypto/secret.h"
#include "crypto/sha256.h"
#include "crypto/sha256/sha256_blocks.h"

static void expect_hex(const uint8_t hash[static SHA256_LEN], const char *expected)
{
    char hex[2 * SHA256_LEN + 1];
    sodium_bin2hex(hex, sizeof hex, hash, SHA256_LEN);
    assert_string_equal(hex, expected);
}

static void hash_of(const uint8_t *data, size_t len, uint8_t out[static SHA256_LEN])
{
    struct sha256 state;
    sha256_init(&state);
    sha256_update(&state, data, len);
    sha256_final(&state, out);
}

/* What NIST publishes with FIPS 180-4: one block, two, and a million times "a". */
static void examples_of_fips_180_4(void **unused)
{
    static const char two_blocks[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    static uint8_t million[1000000];
    uint8_t hash[SHA256_LEN];
    (void)unused;
    hash_of((const uint8_t *)"abc", 3, hash);
    expect_hex(hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    hash_of((const uint8_t *)two_blocks, sizeof two_blocks - 1, hash);
    expect_hex(hash, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    hash_of(NULL, 0, hash);
    expect_hex(hash, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    memset(million, 'a', sizeof million);
    hash_of(million, sizeof million, hash);
    expect_hex(hash, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

/* RFC 4231, 4.2, 4.3 and 4.7 (a key longer than a block). */
static void examples_of_rfc_4231(void **unused)
{
    static const char question[] = "what do ya want for nothing?",
                      long_key_data[] = "Test Using Larger Than Block-Size Key - Hash Key First";
    uint8_t key[131], mac[SHA256_LEN];
    (void)unused;
    memset(key, 0x0b, sizeof key);
    sha256_hmac(key, 20, (const uint8_t *)"Hi There", 8, mac);
    expect_hex(mac, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    sha256_hmac((const uint8_t *)"Jefe", 4, (const uint8_t *)question, sizeof question - 1, mac);
    expect_hex(mac, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof key);
    sha256_hmac(key, sizeof key, (const uint8_t *)long_key_data, sizeof long_key_data - 1, mac);
    expect_hex(mac, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

/* Random lengths and pieces at random alignments. The code changes in the midst, as the state is the same. */
static void both_codes_are_alike(void **unused)
{
    enum { ROUNDS = 20000, MOST = 400 };
    static uint8_t data[MOST + 16];
    (void)unused;
    for (int round = 0; round < ROUNDS; round++) {
        const uint8_t *from = data + randombytes_uniform(16);
        const size_t len = randombytes_uniform(MOST + 1);
        uint8_t expected[SHA256_LEN], hash[SHA256_LEN];
        struct sha256 state;
        assert_true(secret_random(data, sizeof data));
        crypto_hash_sha256(expected, from, len);
        sha256_init(&state);
        for (size_t done = 0, step; done < len; done += step) {
            step = 1 + randombytes_uniform((uint32_t)(len - done));
            sha256_pretend_no_instructions = randombytes_uniform(4) == 0;
            sha256_update(&state, from + done, step);
        }
        sha256_pretend_no_instructions = randombytes_uniform(4) == 0;
        sha256_final(&state, hash);
        assert_memory_equal(hash, expected, sizeof hash);
    }
    sha256_pretend_no_instructions = false;
}

static void macs_are_alike(void **unused)
{
    enum { ROUNDS = 5000 };
    uint8_t key[200], data[200], mac[crypto_auth_hmacsha256_BYTES], expected[sizeof mac];
    (void)unused;
    for (int round = 0; round < ROUNDS; round++) {
        const size_t key_len = randombytes_uniform(sizeof key + 1),
                     len = randombytes_uniform(sizeof data + 1);
        crypto_auth_hmacsha256_state state;
        assert_true(secret_random(key, sizeof key));
        assert_true(secret_random(data, sizeof data));
        crypto_auth_hmacsha256_init(&state, key, key_len);
        crypto_auth_hmacsha256_update(&state, data, len);
        crypto_auth_hmacsha256_final(&state, expected);
        sha256_pretend_no_instructions = round % 2;
        sha256_hmac(key, key_len, data, len, mac);
        assert_memory_equal(mac, expected, sizeof mac);
    }
    sha256_pretend_no_instructions = false;
}

/* Each bit of a block counts, and each bit of the hash value before it. */
static void every_bit_counts(void **unused)
{
    sha256_blocks *blocks = sha256_cpu();
    uint8_t data[SHA256_BLOCK];
    uint32_t start[SHA256_WORDS], whole[SHA256_WORDS], other[SHA256_WORDS];
    (void)unused;
    if (!blocks)
        skip();
    assert_true(secret_random(data, sizeof data));
    assert_true(secret_random((uint8_t *)start, sizeof start));
    memcpy(whole, start, sizeof whole);
    blocks(whole, data, 1);
    for (size_t bit = 0; bit < 8 * sizeof data; bit++) {
        memcpy(other, start, sizeof other);
        data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        blocks(other, data, 1);
        data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_memory_not_equal(other, whole, sizeof whole);
    }
    for (size_t bit = 0; bit < 8 * sizeof start; bit++) {
        memcpy(other, start, sizeof other);
        other[bit / 32] ^= UINT32_C(1) << bit % 32;
        blocks(other, data, 1);
        assert_memory_not_equal(other, whole, sizeof whole);
    }
}

static void a_state_that_is_used_up_is_wiped(void **unused)
{
    static const struct sha256 zeros;
    struct sha256 state;
    uint8_t hash[SHA256_LEN];
    (void)unused;
    for (int without = 0; without < 2; without++) {
        sha256_pretend_no_instructions = without;
        sha256_init(&state);
        sha256_update(&state, (const uint8_t *)"secret", 6);
        sha256_final(&state, hash);
        assert_memory_equal(&state, &zeros, sizeof state);
    }
    sha256_pretend_no_instructions = false;
}

static int ready(void **unused)
{
    (void)unused;
    return secret_init() ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(examples_of_fips_180_4), cmocka_unit_test(examples_of_rfc_4231),
        cmocka_unit_test(both_codes_are_alike),   cmocka_unit_test(macs_are_alike),
        cmocka_unit_test(every_bit_counts),       cmocka_unit_test(a_state_that_is_used_up_is_wiped),
    };
    return cmocka_run_group_tests(tests, ready, NULL);
}
