/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_REGION_TABLE_H
#define SOCKSEAL_REGION_TABLE_H

/* The regions of this process (region.h), by their numbers: in private memory. A number is given to one
 * thread at a time to be filled, and rests before it is used again. Lock-free and async-signal-safe. */

#include <sys/types.h>

#include "shm/ownfd.h"
#include "shm/region_layout.h"

enum region_state {
    REGION_NONE,   /* never used */
    REGION_BUSY,   /* being made or left, by one thread */
    REGION_OPEN,   /* no other process can reach it */
    REGION_SHARED, /* another one may */
    REGION_LEFT,   /* nothing of it is mapped; its range of addresses waits for another region */
};

/* What this process knows of a region. */
struct region {
    _Atomic uint8_t state;
    uint8_t areas;            /* in its file; this many have room in the range of addresses */
    bool anonymous;           /* there is no memfd, and forked children alone have it */
    _Atomic uint64_t held;    /* areas that are in use here, a bit for each */
    _Atomic uint64_t annexed; /* areas whose annex is mapped */
    _Atomic bool partial;     /* it may have areas whose connections others hold, and not this process */
    uint64_t id;
    dev_t device; /* of the file, and its inode number; 0: not asked for yet */
    ino_t inode;
    _Atomic uint32_t rest; /* how many of its size had been left when it was */
};

/* By number, from 1 on; and one past the highest that is used. */
extern struct region region_table[REGION_COUNT];
extern _Atomic uint32_t region_table_end;

static inline struct region *region_table_of(region_ref area)
{
    return &region_table[area >> REGION_SHIFT];
}

static inline uint64_t region_table_bit(region_ref area)
{
    return (uint64_t)1 << (area & (REGION_AREAS - 1));
}

static inline region_ref region_table_ref(const struct region *region, unsigned index)
{
    return (region_ref)(region - region_table) << REGION_SHIFT | index;
}

static inline enum ownfd_kind region_table_kind(const struct region *region)
{
    return (enum ownfd_kind)(OWNFD_REGIONS + (region - region_table));
}

static inline enum region_state region_table_state(const struct region *region)
{
    return (enum region_state)atomic_load_explicit(&region->state, memory_order_acquire);
}

static inline bool region_table_in_use(const struct region *region)
{
    return region_table_state(region) == REGION_OPEN || region_table_state(region) == REGION_SHARED;
}

/* A bit for each area that is in its file. */
static inline uint64_t region_table_all(const struct region *region)
{
    return region->areas == 64 ? ~(uint64_t)0 : ((uint64_t)1 << region->areas) - 1;
}

/* If it is in the first state, it is in the second one now: whether it was. */
bool region_table_change(struct region *region, enum region_state from, enum region_state to);

/* A number for a region of this size, which is the caller's to fill; NULL: none is left. */
struct region *region_table_claim(unsigned areas);

/* Gives back one that was claimed and not filled. */
void region_table_unclaim(struct region *region);

/* Nothing of it is mapped any more, and its descriptor is closed: from now on it rests. The caller has set it
 * to REGION_BUSY. */
void region_table_leave(struct region *region);

/* Records where its areas are; where those of the number's last region were (NULL: it is the first). */
void region_table_place(struct region *region, uint8_t *start);
uint8_t *region_table_reserved(const struct region *region);

/* How many open regions have no connection. */
unsigned region_table_spare(void);

#endif
