/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "tls/tls_cursor.h"

#include <string.h>

struct tls_reader tls_cursor_reader(const uint8_t *data, size_t len)
{
    return (struct tls_reader){.at = data, .left = len};
}

bool tls_cursor_get_u8(struct tls_reader *reader, uint8_t *value)
{
    if (reader->left < 1)
        return false;
    *value = reader->at[0];
    reader->at += 1;
    reader->left -= 1;
    return true;
}

bool tls_cursor_get_u16(struct tls_reader *reader, uint16_t *value)
{
    if (reader->left < 2)
        return false;
    *value = (uint16_t)(reader->at[0] << 8 | reader->at[1]);
    reader->at += 2;
    reader->left -= 2;
    return true;
}

bool tls_cursor_get_bytes(struct tls_reader *reader, size_t len, struct tls_reader *bytes)
{
    if (reader->left < len)
        return false;
    *bytes = tls_cursor_reader(reader->at, len);
    reader->at += len;
    reader->left -= len;
    return true;
}

static bool get_vector(struct tls_reader *reader, size_t width, size_t min, struct tls_reader *content)
{
    size_t len = 0;
    if (reader->left < width)
        return false;
    for (size_t i = 0; i < width; i++)
        len = len << 8 | reader->at[i];
    if (len < min || reader->left - width < len)
        return false;
    *content = tls_cursor_reader(reader->at + width, len);
    reader->at += width + len;
    reader->left -= width + len;
    return true;
}

bool tls_cursor_get_vector8(struct tls_reader *reader, size_t min, struct tls_reader *content)
{
    return get_vector(reader, 1, min, content);
}

bool tls_cursor_get_vector16(struct tls_reader *reader, size_t min, struct tls_reader *content)
{
    return get_vector(reader, 2, min, content);
}

struct tls_writer tls_cursor_writer(uint8_t *data, size_t cap)
{
    return (struct tls_writer){.data = data, .cap = cap};
}

void tls_cursor_put_bytes(struct tls_writer *writer, const uint8_t *data, size_t len)
{
    if (writer->full || writer->cap - writer->len < len) {
        writer->full = true;
        return;
    }
    if (len > 0)
        memmove(writer->data + writer->len, data, len); /* a cookie moves within one buffer */
    writer->len += len;
}

void tls_cursor_put_u8(struct tls_writer *writer, uint8_t value)
{
    tls_cursor_put_bytes(writer, &value, 1);
}

void tls_cursor_put_u16(struct tls_writer *writer, uint16_t value)
{
    const uint8_t bytes[2] = {(uint8_t)(value >> 8), (uint8_t)value};
    tls_cursor_put_bytes(writer, bytes, sizeof bytes);
}

void tls_cursor_put_u32(struct tls_writer *writer, uint32_t value)
{
    tls_cursor_put_u16(writer, (uint16_t)(value >> 16));
    tls_cursor_put_u16(writer, (uint16_t)value);
}

size_t tls_cursor_begin(struct tls_writer *writer, size_t width)
{
    static const uint8_t zeros[3];
    const size_t mark = writer->len;
    tls_cursor_put_bytes(writer, zeros, width);
    return mark;
}

void tls_cursor_end(struct tls_writer *writer, size_t mark, size_t width)
{
    if (writer->full)
        return;
    size_t len = writer->len - mark - width;
    if (len >> (8 * width) != 0) {
        writer->full = true;
        return;
    }
    for (size_t i = width; i > 0; i--) {
        writer->data[mark + i - 1] = (uint8_t)len;
        len >>= 8;
    }
}
