/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* The bounds of the codec's readers and writers: nothing is read or written past the end, and a read that
 * fails changes nothing. */

#include "tls/tls_cursor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t bytes[] = {0, 3, 'a', 'b', 'c', 'd'};

/* A reader of the first `len` bytes, in memory of exactly that size. */
static struct tls_reader exactly(uint8_t **memory, size_t len)
{
    *memory = malloc(len + (len == 0));
    memcpy(*memory, bytes, len);
    return tls_cursor_reader(*memory, len);
}

static void expect_unchanged(const struct tls_reader *reader, const uint8_t *at, size_t left)
{
    assert_ptr_equal(reader->at, at);
    assert_int_equal(reader->left, left);
}

static void numbers_are_not_read_past_the_end(void **state)
{
    (void)state;
    for (size_t len = 0; len < 3; len++) {
        uint8_t *memory, small = 0;
        uint16_t value = 0;
        struct tls_reader reader = exactly(&memory, len);
        assert_int_equal(tls_cursor_get_u16(&reader, &value), len >= 2);
        if (len < 2)
            expect_unchanged(&reader, memory, len);
        else
            assert_int_equal(value, 3);
        reader = tls_cursor_reader(memory, len);
        assert_int_equal(tls_cursor_get_u8(&reader, &small), len >= 1);
        assert_int_equal(reader.left, len - (len >= 1));
        free(memory);
    }
}

static void bytes_are_not_read_past_the_end(void **state)
{
    (void)state;
    for (size_t len = 0; len <= sizeof bytes; len++) {
        uint8_t *memory;
        struct tls_reader part, reader = exactly(&memory, len);
        assert_false(tls_cursor_get_bytes(&reader, len + 1, &part));
        assert_false(tls_cursor_get_bytes(&reader, SIZE_MAX, &part));
        expect_unchanged(&reader, memory, len);
        assert_true(tls_cursor_get_bytes(&reader, len, &part));
        assert_int_equal(part.left, len);
        assert_int_equal(reader.left, 0);
        free(memory);
    }
}

static void vectors_are_not_read_past_the_end(void **state)
{
    (void)state;
    for (size_t len = 0; len <= sizeof bytes; len++) {
        uint8_t *memory;
        struct tls_reader content, reader = exactly(&memory, len);
        assert_int_equal(tls_cursor_get_vector16(&reader, 0, &content), len >= 5);
        if (len < 5)
            expect_unchanged(&reader, memory, len);
        else
            assert_memory_equal(content.at, "abc", content.left);
        reader = tls_cursor_reader(memory + (len > 0), len - (len > 0));
        assert_int_equal(tls_cursor_get_vector8(&reader, 0, &content), len >= 5);
        if (len >= 5)
            assert_int_equal(content.left, 3);
        free(memory);
    }
}

static void vectors_have_their_least_length(void **state)
{
    (void)state;
    struct tls_reader content, reader = tls_cursor_reader(bytes, sizeof bytes);
    assert_false(tls_cursor_get_vector16(&reader, 4, &content));
    expect_unchanged(&reader, bytes, sizeof bytes);
    assert_true(tls_cursor_get_vector16(&reader, 3, &content));
    assert_int_equal(reader.left, 1);
}

/* What is put, and whether it fits a buffer of that size. */
static void put_seven_bytes(struct tls_writer *writer)
{
    size_t mark = tls_cursor_begin(writer, 1);
    tls_cursor_put_u16(writer, 0x0102);
    tls_cursor_put_bytes(writer, bytes, 3);
    tls_cursor_put_u8(writer, 9);
    tls_cursor_end(writer, mark, 1);
}

static void nothing_is_written_past_the_end(void **state)
{
    (void)state;
    for (size_t cap = 0; cap < 9; cap++) {
        uint8_t *memory = malloc(cap + 1);
        memory[cap] = 0x77;
        struct tls_writer writer = tls_cursor_writer(memory, cap);
        put_seven_bytes(&writer);
        assert_int_equal(writer.full, cap < 7);
        assert_true(writer.len <= cap);
        assert_int_equal(memory[cap], 0x77);
        if (cap >= 7) {
            assert_int_equal(writer.len, 7);
            assert_memory_equal(memory, ((const uint8_t[]){6, 1, 2, 0, 3, 'a', 9}), 7);
        }
        free(memory);
    }
}

static void a_full_writer_stays_full(void **state)
{
    (void)state;
    uint8_t memory[4] = {0};
    struct tls_writer writer = tls_cursor_writer(memory, sizeof memory);
    tls_cursor_put_bytes(&writer, bytes, 5);
    assert_true(writer.full);
    tls_cursor_put_u8(&writer, 1);
    tls_cursor_put_u32(&writer, 1);
    assert_true(writer.full);
    assert_int_equal(writer.len, 0);
    assert_int_equal(memory[0], 0);
}

static void a_vector_longer_than_its_length_field_is_refused(void **state)
{
    (void)state;
    static uint8_t memory[400];
    for (size_t len = 255; len <= 256; len++) {
        static const uint8_t zeros[256];
        struct tls_writer writer = tls_cursor_writer(memory, sizeof memory);
        size_t mark = tls_cursor_begin(&writer, 1);
        tls_cursor_put_bytes(&writer, zeros, len);
        tls_cursor_end(&writer, mark, 1);
        assert_int_equal(writer.full, len > 255);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_not_read_past_the_end),
        cmocka_unit_test(bytes_are_not_read_past_the_end),
        cmocka_unit_test(vectors_are_not_read_past_the_end),
        cmocka_unit_test(vectors_have_their_least_length),
        cmocka_unit_test(nothing_is_written_past_the_end),
        cmocka_unit_test(a_full_writer_stays_full),
        cmocka_unit_test(a_vector_longer_than_its_length_field_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
