/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/*
 * AEGIS computes what RFC 10032 says: against its vectors, against libsodium where that has the variant, and
 * against a slow model of the RFC's pseudo-code. Every set of instructions that the machine has, in every
 * width. With SOCKSEAL_TEST_FULL=1 the comparison with libsodium takes a million messages.
 *
 * time-limit: 600
 */

#include "aegis_each.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "aegis_model.h"
#include "vectors.h"

enum { LEN_MAX = 70000 };

static uint8_t plain[LEN_MAX], sealed[LEN_MAX], expected[LEN_MAX], back[LEN_MAX];

static void open_vectors(int lanes)
{
    static const char *const files[] = {"aegis-128l-rfc10032.txt", "aegis-128x2-rfc10032.txt",
                                        "aegis-128x4-rfc10032.txt"};
    vectors_open(files[lanes / 2]);
}

static struct aegis_case vector_case(int number)
{
    struct aegis_case made = {.ad = vectors_case(number, "ad")->data,
                              .ad_len = vectors_case(number, "ad")->len};
    memcpy(made.key, vectors_case(number, "key")->data, sizeof made.key);
    memcpy(made.nonce, vectors_case(number, "nonce")->data, sizeof made.nonce);
    return made;
}

static const struct vector *vector_tag(int number, size_t tag_len)
{
    return vectors_case(number, tag_len == AEGIS_TAG_LEN ? "tag128" : "tag256");
}

static void assert_state(const struct aegis_model *model, const char *prefix)
{
    for (int i = 0; i < 8; i++) {
        for (int lane = 0; lane < model->lanes; lane++) {
            char name[32];
            snprintf(name, sizeof name, model->lanes > 1 ? "%ss%d.%d" : "%ss%d", prefix, i, lane);
            assert_memory_equal(model->v[i][lane], vectors_get(name)->data, 16);
        }
    }
}

static void the_model_rounds_and_updates_as_the_rfc_does(void **state)
{
    (void)state;
    struct aegis_model model = {.lanes = 1};
    uint8_t in[16], key[16], out[16];
    for (uint8_t i = 0; i < 16; i++) {
        in[i] = i;
        key[i] = (uint8_t)(16 + i);
    }
    aegis_model_round(in, key, out); /* RFC 10032, "AESRound Test Vector" */
    assert_memory_equal(out, "\x7a\x7b\x4e\x56\x38\x78\x25\x46\xa8\xc0\x47\x7a\x3b\x81\x3f\x43", 16);
    open_vectors(1);
    for (int i = 0; i < 8; i++) {
        char name[16];
        snprintf(name, sizeof name, "update.s%d", i);
        memcpy(model.v[i][0], vectors_get(name)->data, 16);
    }
    aegis_model_update(&model, vectors_get("update.m0")->data, vectors_get("update.m1")->data);
    assert_state(&model, "update.after.");
    for (int lanes = 2; lanes <= 4; lanes *= 2) {
        open_vectors(lanes);
        aegis_model_init(&model, lanes, vectors_get("init.key")->data, vectors_get("init.nonce")->data);
        assert_state(&model, "init.");
    }
}

static void the_model_gives_the_vectors(void **state)
{
    (void)state;
    for (int lanes = 1; lanes <= 4; lanes *= 2) {
        open_vectors(lanes);
        for (int number = 1; number <= (lanes == 1 ? 5 : 2); number++) {
            for (size_t tag_len = 16; tag_len <= 32; tag_len += 16) {
                const struct aegis_case with = vector_case(number);
                const struct vector *text = vectors_case(number, "plaintext"),
                                    *cipher = vectors_case(number, "ciphertext");
                uint8_t tag[32];
                aegis_model_encrypt(lanes, with.key, with.nonce, with.ad, with.ad_len, text->data, text->len,
                                    sealed, tag, tag_len);
                assert_memory_equal(sealed, cipher->data, cipher->len);
                assert_memory_equal(tag, vector_tag(number, tag_len)->data, tag_len);
                assert_true(aegis_model_decrypt(lanes, with.key, with.nonce, with.ad, with.ad_len, sealed,
                                                cipher->len, back, tag, tag_len));
                assert_memory_equal(back, text->data, text->len);
            }
        }
    }
}

static void every_backend_gives_the_vectors(void **state)
{
    (void)state;
    for (struct aegis_variant variant = {0}; aegis_each(&variant);) {
        open_vectors(variant.lanes);
        for (int number = 1; vectors_has("5.key") ? number <= 5 : number <= 2; number++) {
            const struct aegis_case with = vector_case(number);
            const struct vector *text = vectors_case(number, "plaintext"),
                                *cipher = vectors_case(number, "ciphertext");
            uint8_t tag[32];
            aegis_seal_whole(&variant, &with, text->data, text->len, sealed, tag);
            assert_memory_equal(sealed, cipher->data, cipher->len);
            assert_memory_equal(tag, vector_tag(number, variant.tag_len)->data, variant.tag_len);
            assert_true(aegis_open_whole(&variant, &with, sealed, text->len, back, tag));
            assert_memory_equal(back, text->data, text->len);
        }
    }
}

static void every_backend_refuses_what_must_not_verify(void **state)
{
    (void)state;
    static const uint8_t zeros[VECTOR_MAX];
    for (struct aegis_variant variant = {0}; aegis_each(&variant);) {
        if (variant.kind != AEGIS_128L)
            continue;
        open_vectors(1);
        for (int number = 6; number <= 9; number++) {
            const struct aegis_case with = vector_case(number);
            const struct vector *cipher = vectors_case(number, "ciphertext");
            memset(back, 0xff, VECTOR_MAX);
            assert_false(aegis_open_whole(&variant, &with, cipher->data, cipher->len, back,
                                          vector_tag(number, variant.tag_len)->data));
            assert_memory_equal(back, zeros, cipher->len);
            assert_int_equal(back[cipher->len], 0xff);
        }
    }
}

/* Most messages are short, some go up to LEN_MAX. */
static size_t random_len(void)
{
    static const uint32_t limits[] = {40, 200, 600, 5000};
    return aegis_random(100) == 0 ? aegis_random(LEN_MAX + 1) : aegis_random(limits[aegis_random(4)]);
}

static void one_lane_with_the_long_tag_equals_libsodium(void **state)
{
    (void)state;
#ifndef crypto_aead_aegis128l_KEYBYTES /* libsodium 1.0.18 */
    skip();
#else
    const char *full = getenv("SOCKSEAL_TEST_FULL");
    const int messages = full && *full == '1' ? 1000000 : 4000;
    for (struct aegis_variant variant = {0}; aegis_each(&variant);) {
        if (variant.kind != AEGIS_128L || variant.tag_len != AEGIS_TAG_LONG_LEN)
            continue;
        for (int i = 0; i < messages; i++) {
            const size_t len = i == 0 ? LEN_MAX : random_len();
            const struct aegis_case with = aegis_random_case(aegis_random(i % 16 == 0 ? 600 : 40));
            uint8_t tag[32], other[32];
            aegis_random_bytes(plain, len < 64 ? len : 64);
            crypto_aead_aegis128l_encrypt_detached(expected, other, NULL, plain, len, with.ad, with.ad_len,
                                                   NULL, with.nonce, with.key);
            aegis_seal_whole(&variant, &with, plain, len, sealed, tag);
            assert_memory_equal(sealed, expected, len);
            assert_memory_equal(tag, other, sizeof tag);
            assert_true(aegis_open_whole(&variant, &with, sealed, len, back, tag));
            assert_memory_equal(back, plain, len);
        }
    }
#endif
}

static void check_against_the_model(const struct aegis_variant *variant, size_t ad_len, size_t len)
{
    const struct aegis_case with = aegis_random_case(ad_len);
    uint8_t tag[32], other[32];
    aegis_random_bytes(plain, len);
    aegis_model_encrypt(variant->lanes, with.key, with.nonce, with.ad, ad_len, plain, len, expected, other,
                        variant->tag_len);
    aegis_seal_whole(variant, &with, plain, len, sealed, tag);
    assert_memory_equal(sealed, expected, len);
    assert_memory_equal(tag, other, variant->tag_len);
    assert_true(aegis_open_whole(variant, &with, sealed, len, back, tag));
    assert_memory_equal(back, plain, len);
}

static void every_width_equals_the_model(void **state)
{
    (void)state;
    for (struct aegis_variant variant = {0}; aegis_each(&variant);) {
        for (size_t len = 0; len <= 3 * variant.block + 1; len++)
            check_against_the_model(&variant, aegis_random(40), len);
        for (size_t ad_len = 0; ad_len <= 3 * variant.block + 1; ad_len++)
            check_against_the_model(&variant, ad_len, aegis_random(40));
        for (int i = 0; i < 20; i++)
            check_against_the_model(&variant, aegis_random(600), aegis_random(5000));
        check_against_the_model(&variant, 5, 16385);
    }
}

static void a_short_tag_and_a_long_one_go_with_the_same_ciphertext(void **state)
{
    (void)state;
    const struct aegis_case with = aegis_random_case(5);
    for (struct aegis_variant variant = {0}; aegis_each(&variant);) {
        uint8_t tag[32];
        aegis_seal_whole(&variant, &with, plain, 333, sealed, tag);
        if (variant.tag_len == AEGIS_TAG_LONG_LEN)
            assert_memory_equal(sealed, expected, 333);
        memcpy(expected, sealed, 333);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_model_rounds_and_updates_as_the_rfc_does),
        cmocka_unit_test(the_model_gives_the_vectors),
        cmocka_unit_test(every_backend_gives_the_vectors),
        cmocka_unit_test(every_backend_refuses_what_must_not_verify),
        cmocka_unit_test(one_lane_with_the_long_tag_equals_libsodium),
        cmocka_unit_test(every_width_equals_the_model),
        cmocka_unit_test(a_short_tag_and_a_long_one_go_with_the_same_ciphertext),
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
