/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_SEGMENTS_H
#define SOCKSEAL_SEGMENTS_H

/*
 * Where the arena's memory is in this process. The memfd has its full size from the start, since its pages
 * cost nothing before they are written to. Address space is limited (RLIMIT_AS), so a process maps only what
 * it uses: a header, and segments of the arrays that are named below.
 *
 * The tables of mapped segments belong to this process; a forked child has a copy of them and the mappings
 * too. An entry is set once and never changes, so it is read without a lock. Mapping is lock-free and
 * async-signal-safe.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum segments_array {
    SEGMENTS_SLOTS,
    SEGMENTS_CHUNKS,
    SEGMENTS_NEXT_SLOT,  /* for each slot, the next on the stack of free ones (arena.c) */
    SEGMENTS_NEXT_CHUNK, /* the same for chunks */
    SEGMENTS_COOKIES,    /* for each slot, its socket's SO_COOKIE */
    SEGMENTS_ARRAYS
};

enum {
    ARENA_SLOT_SIZE = 768,
    /* The first bytes of a slot, which outlive its connection (arena.h). */
    ARENA_SLOT_KEPT = 28,
    /* At least one whole record (16,645 bytes), and whole pages, so that these can go back to the kernel. */
    ARENA_CHUNK_SIZE = 20480,
    /* Items in an array, as a power of two. Index 0 means none. */
    SEGMENTS_SLOTS_LOG = 18,
    SEGMENTS_CHUNKS_LOG = 17,
    /* Items in a segment, as a power of two. A segment is a multiple of 64 KiB, the largest page size. */
    SEGMENTS_SLOT_SHIFT = 8,
    SEGMENTS_CHUNK_SHIFT = 6,
    SEGMENTS_NEXT_SHIFT = 14,
    SEGMENTS_COOKIE_SHIFT = 13,
    SEGMENTS_HEADER_SIZE = 65536,
};

/* The start of the header; the rest of it belongs to arena.c. */
struct segments_identity {
    uint32_t magic, layout;
    _Atomic uint64_t id;          /* different for each arena */
    _Atomic uint32_t unreachable; /* there is no memfd: everything was mapped at once */
};

/* The mapped segments of slots and chunks; NULL: not mapped. */
extern _Atomic(uint8_t *) segments_slots[1 << (SEGMENTS_SLOTS_LOG - SEGMENTS_SLOT_SHIFT)];
extern _Atomic(uint8_t *) segments_chunks[1 << (SEGMENTS_CHUNKS_LOG - SEGMENTS_CHUNK_SHIFT)];

/* The header as mapped in this process; NULL if there is no arena yet. */
void *segments_header(void);

/* Makes an arena if this process has none; magic and layout of `identity` go into its header. False if the
 * kernel refuses the memory. */
bool segments_make(const struct segments_identity *identity);

/* Uses the arena in this memfd and keeps the descriptor (OWNFD_ARENA). False, with fd closed, if it is not
 * an arena of this identity, or if this process has one already. */
bool segments_attach(int fd, const struct segments_identity *identity);

/* The memory of an item, whose segment is mapped now if it was not. NULL if the kernel refuses, or if there
 * is no such item. */
void *segments_map(enum segments_array array, uint32_t item);

/* Logs, once in a process, that the kernel refused memory. */
void segments_report(void);

/* Windows into the arena in another process tree's memfd: of each array, the segment that was asked for last
 * is mapped. */
struct segments_window {
    uint8_t *base;
    uint32_t segment;
};

/* Maps the header of the arena in this memfd; NULL if it is not an arena of this identity. */
void *segments_window_header(int fd, const struct segments_identity *identity);

/* The memory of an item, valid until an item of another segment of the same array is asked for. NULL if the
 * kernel refuses, or if there is no such item. */
void *segments_window_map(int fd, struct segments_window window[static SEGMENTS_ARRAYS],
                          enum segments_array array, uint32_t item);

/* Unmaps the windows and the header. */
void segments_window_unmap(void *header, struct segments_window window[static SEGMENTS_ARRAYS]);

#endif
