/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_IOV_CURSOR_H
#define SOCKSEAL_IOV_CURSOR_H

/* A position in the program's memory, which may be in several pieces (readv(2)). A copy of a cursor keeps its
 * own position. */

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct iov_cursor {
    uint8_t *at;              /* the position */
    size_t here;              /* bytes from there to the end of its piece */
    const struct iovec *next; /* the pieces that follow, */
    size_t pieces;            /* and their number */
    size_t left;              /* bytes from the position to the end of all pieces */
};

/* A cursor at the start of `count` pieces. The array must stay. */
struct iov_cursor iov_cursor_of(const struct iovec *iov, size_t count);

/* A cursor at the start of one piece. */
static inline struct iov_cursor iov_cursor_one(void *memory, size_t len)
{
    return (struct iov_cursor){.at = memory, .here = len, .left = len};
}

/* The memory from the position to the end of its piece; *len is 0 at the end of all pieces. */
uint8_t *iov_cursor_piece(struct iov_cursor *cursor, size_t *len);

/* Moves over `len` bytes, at most `left`. */
void iov_cursor_advance(struct iov_cursor *cursor, size_t len);

/* Copies `len` bytes, at most `left`, from the program's memory to `out`, and moves over them. */
void iov_cursor_gather(struct iov_cursor *cursor, uint8_t *out, size_t len);

/* Copies `len` bytes, at most `left`, from `data` to the program's memory, and moves over them. */
void iov_cursor_scatter(struct iov_cursor *cursor, const uint8_t *data, size_t len);

#endif
