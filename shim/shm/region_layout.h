/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_REGION_LAYOUT_H
#define SOCKSEAL_REGION_LAYOUT_H

/* How a region's memory is laid out (region.h): sizes, and the page of each connection. */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
#if defined(__x86_64__)
    REGION_PAGE = 4096,
#else
    REGION_PAGE = 65536, /* the largest page that this architecture may have */
#endif
    /* At least one whole record (16,645 bytes), and whole pages of 4096 bytes. */
    REGION_CHUNK_SIZE = 20480,
    REGION_CHUNKS = 124, /* of one connection: as many as its queues can use, and some */
    REGION_NEAR = 4,     /* of these, in the area itself: as many as a handshake uses */
    REGION_AREAS = 64,
    REGION_SHIFT = 6,
    REGION_COUNT = 4096,
    /* So many connections of a process have a region each: then their memory can be handed over one by one.
     * For each region the process has a descriptor of the library's own: of a small limit on these
     * (RLIMIT_NOFILE) at most one in REGION_DESCRIPTORS is used so. */
    REGION_SINGLES = 32,
    REGION_DESCRIPTORS = 16,
    /* So many regions without a connection are kept for the next ones. */
    REGION_SPARE = 8,

    REGION_ROOM = (REGION_NEAR * REGION_CHUNK_SIZE + REGION_PAGE - 1) / REGION_PAGE * REGION_PAGE,
    REGION_STRIDE = REGION_ROOM + REGION_PAGE,
    REGION_ANNEX =
        ((REGION_CHUNKS - REGION_NEAR) * REGION_CHUNK_SIZE + REGION_PAGE - 1) / REGION_PAGE * REGION_PAGE,
    /* Of the connection's page; the rest is struct region_tail. */
    REGION_CONNECTION_SIZE = 4096 - 64,
};

/* Number of an area in this process: the region's number, and the area's in it. 0: none. */
typedef uint32_t region_ref;

enum { REGION_REFS = REGION_COUNT << REGION_SHIFT };

/* The end of the connection's page. Its content is not trusted. */
struct region_tail {
    _Atomic uint64_t taken[2]; /* chunks in use, a bit for each */
    _Atomic uint64_t warm[2];  /* chunks that are not in use, and have kept their pages */
    _Atomic uint64_t id;       /* different for each region */
    uint32_t layout;
    _Atomic uint32_t claimed; /* arena_slot_claim() */
};

_Static_assert(sizeof(struct region_tail) <= 4096 - REGION_CONNECTION_SIZE, "the tail fits the page");

/* Where the first connection's page of each region is. Never changes once it is set. */
extern _Atomic(uint8_t *) region_bases[REGION_COUNT];

/* The connection's page of an area that this process holds or has held. */
static inline uint8_t *region_page(region_ref area)
{
    return atomic_load_explicit(&region_bases[area >> REGION_SHIFT], memory_order_relaxed) +
           (size_t)(area & (REGION_AREAS - 1)) * REGION_STRIDE;
}

static inline struct region_tail *region_tail(const void *page)
{
    return (struct region_tail *)(uintptr_t)((const uint8_t *)page + REGION_CONNECTION_SIZE);
}

#endif
