/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* The primitives of shim/crypto against the published vectors in tests/vectors/, each of which names its
 * source. */

#include "vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/aead.h"
#include "crypto/hkdf.h"
#include "crypto/secret.h"
#include "crypto/sha256.h"
#include "crypto/x25519.h"
#include "tls/tls.h"

static void hkdf_gives_the_vectors_of_rfc_5869(void **state)
{
    (void)state;
    vectors_open("hkdf-rfc5869.txt");
    for (int i = 1; i <= 3; i++) {
        const struct vector *ikm = vectors_case(i, "ikm"), *salt = vectors_case(i, "salt");
        const struct vector *info = vectors_case(i, "info"), *prk = vectors_case(i, "prk");
        const struct vector *okm = vectors_case(i, "okm");
        uint8_t out[VECTOR_MAX];
        hkdf_extract(salt->data, salt->len, ikm->data, ikm->len, out);
        assert_int_equal(prk->len, HKDF_PRK_LEN);
        assert_memory_equal(out, prk->data, prk->len);
        assert_true(hkdf_expand(prk->data, info->data, info->len, out, okm->len));
        assert_memory_equal(out, okm->data, okm->len);
    }
}

static void hkdf_refuses_more_than_255_blocks(void **state)
{
    (void)state;
    static uint8_t out[255 * 32 + 1];
    uint8_t prk[32] = {1};
    assert_true(hkdf_expand(prk, NULL, 0, out, 255 * 32));
    memset(out, 0x77, sizeof out);
    assert_false(hkdf_expand(prk, NULL, 0, out, sizeof out));
    assert_int_equal(out[0], 0x77);
}

static void x25519_gives_the_vectors_of_rfc_7748(void **state)
{
    (void)state;
    uint8_t out[32];
    vectors_open("x25519-rfc7748.txt");
    for (int i = 1; i <= 2; i++) {
        assert_true(x25519_shared(out, vectors_case(i, "scalar")->data, vectors_case(i, "u")->data));
        assert_memory_equal(out, vectors_case(i, "output")->data, 32);
    }
    const struct vector *alice = vectors_get("alice.private"), *bob = vectors_get("bob.private");
    x25519_public(out, alice->data);
    assert_memory_equal(out, vectors_get("alice.public")->data, 32);
    assert_true(x25519_shared(out, bob->data, vectors_get("alice.public")->data));
    assert_memory_equal(out, vectors_get("shared")->data, 32);
    x25519_public(out, bob->data);
    assert_memory_equal(out, vectors_get("bob.public")->data, 32);
    assert_true(x25519_shared(out, alice->data, vectors_get("bob.public")->data));
    assert_memory_equal(out, vectors_get("shared")->data, 32);
}

static void x25519_iterated_1000_times(void **state)
{
    (void)state;
    uint8_t k[32], u[32], out[32];
    vectors_open("x25519-rfc7748.txt");
    memcpy(k, vectors_get("iterated.start")->data, 32);
    memcpy(u, k, 32);
    for (int i = 1; i <= 1000; i++) {
        assert_true(x25519_shared(out, k, u));
        memcpy(u, k, 32);
        memcpy(k, out, 32);
        if (i == 1)
            assert_memory_equal(k, vectors_get("iterated.1")->data, 32);
    }
    assert_memory_equal(k, vectors_get("iterated.1000")->data, 32);
}

static void x25519_refuses_a_point_of_small_order(void **state)
{
    (void)state;
    static const uint8_t points[][32] = {{0}, {1}};
    static const uint8_t zeros[32];
    uint8_t secret[32], out[32];
    memset(secret, 0x42, sizeof secret);
    for (size_t i = 0; i < 2; i++) {
        memset(out, 0xff, sizeof out);
        assert_false(x25519_shared(out, secret, points[i]));
        assert_memory_equal(out, zeros, 32);
    }
}

/* Seals and opens case i of the open file, into a buffer of its own and in place. */
static void check_aead_case(const struct aead *aead, int i)
{
    const struct vector *key = vectors_case(i, "key"), *nonce = vectors_case(i, "nonce"),
                        *ad = vectors_case(i, "ad");
    const struct vector *plain = vectors_case(i, "plaintext"), *cipher = vectors_case(i, "ciphertext");
    const struct vector *tag = vectors_case(i, "tag");
    uint8_t out[VECTOR_MAX + AEAD_TAG_MAX], back[VECTOR_MAX];
    assert_int_equal(key->len, aead->key_len);
    assert_int_equal(nonce->len, aead->iv_len);
    assert_int_equal(tag->len, aead->tag_len);
    assert_true(aead_seal(aead, key->data, nonce->data, ad->data, ad->len, plain->data, plain->len, out));
    assert_memory_equal(out, cipher->data, cipher->len);
    assert_memory_equal(out + cipher->len, tag->data, tag->len);
    assert_true(
        aead_open(aead, key->data, nonce->data, ad->data, ad->len, out, cipher->len + tag->len, back));
    assert_memory_equal(back, plain->data, plain->len);
    assert_true(aead_open(aead, key->data, nonce->data, ad->data, ad->len, out, cipher->len + tag->len, out));
    assert_memory_equal(out, plain->data, plain->len);
    assert_true(aead_seal(aead, key->data, nonce->data, ad->data, ad->len, out, plain->len, out));
    assert_memory_equal(out, cipher->data, cipher->len);
    assert_memory_equal(out + cipher->len, tag->data, tag->len);
}

static void chacha20_poly1305_gives_the_vectors_of_rfc_8439(void **state)
{
    (void)state;
    const struct aead *aead = aead_of(TLS_SUITE_CHACHA20_POLY1305_SHA256);
    assert_non_null(aead);
    vectors_open("chacha20poly1305-rfc8439.txt");
    for (int i = 1; i <= 2; i++)
        check_aead_case(aead, i);
}

static void aegis_128l_gives_the_vectors_of_rfc_10032(void **state)
{
    (void)state;
    const struct aead *aead = aead_of(TLS_SUITE_AEGIS_128L_SHA256);
    if (aead == NULL)
        skip();
    vectors_open("aegis128l.txt");
    for (int i = 1; i <= 5; i++)
        check_aead_case(aead, i);
}

static void aegis_128l_refuses_what_rfc_10032_says_must_not_verify(void **state)
{
    (void)state;
    static const uint8_t zeros[VECTOR_MAX];
    const struct aead *aead = aead_of(TLS_SUITE_AEGIS_128L_SHA256);
    if (aead == NULL)
        skip();
    vectors_open("aegis128l.txt");
    for (int i = 6; i <= 9; i++) {
        const struct vector *cipher = vectors_case(i, "ciphertext"), *tag = vectors_case(i, "tag");
        const struct vector *ad = vectors_case(i, "ad");
        uint8_t sealed[VECTOR_MAX], out[VECTOR_MAX];
        memcpy(sealed, cipher->data, cipher->len);
        memcpy(sealed + cipher->len, tag->data, tag->len);
        memset(out, 0xff, sizeof out);
        assert_false(aead_open(aead, vectors_case(i, "key")->data, vectors_case(i, "nonce")->data, ad->data,
                               ad->len, sealed, cipher->len + tag->len, out));
        assert_memory_equal(out, zeros, cipher->len);
    }
}

static void every_bit_of_a_sealed_message_counts(void **state)
{
    (void)state;
    static const uint16_t suites[] = {TLS_SUITE_CHACHA20_POLY1305_SHA256, TLS_SUITE_AEGIS_128L_SHA256};
    for (size_t s = 0; s < 2; s++) {
        const struct aead *aead = aead_of(suites[s]);
        if (aead == NULL)
            continue;
        uint8_t key[AEAD_KEY_MAX] = {1}, nonce[AEAD_IV_MAX] = {2}, ad[5] = {3}, sealed[3 + AEAD_TAG_MAX],
                out[3];
        size_t len = sizeof out + aead->tag_len;
        assert_true(aead_seal(aead, key, nonce, ad, sizeof ad, (const uint8_t *)"abc", 3, sealed));
        for (size_t bit = 0; bit < 8 * len; bit++) {
            sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_false(aead_open(aead, key, nonce, ad, sizeof ad, sealed, len, out));
            sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        assert_true(aead_open(aead, key, nonce, ad, sizeof ad, sealed, len, out));
    }
}

static void unknown_suites_have_no_aead(void **state)
{
    (void)state;
    for (uint32_t suite = 0; suite <= 0xffff; suite++) {
        bool ours = suite == TLS_SUITE_CHACHA20_POLY1305_SHA256 || suite == TLS_SUITE_AEGIS_128L_SHA256;
        assert_true(ours || (aead_of((uint16_t)suite) == NULL && !aead_usable((uint16_t)suite)));
    }
}

static void without_aes_only_aegis_is_unusable(void **state)
{
    (void)state;
    aead_pretend_no_aes = true;
    assert_false(aead_usable(TLS_SUITE_AEGIS_128L_SHA256));
    assert_true(aead_usable(TLS_SUITE_CHACHA20_POLY1305_SHA256));
    aead_pretend_no_aes = false;
}

static int setup(void **state)
{
    (void)state;
    return secret_init() ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hkdf_gives_the_vectors_of_rfc_5869),
        cmocka_unit_test(hkdf_refuses_more_than_255_blocks),
        cmocka_unit_test(x25519_gives_the_vectors_of_rfc_7748),
        cmocka_unit_test(x25519_iterated_1000_times),
        cmocka_unit_test(x25519_refuses_a_point_of_small_order),
        cmocka_unit_test(chacha20_poly1305_gives_the_vectors_of_rfc_8439),
        cmocka_unit_test(aegis_128l_gives_the_vectors_of_rfc_10032),
        cmocka_unit_test(aegis_128l_refuses_what_rfc_10032_says_must_not_verify),
        cmocka_unit_test(every_bit_of_a_sealed_message_counts),
        cmocka_unit_test(unknown_suites_have_no_aead),
        cmocka_unit_test(without_aes_only_aegis_is_unusable),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
