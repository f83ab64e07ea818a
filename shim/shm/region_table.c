/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "shm/region_table.h"

/* A region's number is given to another one only after so many more of its size were left: a thread that has
 * looked up a connection of it before gets that time. */
enum { REST = 16 };

_Atomic(uint8_t *) region_bases[REGION_COUNT];

struct region region_table[REGION_COUNT];
_Atomic uint32_t region_table_end = 1;

static _Atomic uint32_t times_left;

bool region_table_change(struct region *region, enum region_state from, enum region_state to)
{
    uint8_t expected = (uint8_t)from;
    return atomic_compare_exchange_strong(&region->state, &expected, (uint8_t)to);
}

static bool has_rested(const struct region *region)
{
    return atomic_load(&times_left) - atomic_load(&region->rest) >= REST;
}

struct region *region_table_claim(unsigned areas)
{
    const uint32_t count = atomic_load(&region_table_end);
    for (uint32_t i = 1; i < count; i++) {
        if (region_table_state(&region_table[i]) == REGION_LEFT && region_table[i].areas == areas &&
            has_rested(&region_table[i]) && region_table_change(&region_table[i], REGION_LEFT, REGION_BUSY))
            return &region_table[i];
    }
    for (uint32_t next = count; next < REGION_COUNT; next = atomic_load(&region_table_end)) {
        if (!atomic_compare_exchange_strong(&region_table_end, &next, next + 1))
            continue;
        region_table[next].areas = (uint8_t)areas;
        atomic_store(&region_table[next].state, REGION_BUSY);
        return &region_table[next];
    }
    return NULL;
}

void region_table_unclaim(struct region *region)
{
    ownfd_drop(region_table_kind(region));
    atomic_store(&region->rest, atomic_load(&times_left) - REST);
    atomic_store(&region->state, REGION_LEFT);
}

void region_table_leave(struct region *region)
{
    atomic_store(&region->rest, atomic_fetch_add(&times_left, 1));
    atomic_store(&region->state, REGION_LEFT);
}

void region_table_place(struct region *region, uint8_t *start)
{
    atomic_store_explicit(&region_bases[region - region_table], start + REGION_ROOM, memory_order_release);
}

uint8_t *region_table_reserved(const struct region *region)
{
    uint8_t *base = atomic_load(&region_bases[region - region_table]);
    return base ? base - REGION_ROOM : NULL;
}

unsigned region_table_spare(void)
{
    const uint32_t count = atomic_load(&region_table_end);
    unsigned spare = 0;
    for (uint32_t i = 1; i < count; i++)
        spare += region_table_state(&region_table[i]) == REGION_OPEN && !atomic_load(&region_table[i].held);
    return spare;
}
