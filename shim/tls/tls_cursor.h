/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_TLS_CURSOR_H
#define SOCKSEAL_TLS_CURSOR_H

/*
 * The presentation language of RFC 8446, 3: a reader that cannot leave its bytes and a writer that cannot
 * leave its buffer. A reader's call gives false, and changes nothing, if the bytes do not suffice. A writer
 * that has run out of room stays `full` and writes nothing more, so that one check at the end is enough.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tls_reader {
    const uint8_t *at;
    size_t left;
};

struct tls_writer {
    uint8_t *data;
    size_t len;
    size_t cap;
    bool full;
};

struct tls_reader tls_cursor_reader(const uint8_t *data, size_t len);
bool tls_cursor_get_u8(struct tls_reader *reader, uint8_t *value);
bool tls_cursor_get_u16(struct tls_reader *reader, uint16_t *value);

/* The next `len` bytes, as a reader of their own. */
bool tls_cursor_get_bytes(struct tls_reader *reader, size_t len, struct tls_reader *bytes);

/* A vector: its length in one or two bytes, then its content, which must be at least `min` bytes long. */
bool tls_cursor_get_vector8(struct tls_reader *reader, size_t min, struct tls_reader *content);
bool tls_cursor_get_vector16(struct tls_reader *reader, size_t min, struct tls_reader *content);

struct tls_writer tls_cursor_writer(uint8_t *data, size_t cap);
void tls_cursor_put_u8(struct tls_writer *writer, uint8_t value);
void tls_cursor_put_u16(struct tls_writer *writer, uint16_t value);
void tls_cursor_put_u32(struct tls_writer *writer, uint32_t value);
void tls_cursor_put_bytes(struct tls_writer *writer, const uint8_t *data, size_t len);

/* A vector whose length is not known yet: leaves `width` bytes (1 to 3) for it and gives their place, which
 * tls_cursor_end() fills in. */
size_t tls_cursor_begin(struct tls_writer *writer, size_t width);
void tls_cursor_end(struct tls_writer *writer, size_t mark, size_t width);

#endif
