/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* The cursor over the program's memory: every place and every length, over every boundary of pieces. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "record/iov_cursor.h"

enum { PIECES = 6, BYTES = 17 };

/* Empty pieces at the beginning, in the middle and at the end; the others of different lengths. */
static const size_t LENGTHS[PIECES] = {0, 5, 1, 0, 11, 0};

struct fixture {
    uint8_t memory[PIECES][16];
    struct iovec iov[PIECES];
};

static void fill(struct fixture *fixture)
{
    uint8_t next = 1;
    for (size_t i = 0; i < PIECES; i++) {
        memset(fixture->memory[i], 0xee, sizeof fixture->memory[i]);
        for (size_t at = 0; at < LENGTHS[i]; at++)
            fixture->memory[i][at] = next++;
        fixture->iov[i] = (struct iovec){fixture->memory[i], LENGTHS[i]};
    }
}

static void test_gathering_from_every_place(void **state)
{
    struct fixture fixture;
    (void)state;
    fill(&fixture);
    for (size_t start = 0; start <= BYTES; start++) {
        for (size_t len = 0; start + len <= BYTES; len++) {
            uint8_t out[BYTES + 1];
            struct iov_cursor cursor = iov_cursor_of(fixture.iov, PIECES);
            assert_int_equal(cursor.left, BYTES);
            iov_cursor_advance(&cursor, start);
            out[len] = 0xaa;
            iov_cursor_gather(&cursor, out, len);
            assert_int_equal(cursor.left, BYTES - start - len);
            assert_int_equal(out[len], 0xaa);
            for (size_t i = 0; i < len; i++)
                assert_int_equal(out[i], start + i + 1);
        }
    }
}

static void test_scattering_to_every_place(void **state)
{
    (void)state;
    for (size_t start = 0; start <= BYTES; start++) {
        for (size_t len = 0; start + len <= BYTES; len++) {
            struct fixture fixture;
            uint8_t data[BYTES], all[BYTES];
            fill(&fixture);
            memset(data, 0x80, sizeof data);
            struct iov_cursor cursor = iov_cursor_of(fixture.iov, PIECES);
            iov_cursor_advance(&cursor, start);
            iov_cursor_scatter(&cursor, data, len);
            assert_int_equal(cursor.left, BYTES - start - len);
            cursor = iov_cursor_of(fixture.iov, PIECES);
            iov_cursor_gather(&cursor, all, BYTES);
            for (size_t i = 0; i < BYTES; i++)
                assert_int_equal(all[i], i >= start && i < start + len ? 0x80 : i + 1);
            for (size_t i = 0; i < PIECES; i++)
                assert_int_equal(fixture.memory[i][LENGTHS[i]], 0xee);
        }
    }
}

static void test_pieces_are_found_one_after_the_other(void **state)
{
    struct fixture fixture;
    size_t len;
    (void)state;
    fill(&fixture);
    struct iov_cursor cursor = iov_cursor_of(fixture.iov, PIECES);
    assert_ptr_equal(iov_cursor_piece(&cursor, &len), fixture.memory[1]);
    assert_int_equal(len, 5);
    iov_cursor_advance(&cursor, 4);
    assert_ptr_equal(iov_cursor_piece(&cursor, &len), fixture.memory[1] + 4);
    assert_int_equal(len, 1);
    iov_cursor_advance(&cursor, 1);
    assert_ptr_equal(iov_cursor_piece(&cursor, &len), fixture.memory[2]);
    iov_cursor_advance(&cursor, 1);
    assert_ptr_equal(iov_cursor_piece(&cursor, &len), fixture.memory[4]);
    assert_int_equal(len, 11);
    iov_cursor_advance(&cursor, 11);
    iov_cursor_piece(&cursor, &len);
    assert_int_equal(len, 0);
}

static void test_a_copy_keeps_its_place(void **state)
{
    struct fixture fixture;
    uint8_t one[8], other[8];
    (void)state;
    fill(&fixture);
    struct iov_cursor cursor = iov_cursor_of(fixture.iov, PIECES);
    iov_cursor_advance(&cursor, 3);
    struct iov_cursor copy = cursor;
    iov_cursor_gather(&cursor, one, sizeof one);
    iov_cursor_gather(&copy, other, sizeof other);
    assert_memory_equal(one, other, sizeof one);
}

static void test_one_piece(void **state)
{
    uint8_t memory[] = {1, 2, 3}, out[3];
    (void)state;
    struct iov_cursor cursor = iov_cursor_one(memory, sizeof memory);
    iov_cursor_gather(&cursor, out, sizeof out);
    assert_memory_equal(out, memory, sizeof out);
    assert_int_equal(cursor.left, 0);
}

/* Another thread of the program shortens the array of pieces: nothing is read or written behind it, and no
 * call goes on for ever. */
static void test_pieces_that_are_shortened_meanwhile(void **state)
{
    struct fixture fixture;
    uint8_t out[BYTES];
    (void)state;
    fill(&fixture);
    struct iov_cursor cursor = iov_cursor_of(fixture.iov, PIECES), copy = cursor;
    fixture.iov[4].iov_len = 2;
    memset(out, 0xff, sizeof out);
    iov_cursor_gather(&cursor, out, BYTES);
    assert_int_equal(out[7], 8);
    assert_int_equal(out[8], 0);
    assert_int_equal(out[BYTES - 1], 0);
    iov_cursor_scatter(&copy, out, BYTES);
    assert_int_equal(fixture.memory[4][2], 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gathering_from_every_place),
        cmocka_unit_test(test_scattering_to_every_place),
        cmocka_unit_test(test_pieces_are_found_one_after_the_other),
        cmocka_unit_test(test_a_copy_keeps_its_place),
        cmocka_unit_test(test_one_piece),
        cmocka_unit_test(test_pieces_that_are_shortened_meanwhile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
