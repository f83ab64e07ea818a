/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_AEAD_PARTS_H
#define SOCKSEAL_AEAD_PARTS_H

/*
 * A message for an AEAD, in parts, and short copies between parts and a cipher's blocks. Inlined, and without
 * a call to libc: a cipher that uses this has its state in vector registers, which would have to be saved.
 */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * A part of a message, cut anywhere: `len` bytes from `in`, encrypted or decrypted, go to `out`, which is
 * `in` or does not overlap it. Nor does it overlap another part, the key, the associated data or the tag.
 */
struct aead_part {
    const uint8_t *in;
    uint8_t *out;
    size_t len;
};

/* Key and nonce are as long as the cipher's are. A pair of them seals one message only. */
struct aead_message {
    const uint8_t *key, *nonce;
    const uint8_t *ad; /* associated data */
    size_t ad_len;
    struct aead_part *parts; /* used up by the call */
    size_t count;
};

/* A place in a message. */
struct aead_cursor {
    const struct aead_part *part;
    size_t offset; /* in the part */
};

/* For a few hundred bytes at most. */
static inline void aead_copy_short(uint8_t *to, const uint8_t *from, size_t len)
{
    for (; len >= 16; len -= 16, to += 16, from += 16) {
        memcpy(to, from, 16);
        __asm__("" : "+r"(to)); /* or the compiler makes a call of memcpy() of the loop */
    }
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

static inline size_t aead_parts_len(const struct aead_message *message)
{
    size_t len = 0;
    for (size_t i = 0; i < message->count; i++)
        len += message->parts[i].len;
    return len;
}

/* Moves over the ends of parts, to the next byte. There must be one. */
static inline void aead_cursor_settle(struct aead_cursor *at)
{
    while (at->offset == at->part->len) {
        at->part++;
        at->offset = 0;
    }
}

/* How many of `len` bytes lie in one piece at the cursor. */
static inline size_t aead_cursor_here(struct aead_cursor *at, size_t len)
{
    aead_cursor_settle(at);
    const size_t here = at->part->len - at->offset;
    return here < len ? here : len;
}

/* Takes `len` bytes of input from the cursor, over the ends of parts, and leaves the cursor behind them. */
static inline void aead_parts_gather(struct aead_cursor *at, uint8_t *block, size_t len)
{
    for (size_t have = 0, step; have < len; have += step, at->offset += step) {
        step = aead_cursor_here(at, len - have);
        aead_copy_short(block + have, at->part->in + at->offset, step);
    }
}

/* The same the other way: puts `len` bytes of output. */
static inline void aead_parts_scatter(struct aead_cursor *at, const uint8_t *block, size_t len)
{
    for (size_t done = 0, step; done < len; done += step, at->offset += step) {
        step = aead_cursor_here(at, len - done);
        aead_copy_short(at->part->out + at->offset, block + done, step);
    }
}

/* Takes the last `len` bytes of a message's input, or puts those of its output. */
static inline void aead_parts_gather_tail(const struct aead_message *message, uint8_t *block, size_t len)
{
    for (const struct aead_part *part = message->parts + message->count; len > 0;) {
        part--;
        const size_t step = part->len < len ? part->len : len;
        len -= step;
        aead_copy_short(block + len, part->in + (part->len - step), step);
    }
}

static inline void aead_parts_scatter_tail(const struct aead_message *message, const uint8_t *block,
                                           size_t len)
{
    for (const struct aead_part *part = message->parts + message->count; len > 0;) {
        part--;
        const size_t step = part->len < len ? part->len : len;
        len -= step;
        aead_copy_short(part->out + (part->len - step), block + len, step);
    }
}

/* Zeros in all of the output. */
static inline void aead_parts_clear(const struct aead_message *message)
{
    for (size_t i = 0; i < message->count; i++)
        if (message->parts[i].len > 0)
            memset(message->parts[i].out, 0, message->parts[i].len);
}

#endif
