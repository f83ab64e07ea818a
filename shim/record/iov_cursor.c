/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "record/iov_cursor.h"

#include <string.h>

struct iov_cursor iov_cursor_of(const struct iovec *iov, size_t count)
{
    struct iov_cursor cursor = {.next = iov, .pieces = count};
    for (size_t i = 0; i < count; i++)
        cursor.left += iov[i].iov_len;
    return cursor;
}

uint8_t *iov_cursor_piece(struct iov_cursor *cursor, size_t *len)
{
    for (; cursor->here == 0 && cursor->pieces > 0; cursor->pieces--) {
        cursor->at = cursor->next->iov_base;
        cursor->here = cursor->next->iov_len;
        cursor->next++;
    }
    *len = cursor->here;
    return cursor->at;
}

/* Moves over `len` bytes of the piece that iov_cursor_piece() gave. */
static void step(struct iov_cursor *cursor, size_t len)
{
    cursor->at += len;
    cursor->here -= len;
    cursor->left -= len;
}

/* The next piece, and how much of it is within `len` bytes. That is 0 before the end only if another thread
 * of the program shortens the array of pieces at this moment. */
static uint8_t *piece_within(struct iov_cursor *cursor, size_t len, size_t *part)
{
    uint8_t *piece = iov_cursor_piece(cursor, part);
    if (*part > len)
        *part = len;
    return piece;
}

void iov_cursor_advance(struct iov_cursor *cursor, size_t len)
{
    size_t part;
    for (; len > 0; len -= part) {
        piece_within(cursor, len, &part);
        if (part == 0)
            break;
        step(cursor, part);
    }
}

void iov_cursor_gather(struct iov_cursor *cursor, uint8_t *out, size_t len)
{
    size_t part;
    for (; len > 0; len -= part, out += part) {
        const uint8_t *piece = piece_within(cursor, len, &part);
        if (part == 0)
            break;
        memcpy(out, piece, part);
        step(cursor, part);
    }
    if (len > 0)
        memset(out, 0, len);
}

void iov_cursor_scatter(struct iov_cursor *cursor, const uint8_t *data, size_t len)
{
    size_t part;
    for (; len > 0; len -= part, data += part) {
        uint8_t *piece = piece_within(cursor, len, &part);
        if (part == 0)
            break;
        memcpy(piece, data, part);
        step(cursor, part);
    }
}
