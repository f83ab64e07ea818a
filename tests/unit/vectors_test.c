/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* The primitives of shim/crypto against the published vectors in tests/vectors/, each of which names its
 * source. */

#include "vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "crypto/aead.h"
#include "crypto/aegis/aegis.h"
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
static void check_aead_case(const struct aead *aead, int i, const char *tag_name)
{
    const struct vector *key = vectors_case(i, "key"), *nonce = vectors_case(i, "nonce"),
                        *ad = vectors_case(i, "ad");
    const struct vector *plain = vectors_case(i, "plaintext"), *cipher = vectors_case(i, "ciphertext");
    const struct vector *tag = vectors_case(i, tag_name);
    uint8_t out[VECTOR_MAX + AEAD_TAG_LEN], back[VECTOR_MAX];
    assert_int_equal(key->len, aead->key_len);
    assert_int_equal(nonce->len, aead->iv_len);
    assert_int_equal(tag->len, AEAD_TAG_LEN);
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
        check_aead_case(aead, i, "tag");
}

static void each_aegis_suite_gives_the_vectors_of_rfc_10032(void **state)
{
    (void)state;
    static const struct {
        uint16_t suite;
        int cases;
        const char *file;
    } suites[] = {{TLS_SUITE_AEGIS_128L_SHA256, 5, "aegis-128l-rfc10032.txt"},
                  {TLS_SUITE_AEGIS_128X2_SHA256, 2, "aegis-128x2-rfc10032.txt"},
                  {TLS_SUITE_AEGIS_128X4_SHA256, 2, "aegis-128x4-rfc10032.txt"}};
    for (size_t s = 0; s < sizeof suites / sizeof *suites; s++) {
        if (!aead_usable(suites[s].suite))
            skip();
        vectors_open(suites[s].file);
        for (int i = 1; i <= suites[s].cases; i++)
            check_aead_case(aead_of(suites[s].suite), i, "tag128");
    }
}

static const uint16_t all_suites[] = {TLS_SUITE_CHACHA20_POLY1305_SHA256, TLS_SUITE_AEGIS_128L_SHA256,
                                      TLS_SUITE_AEGIS_128X2_SHA256, TLS_SUITE_AEGIS_128X4_SHA256};
enum { SUITES = sizeof all_suites / sizeof *all_suites };

static void every_bit_of_a_sealed_message_counts(void **state)
{
    (void)state;
    for (size_t s = 0; s < SUITES; s++) {
        const struct aead *aead = aead_of(all_suites[s]);
        if (!aead_usable(all_suites[s]))
            continue;
        uint8_t key[AEAD_KEY_MAX] = {1}, nonce[AEAD_IV_MAX] = {2}, ad[5] = {3}, sealed[3 + AEAD_TAG_LEN],
                out[3];
        size_t len = sizeof sealed;
        assert_true(aead_seal(aead, key, nonce, ad, sizeof ad, (const uint8_t *)"abc", 3, sealed));
        for (size_t bit = 0; bit < 8 * len; bit++) {
            sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
            memset(out, 0xff, sizeof out);
            assert_false(aead_open(aead, key, nonce, ad, sizeof ad, sealed, len, out));
            assert_memory_equal(out, "\0\0\0", 3);
            sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        for (size_t less = 1; less <= len; less++)
            assert_false(aead_open(aead, key, nonce, ad, sizeof ad, sealed, len - less, out));
        assert_true(aead_open(aead, key, nonce, ad, sizeof ad, sealed, len, out));
        assert_memory_equal(out, "abc", 3);
    }
}

/* A message cut in three, each part elsewhere, equals one in one part. */
static void a_cut_message_is_the_same_message(void **state)
{
    (void)state;
    static uint8_t plain[400], whole[400 + AEAD_TAG_LEN], cut[3][400], back[400], tag[AEAD_TAG_LEN];
    uint8_t key[AEAD_KEY_MAX] = {1}, nonce[AEAD_IV_MAX] = {2}, ad[5] = {3};
    assert_true(secret_random(plain, sizeof plain));
    for (size_t s = 0; s < SUITES; s++) {
        const struct aead *aead = aead_of(all_suites[s]);
        for (size_t first = 0; first <= sizeof plain && aead_usable(all_suites[s]); first++) {
            const size_t second = (sizeof plain - first) * (first % 4) / 3,
                         third = sizeof plain - first - second;
            struct aead_part seal[] = {{plain, cut[0], first},
                                       {plain + first, cut[1], second},
                                       {plain + first + second, cut[2], third}};
            struct aead_part open[] = {{cut[0], back, first},
                                       {cut[1], back + first, second},
                                       {cut[2], back + first + second, third}};
            const struct aead_message sealing = {key, nonce, ad, sizeof ad, seal, 3},
                                      opening = {key, nonce, ad, sizeof ad, open, 3};
            assert_true(aead_seal(aead, key, nonce, ad, sizeof ad, plain, sizeof plain, whole));
            assert_true(aead->seal(&sealing, tag));
            assert_memory_equal(cut[0], whole, first);
            assert_memory_equal(cut[1], whole + first, second);
            assert_memory_equal(cut[2], whole + first + second, third);
            assert_memory_equal(tag, whole + sizeof plain, sizeof tag);
            assert_true(aead->open(&opening, tag));
            assert_memory_equal(back, plain, sizeof plain);
        }
    }
}

/* ChaCha20-Poly1305 is put together here from libsodium's parts: its whole is the measure. */
static void chacha20_poly1305_equals_libsodiums(void **state)
{
    (void)state;
    static uint8_t plain[3000], out[3000 + AEAD_TAG_LEN], other[3000 + AEAD_TAG_LEN];
    uint8_t key[AEAD_KEY_MAX], nonce[AEAD_IV_MAX], ad[40];
    const struct aead *aead = aead_of(TLS_SUITE_CHACHA20_POLY1305_SHA256);
    for (size_t len = 0; len <= sizeof plain; len += len < 300 ? 1 : 77) {
        assert_true(secret_random(key, sizeof key));
        assert_true(secret_random(nonce, sizeof nonce));
        assert_true(secret_random(ad, sizeof ad));
        assert_true(secret_random(plain, len));
        crypto_aead_chacha20poly1305_ietf_encrypt(other, NULL, plain, len, ad, len % sizeof ad, NULL, nonce,
                                                  key);
        assert_true(aead_seal(aead, key, nonce, ad, len % sizeof ad, plain, len, out));
        assert_memory_equal(out, other, len + AEAD_TAG_LEN);
    }
}

static void unknown_suites_have_no_aead(void **state)
{
    (void)state;
    for (uint32_t suite = 0; suite <= 0xffff; suite++) {
        bool ours = false;
        for (size_t s = 0; s < SUITES; s++)
            ours = ours || suite == all_suites[s];
        assert_true(ours == (aead_of((uint16_t)suite) != NULL));
        assert_true(ours || !aead_usable((uint16_t)suite));
    }
}

static void without_aes_only_aegis_is_unusable(void **state)
{
    (void)state;
    size_t count;
    aead_pretend_no_aes = true;
    for (size_t s = 0; s < SUITES; s++)
        assert_int_equal(aead_usable(all_suites[s]), all_suites[s] == TLS_SUITE_CHACHA20_POLY1305_SHA256);
    assert_int_equal(*aead_default_suites(&count), TLS_SUITE_CHACHA20_POLY1305_SHA256);
    assert_int_equal(count, 1);
    aead_pretend_no_aes = false;
}

/* From the widest kind that one register holds down to one lane, then ChaCha20. */
static void the_default_suites_suit_the_processor(void **state)
{
    (void)state;
    static const uint16_t order[] = {TLS_SUITE_AEGIS_128X4_SHA256, TLS_SUITE_AEGIS_128X2_SHA256,
                                     TLS_SUITE_AEGIS_128L_SHA256, TLS_SUITE_CHACHA20_POLY1305_SHA256};
    size_t count, expected = aegis_usable() ? 2 + (size_t)aegis_widest() : 1;
    const uint16_t *suites = aead_default_suites(&count);
    assert_int_equal(count, expected);
    assert_memory_equal(suites, order + 4 - expected, expected * sizeof *suites);
    for (size_t i = 0; i < count; i++)
        assert_true(aead_usable(suites[i]));
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
        cmocka_unit_test(each_aegis_suite_gives_the_vectors_of_rfc_10032),
        cmocka_unit_test(every_bit_of_a_sealed_message_counts),
        cmocka_unit_test(a_cut_message_is_the_same_message),
        cmocka_unit_test(chacha20_poly1305_equals_libsodiums),
        cmocka_unit_test(unknown_suites_have_no_aead),
        cmocka_unit_test(without_aes_only_aegis_is_unusable),
        cmocka_unit_test(the_default_suites_suit_the_processor),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
