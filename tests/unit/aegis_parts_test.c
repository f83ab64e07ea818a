/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Where a message may lie, and what tampering does: every cut, every alignment, in place and overlapping, at
 * the edge of mapped memory. The expected ciphertext comes from the message in one part, which aegis_test.c
 * checks. */

#include "aegis_each.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>
#include <sys/mman.h>

enum { ROOM = 16384, CANARY = 0xa5 };

static uint8_t plain[ROOM], sealed[ROOM], out[ROOM], back[ROOM];
static const uint8_t zeros[ROOM];

/* What the tests compare with: `len` random bytes, sealed. */
static struct aegis_case prepare(const struct aegis_variant *variant, size_t len, uint8_t tag[static 32])
{
    const struct aegis_case with = aegis_random_case(aegis_random(40));
    aegis_random_bytes(plain, len);
    aegis_seal_whole(variant, &with, plain, len, sealed, tag);
    return with;
}

/* Both ways in these parts, each of which has its place in a buffer of its own order: the last part first. */
static void check_cut(const struct aegis_variant *variant, const struct aegis_case *with, const uint8_t *tag,
                      const size_t *cut, size_t count, size_t len)
{
    struct aead_part seal[16] = {{0}}, open[16] = {{0}};
    uint8_t made[32];
    size_t at = 0;
    memset(out, CANARY, len + 1);
    memset(back, CANARY, len + 1);
    for (size_t i = 0; i < count; at += cut[i++]) {
        uint8_t *place = out + (len - at - cut[i]), *home = back + (len - at - cut[i]);
        seal[i] = (struct aead_part){plain + at, place, cut[i]};
        open[i] = (struct aead_part){place, home, cut[i]};
    }
    aegis_seal_parts(variant, with, seal, count, made);
    assert_memory_equal(made, tag, variant->tag_len);
    assert_true(aegis_open_parts(variant, with, open, count, tag));
    for (size_t i = 0; i < count; i++) {
        assert_memory_equal(seal[i].out, sealed + (seal[i].in - plain), cut[i]);
        assert_memory_equal(open[i].out, seal[i].in, cut[i]);
    }
    assert_int_equal(out[len], CANARY);
    assert_int_equal(back[len], CANARY);
}

static void cut_in_two_anywhere(void **state)
{
    (void)state;
    for (struct aegis_variant variant = {0}; aegis_each(&variant);) {
        uint8_t tag[32];
        for (size_t len = 0; len <= 2 * variant.block + 3; len += len < 3 ? 1 : 7) {
            const struct aegis_case with = prepare(&variant, len, tag);
            for (size_t first = 0; first <= len; first++) {
                const size_t cut[] = {first, len - first};
                check_cut(&variant, &with, tag, cut, 2, len);
            }
        }
    }
}

static void cut_in_many(void **state)
{
    (void)state;
    for (struct aegis_variant variant = {0}; aegis_each(&variant);) {
        for (int i = 0; i < 300; i++) {
            size_t cut[16], len = 0, count = aegis_random(17),
                            most = i % 3 == 0   ? 5
                                   : i % 3 == 1 ? 150
                                                : 1000;
            uint8_t tag[32];
            for (size_t part = 0; part < count; part++)
                len += cut[part] = aegis_random(4) == 0 ? 0 : aegis_random((uint32_t)most);
            const struct aegis_case with = prepare(&variant, len, tag);
            check_cut(&variant, &with, tag, cut, count, len);
        }
    }
}

static void nothing_but_a_tag(void **state)
{
    (void)state;
    for (struct aegis_variant variant = {0}; aegis_each(&variant);) {
        struct aegis_case with = aegis_random_case(0);
        uint8_t tag[32], other[32];
        with.ad = NULL;
        aegis_seal_parts(&variant, &with, NULL, 0, tag);
        aegis_seal_parts(&variant, &with, &(struct aead_part){NULL, NULL, 0}, 1, other);
        assert_memory_equal(tag, other, variant.tag_len);
        assert_true(aegis_open_parts(&variant, &with, NULL, 0, tag));
        other[0] ^= 1;
        assert_false(aegis_open_parts(&variant, &with, NULL, 0, other));
    }
}

static void every_alignment(void **state)
{
    (void)state;
    const size_t len = 300;
    for (struct aegis_variant variant = {0}; aegis_each(&variant);) {
        uint8_t tag[32], made[33];
        const struct aegis_case with = prepare(&variant, len, tag);
        for (size_t in_at = 0; in_at < 64; in_at++) {
            for (size_t out_at = 0; out_at < 64; out_at += 1 + out_at % 3) {
                memcpy(back + in_at, plain, len);
                aegis_seal_whole(&variant, &with, back + in_at, len, out + out_at, made + in_at % 2);
                assert_memory_equal(out + out_at, sealed, len);
                assert_memory_equal(made + in_at % 2, tag, variant.tag_len);
                assert_true(
                    aegis_open_whole(&variant, &with, out + out_at, len, back + in_at, made + in_at % 2));
                assert_memory_equal(back + in_at, plain, len);
            }
        }
    }
}

/* Input at `in_at`, output at `out_at` of one buffer. */
static void check_overlap(const struct aegis_variant *variant, const struct aegis_case *with,
                          const uint8_t *tag, size_t len, size_t in_at, size_t out_at)
{
    uint8_t made[32];
    memcpy(out + in_at, plain, len);
    aegis_seal_whole(variant, with, out + in_at, len, out + out_at, made);
    assert_memory_equal(out + out_at, sealed, len);
    assert_memory_equal(made, tag, variant->tag_len);
    assert_true(aegis_open_whole(variant, with, out + out_at, len, out + in_at, tag));
    assert_memory_equal(out + in_at, plain, len);
}

static void in_place_before_and_behind(void **state)
{
    (void)state;
    static const size_t lengths[] = {1, 31, 64, 65, 128, 257, 1000};
    for (struct aegis_variant variant = {0}; aegis_each(&variant);) {
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
            uint8_t tag[32];
            const size_t len = lengths[i];
            const struct aegis_case with = prepare(&variant, len, tag);
            for (size_t shift = 0; shift < 300; shift += shift < 140 ? 1 : 13) {
                check_overlap(&variant, &with, tag, len, 0, shift);
                check_overlap(&variant, &with, tag, len, shift, 0);
            }
        }
    }
}

/* As TLS seals: the content where it lies, or in its place in the record, and one byte of a type behind it.
 */
static void a_record_in_place(void **state)
{
    (void)state;
    for (struct aegis_variant variant = {0}; aegis_each(&variant);) {
        for (size_t len = 1; len < 400; len += 3) {
            uint8_t tag[32], made[32], type, back_type;
            const struct aegis_case with = prepare(&variant, len, tag);
            type = plain[len - 1];
            memcpy(out, plain, len - 1);
            const struct aead_part seal[] = {{out, out, len - 1}, {&type, out + len - 1, 1}};
            aegis_seal_parts(&variant, &with, seal, 2, made);
            assert_memory_equal(out, sealed, len);
            assert_memory_equal(made, tag, variant.tag_len);
            const struct aead_part open[] = {{out, out, len - 1}, {out + len - 1, &back_type, 1}};
            assert_true(aegis_open_parts(&variant, &with, open, 2, tag));
            assert_memory_equal(out, plain, len - 1);
            assert_int_equal(back_type, type);
            assert_int_equal(out[len - 1], sealed[len - 1]);
        }
    }
}

/* `pages` pages with none before and none behind. */
static uint8_t *fenced(size_t pages)
{
    uint8_t *memory =
        mmap(NULL, (pages + 2) * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    assert_int_equal(mprotect(memory, 4096, PROT_NONE), 0);
    assert_int_equal(mprotect(memory + (pages + 1) * 4096, 4096, PROT_NONE), 0);
    return memory + 4096;
}

static void at_the_edge_of_memory(void **state)
{
    (void)state;
    uint8_t *in = fenced(1), *to = fenced(1), *tags = fenced(1);
    for (struct aegis_variant variant = {0}; aegis_each(&variant);) {
        for (size_t len = 0; len < 300; len++) {
            uint8_t tag[32];
            const struct aegis_case with = prepare(&variant, len, tag);
            for (int end = 0; end < 2; end++) {
                uint8_t *from = end ? in + 4096 - len : in, *there = end ? to + 4096 - len : to,
                        *made = end ? tags + 4096 - variant.tag_len : tags;
                memcpy(from, plain, len);
                aegis_seal_whole(&variant, &with, from, len, there, made);
                assert_memory_equal(there, sealed, len);
                assert_true(aegis_open_whole(&variant, &with, there, len, from, made));
                assert_memory_equal(from, plain, len);
            }
        }
    }
    munmap(in - 4096, 3 * 4096);
    munmap(to - 4096, 3 * 4096);
    munmap(tags - 4096, 3 * 4096);
}

/* Opens what was changed somewhere, in two parts and in place: nothing of it may be left. */
static void assert_refused(const struct aegis_variant *variant, const struct aegis_case *with, size_t len,
                           const uint8_t *tag)
{
    const struct aead_part parts[] = {{sealed, out, len / 3}, {sealed + len / 3, back, len - len / 3}};
    memset(out, CANARY, len + 1);
    memset(back, CANARY, len + 1);
    assert_false(aegis_open_parts(variant, with, parts, 2, tag));
    assert_memory_equal(out, zeros, len / 3);
    assert_memory_equal(back, zeros, len - len / 3);
    assert_int_equal(out[len / 3], CANARY);
    assert_int_equal(back[len - len / 3], CANARY);
    memcpy(out, sealed, len);
    assert_false(aegis_open_whole(variant, with, out, len, out, tag));
    assert_memory_equal(out, zeros, len);
}

/* Each bit of `bytes`, one at a time. */
static void flip_each(const struct aegis_variant *variant, const struct aegis_case *with, size_t len,
                      const uint8_t *tag, uint8_t *bytes, size_t count)
{
    for (size_t bit = 0; bit < 8 * count; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_refused(variant, with, len, tag);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void every_bit_counts(void **state)
{
    (void)state;
    static const size_t lengths[] = {0, 1, 5, 33, 140};
    for (struct aegis_variant variant = {0}; aegis_each(&variant);) {
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
            const size_t len = lengths[i];
            uint8_t tag[32], ad[40];
            struct aegis_case with = prepare(&variant, len, tag);
            memcpy(ad, with.ad, with.ad_len);
            with.ad = ad;
            flip_each(&variant, &with, len, tag, sealed, len);
            flip_each(&variant, &with, len, tag, tag, variant.tag_len);
            flip_each(&variant, &with, len, tag, ad, with.ad_len);
            flip_each(&variant, &with, len, tag, with.key, sizeof with.key);
            flip_each(&variant, &with, len, tag, with.nonce, sizeof with.nonce);
            assert_true(aegis_open_whole(&variant, &with, sealed, len, out, tag));
        }
    }
}

/* Zeros that were padding to one side count to the other: the lengths are part of the tag. */
static void every_length_counts(void **state)
{
    (void)state;
    for (struct aegis_variant variant = {0}; aegis_each(&variant);) {
        uint8_t tag[32], ad[64] = {1, 2, 3};
        struct aegis_case with = aegis_random_case(0);
        memset(plain, 0, 200);
        with.ad = ad;
        with.ad_len = 5;
        aegis_seal_whole(&variant, &with, plain, 100, sealed, tag);
        with.ad_len = 6;
        assert_refused(&variant, &with, 100, tag);
        with.ad_len = 5;
        assert_refused(&variant, &with, 99, tag);
        assert_refused(&variant, &with, 101, tag);
        assert_true(aegis_open_whole(&variant, &with, sealed, 100, out, tag));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cut_in_two_anywhere),        cmocka_unit_test(cut_in_many),
        cmocka_unit_test(nothing_but_a_tag),          cmocka_unit_test(every_alignment),
        cmocka_unit_test(in_place_before_and_behind), cmocka_unit_test(a_record_in_place),
        cmocka_unit_test(at_the_edge_of_memory),      cmocka_unit_test(every_bit_counts),
        cmocka_unit_test(every_length_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
