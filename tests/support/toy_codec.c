/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "toy_codec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void require(bool condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "toy peer: %s\n", what);
        abort();
    }
}

void toy_put(struct toy_buffer *buffer, const void *bytes, size_t len)
{
    require(len <= sizeof buffer->data - buffer->len, "a buffer is full");
    if (len > 0)
        memcpy(buffer->data + buffer->len, bytes, len);
    buffer->len += len;
}

void toy_put_number(struct toy_buffer *buffer, uint64_t value, size_t width)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < width; i++)
        bytes[i] = (uint8_t)(value >> (8 * (width - 1 - i)));
    toy_put(buffer, bytes, width);
}

size_t toy_vector_begin(struct toy_buffer *buffer, size_t width)
{
    toy_put_number(buffer, 0, width);
    return buffer->len;
}

void toy_vector_end(struct toy_buffer *buffer, size_t mark, size_t width)
{
    size_t end = buffer->len;
    buffer->len = mark - width;
    toy_put_number(buffer, end - mark, width);
    buffer->len = end;
}

uint32_t toy_number(const uint8_t *bytes, size_t width)
{
    uint32_t value = 0;
    for (size_t i = 0; i < width; i++)
        value = value << 8 | bytes[i];
    return value;
}

void toy_message(struct toy_buffer *buffer, uint8_t type, const void *body, size_t len)
{
    toy_put_number(buffer, type, 1);
    toy_put_number(buffer, len, 3);
    toy_put(buffer, body, len);
}

void toy_plain_record(struct toy_buffer *buffer, uint8_t type, const void *content, size_t len)
{
    toy_put_number(buffer, type, 1);
    toy_put_number(buffer, 0x0303, 2);
    toy_put_number(buffer, len, 2);
    toy_put(buffer, content, len);
}

struct toy_extension *toy_hello_find(struct toy_hello *hello, uint16_t type)
{
    for (size_t i = 0; i < hello->extension_count; i++) {
        if (hello->extensions[i].type == type)
            return &hello->extensions[i];
    }
    return NULL;
}

void toy_hello_insert(struct toy_hello *hello, size_t index, uint16_t type, const void *body, size_t len)
{
    require(hello->extension_count < TOY_EXTENSIONS_MAX && len <= TOY_EXTENSION_BODY_MAX,
            "an extension too many");
    struct toy_extension *place = &hello->extensions[index];
    memmove(place + 1, place, (hello->extension_count - index) * sizeof *place);
    hello->extension_count++;
    place->type = type;
    place->len = len;
    if (len > 0)
        memcpy(place->body, body, len);
}

void toy_hello_append(struct toy_hello *hello, uint16_t type, const void *body, size_t len)
{
    toy_hello_insert(hello, hello->extension_count, type, body, len);
}

void toy_hello_remove(struct toy_hello *hello, uint16_t type)
{
    struct toy_extension *place = toy_hello_find(hello, type);
    require(place != NULL, "no such extension to remove");
    size_t after = hello->extension_count - (size_t)(place - hello->extensions) - 1;
    memmove(place, place + 1, after * sizeof *place);
    hello->extension_count--;
}

void toy_hello_replace(struct toy_hello *hello, uint16_t type, const void *body, size_t len)
{
    struct toy_extension *place = toy_hello_find(hello, type);
    require(place != NULL && len <= TOY_EXTENSION_BODY_MAX, "no such extension to replace");
    place->len = len;
    if (len > 0)
        memcpy(place->body, body, len);
}

static void encode_extensions(const struct toy_hello *hello, struct toy_buffer *message)
{
    size_t mark = toy_vector_begin(message, 2);
    for (size_t i = 0; i < hello->extension_count; i++) {
        const struct toy_extension *extension = &hello->extensions[i];
        toy_put_number(message, extension->type, 2);
        toy_put_number(message, extension->len, 2);
        toy_put(message, extension->body, extension->len);
    }
    toy_vector_end(message, mark, 2);
}

void toy_hello_encode(const struct toy_hello *hello, struct toy_buffer *message)
{
    bool client = hello->type == TOY_CLIENT_HELLO;
    message->len = 0;
    toy_put_number(message, hello->type, 1);
    size_t mark = toy_vector_begin(message, 3);
    toy_put_number(message, hello->legacy_version, 2);
    toy_put(message, hello->random, sizeof hello->random);
    toy_put_number(message, hello->session_id_len, 1);
    toy_put(message, hello->session_id, hello->session_id_len);
    if (client)
        toy_put_number(message, hello->suites_len, 2);
    toy_put(message, hello->suites, hello->suites_len);
    if (client)
        toy_put_number(message, hello->compression_len, 1);
    toy_put(message, hello->compression, hello->compression_len);
    encode_extensions(hello, message);
    toy_vector_end(message, mark, 3);
}

/* A bounded reader: `left` becomes SIZE_MAX on the first read past the end. */
void toy_hello_pad(struct toy_buffer *message, uint16_t type, const void *body, size_t len)
{
    static struct toy_buffer rest;
    uint8_t *data = message->data;
    size_t at = 4 + 2 + 32 + 1 + (size_t)data[38];
    at += 2 + toy_number(data + at, 2);
    at += 1 + (size_t)data[at];
    const size_t extensions = toy_number(data + at, 2) + 4 + len;
    const size_t whole = toy_number(data + 1, 3) + 4 + len;
    require(message->len == whole - len && extensions < 65536, "no room in that message");
    data[1] = (uint8_t)(whole >> 16);
    data[2] = (uint8_t)(whole >> 8);
    data[3] = (uint8_t)whole;
    data[at++] = (uint8_t)(extensions >> 8);
    data[at++] = (uint8_t)extensions;
    rest.len = 0;
    toy_put(&rest, data + at, message->len - at);
    message->len = at;
    toy_put_number(message, type, 2);
    toy_put_number(message, len, 2);
    toy_put(message, body, len);
    toy_put(message, rest.data, rest.len);
}

struct reader {
    const uint8_t *next;
    size_t left;
};

static bool take(struct reader *reader, void *out, size_t len)
{
    if (reader->left == SIZE_MAX || len > reader->left) {
        reader->left = SIZE_MAX;
        return false;
    }
    memcpy(out, reader->next, len);
    reader->next += len;
    reader->left -= len;
    return true;
}

static size_t take_number(struct reader *reader, size_t width)
{
    uint8_t bytes[4] = {0};
    return take(reader, bytes, width) ? toy_number(bytes, width) : 0;
}

static size_t take_vector(struct reader *reader, size_t width, uint8_t *out, size_t max)
{
    size_t len = take_number(reader, width);
    if (len > max)
        reader->left = SIZE_MAX;
    return take(reader, out, len) ? len : 0;
}

static void decode_extensions(struct toy_hello *hello, struct reader *reader)
{
    if (take_number(reader, 2) != reader->left)
        reader->left = SIZE_MAX;
    while (reader->left != 0 && reader->left != SIZE_MAX) {
        if (hello->extension_count == TOY_EXTENSIONS_MAX) {
            reader->left = SIZE_MAX;
            return;
        }
        struct toy_extension *extension = &hello->extensions[hello->extension_count++];
        extension->type = (uint16_t)take_number(reader, 2);
        extension->len = take_vector(reader, 2, extension->body, sizeof extension->body);
    }
}

bool toy_hello_decode(struct toy_hello *hello, const uint8_t *message, size_t len)
{
    struct reader reader = {message, len};
    memset(hello, 0, sizeof *hello);
    hello->type = (uint8_t)take_number(&reader, 1);
    if (take_number(&reader, 3) != reader.left)
        return false;
    hello->legacy_version = (uint16_t)take_number(&reader, 2);
    take(&reader, hello->random, sizeof hello->random);
    hello->session_id_len = take_vector(&reader, 1, hello->session_id, 32);
    if (hello->type == TOY_CLIENT_HELLO) {
        hello->suites_len = take_vector(&reader, 2, hello->suites, sizeof hello->suites);
        hello->compression_len = take_vector(&reader, 1, hello->compression, sizeof hello->compression);
    } else {
        hello->suites_len = 2;
        hello->compression_len = 1;
        take(&reader, hello->suites, 2);
        take(&reader, hello->compression, 1);
    }
    decode_extensions(hello, &reader);
    return reader.left == 0;
}
