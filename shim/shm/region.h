/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_REGION_H
#define SOCKSEAL_REGION_H

/*
 * Memory for connections that another process may come to share: a region is a memfd with one area, or with
 * up to REGION_AREAS. An area is the memory of one connection, and page aligned: the connection's page, some
 * chunks in front of it, and an annex with more chunks, which is mapped when they are needed.
 *
 * What a region is used for is known to this process alone, in private memory: there is no index that
 * processes share. The process that has made a region puts connections into it until another process can
 * reach it (region_share_all()). From then on each process has only those areas mapped whose connection it
 * holds. Private zero pages take the place of an area that is left, so that a thread that has looked the
 * connection up before finds nothing, and no fault. A region's range of addresses is used again for another
 * region, but never given back: the kernel may be writing there for a thread that is in a call.
 *
 * Everything here is lock-free and async-signal-safe, except what is said to need the caller's lock.
 */

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

/* The area that this address, of a connection's page, belongs to; 0: none. */
region_ref region_of(const void *page);

/* Takes an area that no other process can reach. Its page is zero, except for what region_give() was told to
 * keep. `layout` tells one build's connections from another's. 0 if the kernel refuses the memory. */
region_ref region_take(uint32_t layout);

/* The same, in a new region of its own. */
region_ref region_take_alone(uint32_t layout);

/* Gives an area back whose connection has ended, if this process can use it again; its first `kept` bytes
 * stay. Else nothing happens: region_leave() is to follow. */
void region_give(region_ref area, size_t kept);

/* This process has no descriptor of the area's connection any more, or never had one: takes it out of the
 * address space if another process may reach it, and closes the region's descriptor if no area of it is left
 * here. The caller keeps others from region_import() meanwhile. Whether it was taken out. */
bool region_leave(region_ref area);

/* Another process is about to reach all that this process has. */
void region_share_all(void);

/* Whether this process has the area. */
bool region_is_held(region_ref area);

/* Whether the area is held, and in a region that another process can reach. */
bool region_is_shared(region_ref area);

/* Whether who got the area's region would get other connections' memory, too; or this process itself cannot
 * give it to anybody any more. */
bool region_is_crowded(region_ref area);

/* Rights are given up: closes the descriptor of each region of which areas were left, or may be. What is
 * still held of it stays mapped. */
void region_restrict(void);

/* The region's descriptor, for another process or program, and the area's number in it, which goes into
 * *index. -1 if there is none. From then on the region is shared. */
int region_export(region_ref area, uint32_t *index);

/* Maps the area of this number in the region of this descriptor. The same area is mapped once. `keep`: the
 * descriptor is at a high number, and becomes the library's own if the region is new here (ownfd_is()); else
 * it stays the caller's. 0 if it is no such region or if the kernel refuses. */
region_ref region_import(int fd, uint32_t index, uint32_t layout, bool keep);

/* Calls `visit` for each area that this process holds, until it gives true. */
void region_each(bool (*visit)(region_ref area, void *context), void *context);

/* Whether the area's annex is mapped; maps it if it is not. */
bool region_map_annex(region_ref area);

/* Where the annex is; NULL if it is not mapped. */
uint8_t *region_annex(region_ref area);

/* Logs, once in a process, that the kernel refused memory. */
void region_report(void);

#endif
