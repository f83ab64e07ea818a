/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_IOV_CURSOR_H
#define SOCKSEAL_IOV_CURSOR_H

/* A place in the program's memory, which may lie in several pieces (readv(2)). A copy of a cursor keeps the
 * place that it was made at. */

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct iov_cursor {
    uint8_t *at; /* the place, */
    size_t here; /* the bytes behind it in one piece, */
    const struct iovec *next;
    size_t pieces; /* the pieces that follow, */
    size_t left;   /* and the bytes behind the place in all */
};

/* At the beginning of these pieces. */
struct iov_cursor iov_cursor_of(const struct iovec *iov, size_t count);

/* At the beginning of one piece. */
static inline struct iov_cursor iov_cursor_one(void *memory, size_t len)
{
    return (struct iov_cursor){.at = memory, .here = len, .left = len};
}

/* The memory at the cursor that lies in one piece, and its length: 0 at the end. */
uint8_t *iov_cursor_piece(struct iov_cursor *cursor, size_t *len);

/* Moves over `len` bytes, at most `left`. */
void iov_cursor_advance(struct iov_cursor *cursor, size_t len);

/* Copies `len` bytes, at most `left`, out of the program's memory or into it, and moves over them. */
void iov_cursor_gather(struct iov_cursor *cursor, uint8_t *out, size_t len);
void iov_cursor_scatter(struct iov_cursor *cursor, const uint8_t *data, size_t len);

#endif
