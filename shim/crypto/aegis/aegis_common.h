/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_AEGIS_COMMON_H
#define SOCKSEAL_AEGIS_COMMON_H

/*
 * What every backend needs: constants, and short pieces of a message's parts, to and from a block in memory.
 * Static and inlined, so that each backend has its own, compiled with its own flags. Included behind the
 * backend's vectors. No call to libc: the vector registers would have to be saved around it.
 */

#include <string.h>

#include "crypto/aegis/aegis_backend.h"

enum { BLOCK_MAX = 128 };

/* C0 and C1 */
static const uint8_t fibonacci[32] = {
    0x00, 0x01, 0x01, 0x02, 0x03, 0x05, 0x08, 0x0d, 0x15, 0x22, 0x37, 0x59, 0x90, 0xe9, 0x79, 0x62,
    0xdb, 0x3d, 0x18, 0x55, 0x6d, 0xc2, 0x2f, 0xf1, 0x20, 0x11, 0x31, 0x42, 0x73, 0xb5, 0x28, 0xdd,
};

/* ctx[] of Init() for 1, 2 and 4 lanes: lane and number of lanes less one, in the first two bytes of each. */
static const uint8_t lane_contexts[3][64] = {
    {0},
    {[0] = 0, [1] = 1, [16] = 1, [17] = 1},
    {[0] = 0, [1] = 3, [16] = 1, [17] = 3, [32] = 2, [33] = 3, [48] = 3, [49] = 3},
};

/* BLOCK_MAX ones, then as many zeros: from n bytes before the middle, a mask of n bytes. */
#define ONES_16 -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1
static const int8_t ones_and_zeros[2 * BLOCK_MAX] = {ONES_16, ONES_16, ONES_16, ONES_16,
                                                     ONES_16, ONES_16, ONES_16, ONES_16};
#undef ONES_16

/* A place in a message. */
struct cursor {
    const struct aegis_part *part;
    size_t offset; /* in the part */
};

/* Copies fewer than 256 bytes. */
static inline void copy_short(uint8_t *to, const uint8_t *from, size_t len)
{
    for (; len >= 16; len -= 16, to += 16, from += 16)
        v1_store(to, v1_load(from));
    if (len & 8) {
        memcpy(to, from, 8);
        to += 8;
        from += 8;
    }
    if (len & 4) {
        memcpy(to, from, 4);
        to += 4;
        from += 4;
    }
    if (len & 2) {
        memcpy(to, from, 2);
        to += 2;
        from += 2;
    }
    if (len & 1)
        *to = *from;
}

static inline size_t parts_len(const struct aegis_message *message)
{
    size_t len = 0;
    for (size_t i = 0; i < message->count; i++)
        len += message->parts[i].len;
    return len;
}

/* Moves over the ends of parts, to the next byte. There must be one. */
static inline void cursor_settle(struct cursor *at)
{
    while (at->offset == at->part->len) {
        at->part++;
        at->offset = 0;
    }
}

/* The cursor `rest` bytes before the message's end. */
static inline struct cursor parts_tail(const struct aegis_message *message, size_t rest)
{
    struct cursor at = {message->parts + message->count, 0};
    while (rest > 0) {
        at.part--;
        at.offset = rest < at.part->len ? at.part->len - rest : 0;
        rest -= at.part->len - at.offset;
    }
    return at;
}

/* Takes `len` bytes of input from the cursor, over the ends of parts, and leaves the cursor behind them. */
static inline void parts_gather(struct cursor *at, uint8_t *block, size_t len)
{
    for (size_t have = 0, step; have < len; have += step, at->offset += step) {
        cursor_settle(at);
        step = at->part->len - at->offset;
        if (step > len - have)
            step = len - have;
        copy_short(block + have, at->part->in + at->offset, step);
    }
}

/* The same the other way: puts `len` bytes of output. */
static inline void parts_scatter(struct cursor *at, const uint8_t *block, size_t len)
{
    for (size_t done = 0, step; done < len; done += step, at->offset += step) {
        cursor_settle(at);
        step = at->part->len - at->offset;
        if (step > len - done)
            step = len - done;
        copy_short(at->part->out + at->offset, block + done, step);
    }
}

#endif
