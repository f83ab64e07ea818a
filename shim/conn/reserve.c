/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "conn/reserve.h"

#include "conn/fdtable.h"

/* Whether there was ever one: most processes have none. */
static _Atomic bool used;

arena_ref reserve_for(int fd)
{
    const uint64_t cookie = fdtable_cookie(fd);
    arena_ref slot = arena_find(cookie);
    if (slot || !cookie || !(slot = arena_slot_take_alone(conn_layout())))
        return slot;
    arena_set_cookie(slot, cookie);
    reserve_arrived(slot);
    return slot;
}

static bool reserve_one(int fd, void *context)
{
    (void)context;
    reserve_for(fd);
    return false;
}

void reserve_copies(void)
{
    fdtable_each_unconnected(reserve_one, NULL);
}

arena_ref reserve_claim(int fd)
{
    const uint64_t cookie = atomic_load(&used) ? fdtable_cookie(fd) : 0;
    const arena_ref slot = arena_find(cookie);
    return slot && arena_is_reserved(slot) && arena_slot_claim(slot) ? slot : 0;
}

void reserve_arrived(arena_ref slot)
{
    atomic_store(&used, true);
    arena_reserve(slot, true);
}

static bool is_of_cookie(int fd, void *context)
{
    const uint64_t *cookie = context;
    return fdtable_cookie(fd) == *cookie;
}

static bool give_up(arena_ref slot, void *context)
{
    uint64_t cookie = arena_cookie(slot);
    (void)context;
    if (!arena_is_reserved(slot) || fdtable_descriptors(arena_slot(slot)) > 0 ||
        fdtable_each_unconnected(is_of_cookie, &cookie))
        return false;
    arena_reserve(slot, false);
    if (region_is_shared(slot))
        arena_slot_leave(slot);
    else
        arena_slot_give(arena_slot(slot));
    return false;
}

void reserve_sweep(void)
{
    if (!atomic_load(&used))
        return;
    bool locked = fdtable_lock();
    region_each(give_up, NULL);
    fdtable_unlock(locked);
}
