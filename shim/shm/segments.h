/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_SEGMENTS_H
#define SOCKSEAL_SEGMENTS_H

/*
 * Where the arena's memory is in this process. The memfd has room for all that there may ever be, since its
 * pages cost nothing before they are written to; the address space of a process costs (RLIMIT_AS), so each
 * process maps what it comes to use, in segments: a header, and the arrays that are named here.
 *
 * The tables of segments are this process's own; a forked child has a copy, and the mappings too. An entry is
 * set once and never changes, so that it is read without a lock. Mapping is lock-free and
 * async-signal-safe.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum segments_array {
    SEGMENTS_SLOTS,
    SEGMENTS_CHUNKS,
    SEGMENTS_NEXT_SLOT, /* the stack of free slots (arena.c) */
    SEGMENTS_NEXT_CHUNK,
    SEGMENTS_COOKIES,
    SEGMENTS_ARRAYS
};

enum {
    ARENA_SLOT_SIZE = 768,
    ARENA_SLOT_KEPT = 20, /* of its bytes, the first ones outlive the connection (arena.h) */
    /* One whole record (16,645 bytes) and some; whole pages, so that it can be given back. */
    ARENA_CHUNK_SIZE = 20480,
    /* Items, by a power of two; 0 is the index of none. */
    SEGMENTS_SLOTS_LOG = 18,
    SEGMENTS_CHUNKS_LOG = 17,
    /* Items in a segment, the same way: a segment is some multiple of 64 KiB, the largest page there is. */
    SEGMENTS_SLOT_SHIFT = 8,
    SEGMENTS_CHUNK_SHIFT = 6,
    SEGMENTS_NEXT_SHIFT = 14,
    SEGMENTS_COOKIE_SHIFT = 13,
    SEGMENTS_HEADER_SIZE = 65536,
};

/* The header's beginning: whose memory it is. All else in it is arena.c's. */
struct segments_identity {
    uint32_t magic, layout;
    _Atomic uint64_t id;          /* no other arena has it */
    _Atomic uint32_t unreachable; /* it is in no memfd, and all of it was mapped at once */
};

extern _Atomic(uint8_t *) segments_slots[1 << (SEGMENTS_SLOTS_LOG - SEGMENTS_SLOT_SHIFT)];
extern _Atomic(uint8_t *) segments_chunks[1 << (SEGMENTS_CHUNKS_LOG - SEGMENTS_CHUNK_SHIFT)];

/* The header in this process; NULL: there is no arena yet. */
void *segments_header(void);

/* Makes an arena if this process has none: `identity` says which build's. False if the kernel refuses the
 * memory. */
bool segments_make(const struct segments_identity *identity);

/* The arena in this memfd becomes ours, and the descriptor with it (OWNFD_ARENA), or is closed. False if it
 * is none, or another build's, or this process has one. */
bool segments_attach(int fd, const struct segments_identity *identity);

/* An item, in a segment that is mapped now if it was not: NULL if the kernel refuses that, or there is no
 * such item. */
void *segments_map(enum segments_array array, uint32_t item);

/* Says once in the log that the kernel refused memory. */
void segments_report(void);

/* A part of the arena in another tree's memfd, mapped for a while beside ours: of each array the segment that
 * was asked for last. */
struct segments_window {
    uint8_t *base;
    uint32_t segment;
};

void *segments_look_at(int fd, const struct segments_identity *identity); /* its header, or NULL */
void *segments_look(int fd, struct segments_window window[static SEGMENTS_ARRAYS], enum segments_array array,
                    uint32_t item);
void segments_look_away(void *header, struct segments_window window[static SEGMENTS_ARRAYS]);

#endif
