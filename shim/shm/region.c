/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "shm/region.h"

#include <string.h>
#include <sys/resource.h>

#include "diag/log.h"
#include "shm/region_file.h"
#include "shm/region_map.h"
#include "sys/file.h"
#include "sys/net.h"

static _Atomic bool restricted; /* region_restrict() was called */

void region_report(void)
{
    static _Atomic bool told;
    if (!atomic_exchange(&told, true))
        log_line(
            LOG_ERROR,
            "the kernel refuses memory for sealed connections; check the limit on this process's address "
            "space (RLIMIT_AS, ulimit -v)");
}

region_ref region_of(const void *page)
{
    const uint32_t count = atomic_load(&region_table_end);
    for (uint32_t i = 1; i < count; i++) {
        const uint8_t *base = atomic_load_explicit(&region_bases[i], memory_order_acquire);
        const size_t offset = (size_t)((uintptr_t)page - (uintptr_t)base);
        if (base && offset < (size_t)region_table[i].areas * REGION_STRIDE)
            return region_table_ref(&region_table[i], (unsigned)(offset / REGION_STRIDE));
    }
    return 0;
}

/* ---- making ---- */

static uint64_t new_id(void)
{
    static _Atomic uint64_t made;
    return (uint64_t)sys_getpid() << 32 ^ (uint64_t)net_now_ns() ^ atomic_fetch_add(&made, 1) << 52;
}

static void identify(const struct region *region, region_ref area, uint32_t layout)
{
    struct region_tail *tail = region_tail(region_page(area));
    atomic_store(&tail->id, region->id);
    tail->layout = layout;
}

/* Without a memfd the region is shared with forked children, but with no other program. */
static bool fill_anonymous(struct region *region)
{
    uint8_t *start =
        region_map(region_table_reserved(region), REGION_STRIDE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (!start)
        return false;
    region_table_place(region, start);
    region->anonymous = true;
    return true;
}

static bool fill(struct region *region, int fd)
{
    region->anonymous = false;
    region->inode = 0;
    fd = ownfd_keep(region_table_kind(region), fd);
    uint8_t *start = fd < 0 ? NULL
                            : region_map(region_table_reserved(region), (size_t)region->areas * REGION_STRIDE,
                                         MAP_SHARED, fd, region_file_area(region, 0));
    if (start)
        region_table_place(region, start);
    return start;
}

/* A new region, of which the first area is taken. 0: the kernel refuses. */
static region_ref make(unsigned areas, uint32_t layout)
{
    const int fd = region_file_make(areas);
    if (fd < 0 && areas > 1)
        return 0;
    struct region *region = region_table_claim(areas);
    if (!region) {
        if (fd >= 0)
            sys_close(fd);
        return 0;
    }
    if (!(fd >= 0 && fill(region, fd)) && !(areas == 1 && fill_anonymous(region))) {
        region_table_unclaim(region);
        return 0;
    }
    atomic_store(&region->partial, false);
    region->id = new_id();
    identify(region, region_table_ref(region, 0), layout);
    region_map_lock(region, region_table_ref(region, 0));
    atomic_store(&region->held, 1);
    atomic_store(&region->state, REGION_OPEN);
    return region_table_ref(region, 0);
}

/* ---- areas ---- */

/* Nothing of it is held any more. */
static void leave_region(struct region *region, enum region_state from)
{
    if (atomic_load(&region->held) || !region_table_change(region, from, REGION_BUSY))
        return;
    if (atomic_load(&region->held)) { /* a connection was put into it in between */
        atomic_store(&region->state, from);
        return;
    }
    ownfd_drop(region_table_kind(region));
    region_map_void(region_map_start(region_table_ref(region, 0)), (size_t)region->areas * REGION_STRIDE);
    region_table_leave(region);
}

/* A free area of an open region; 0: it has none. */
static region_ref take_in(struct region *region, uint32_t layout)
{
    uint64_t held = atomic_load(&region->held);
    while (region_table_state(region) == REGION_OPEN && (~held & region_table_all(region))) {
        const unsigned index = (unsigned)__builtin_ctzll(~held & region_table_all(region));
        if (!atomic_compare_exchange_weak(&region->held, &held, held | (uint64_t)1 << index))
            continue;
        if (region_table_state(region) == REGION_OPEN) {
            identify(region, region_table_ref(region, index), layout);
            return region_table_ref(region, index);
        }
        atomic_fetch_and(&region->held, ~((uint64_t)1 << index)); /* a fork or leave_region() came between */
        leave_region(region, REGION_SHARED);
        return 0;
    }
    return 0;
}

/* Whether the next connection may have a region of its own, beside so many that have one. */
static bool may_be_single(unsigned singles)
{
    struct rlimit limit;
    return singles < REGION_SINGLES &&
           (sys_call(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, sys_ptr(&limit), 0, 0) < 0 ||
            singles < limit.rlim_cur / REGION_DESCRIPTORS);
}

region_ref region_take(uint32_t layout)
{
    const uint32_t count = atomic_load(&region_table_end);
    unsigned singles = 0;
    for (uint32_t i = 1; i < count; i++) {
        const region_ref area = take_in(&region_table[i], layout);
        if (area)
            return area;
        singles += region_table_in_use(&region_table[i]) && region_table[i].areas == 1;
    }
    region_ref area = 0;
    for (unsigned areas = may_be_single(singles) ? 1 : REGION_AREAS; areas >= 1 && !area; areas /= 4)
        area = make(areas, layout);
    return area;
}

/* What a connection has left in its chunks. */
static void wipe_chunks(struct region *region, region_ref area)
{
    const struct region_tail *tail = region_tail(region_page(area));
    const uint64_t used = atomic_load(&tail->taken[0]) | atomic_load(&tail->warm[0]);
    const uint64_t more = atomic_load(&tail->taken[1]) | atomic_load(&tail->warm[1]);
    const uint64_t near = ((uint64_t)1 << REGION_NEAR) - 1;
    if (region->areas > 1 && (used & near)) {
        net_madvise(region_map_start(area), REGION_ROOM, MADV_REMOVE);
    } else {
        for (unsigned i = 0; i < REGION_NEAR; i++) {
            if (used & (uint64_t)1 << i)
                memset(region_map_start(area) + (size_t)i * REGION_CHUNK_SIZE, 0, REGION_CHUNK_SIZE);
        }
    }
    uint8_t *annex = region_map_annex_at(area);
    if (annex && ((used & ~near) || more))
        net_madvise(annex, REGION_ANNEX, MADV_REMOVE);
}

/* An annex that is not mapped by then cannot be mapped any more: where the kernel refuses it, the connection
 * has two chunks. */
static void restrict_region(struct region *region)
{
    const uint64_t held = atomic_load(&region->held);
    if (region_table_state(region) != REGION_SHARED || !atomic_load(&region->partial) || region->areas == 1 ||
        ownfd_get(region_table_kind(region)) < 0)
        return;
    for (unsigned i = 0; i < region->areas; i++) {
        if (held & (uint64_t)1 << i)
            region_map_annex(region_table_ref(region, i));
    }
    ownfd_drop(region_table_kind(region));
}

region_ref region_take_alone(uint32_t layout)
{
    return make(1, layout);
}

/* Zeros to the end of the page, from a multiple of four on. A thread that looked the connection up before may
 * be reading one of its atomic words, and finds out afterwards that it has ended. */
static void wipe_page(uint8_t *page, size_t from)
{
    for (; from % sizeof(uint64_t) > 0; from += sizeof(uint32_t))
        atomic_store_explicit((_Atomic uint32_t *)(void *)(page + from), 0, memory_order_relaxed);
    for (; from < 4096; from += sizeof(uint64_t))
        atomic_store_explicit((_Atomic uint64_t *)(void *)(page + from), 0, memory_order_relaxed);
}

void region_give(region_ref area, size_t kept)
{
    struct region *region = region_table_of(area);
    uint8_t *page = region_page(area);
    if (region_table_state(region) != REGION_OPEN)
        return;
    wipe_chunks(region, area);
    wipe_page(page, kept);
    atomic_fetch_and(&region->held, ~region_table_bit(area));
    leave_region(region, REGION_SHARED); /* if a fork came in between */
    if (region_table_spare() > REGION_SPARE)
        leave_region(region, REGION_OPEN);
}

bool region_leave(region_ref area)
{
    struct region *region = region_table_of(area);
    if (region_table_state(region) != REGION_SHARED || !(atomic_load(&region->held) & region_table_bit(area)))
        return false;
    region_map_void(region_map_start(area), REGION_STRIDE);
    region_map_drop_annex(area);
    atomic_store(&region->partial, true);
    atomic_fetch_and(&region->held, ~region_table_bit(area));
    leave_region(region, REGION_SHARED);
    if (atomic_load(&restricted))
        restrict_region(region);
    return true;
}

bool region_is_held(region_ref area)
{
    return region_table_in_use(region_table_of(area)) &&
           (atomic_load(&region_table_of(area)->held) & region_table_bit(area));
}

bool region_is_shared(region_ref area)
{
    return region_table_state(region_table_of(area)) == REGION_SHARED && region_is_held(area);
}

static void share(struct region *region)
{
    if (region->anonymous && atomic_load(&region->held))
        region_map_annex(region_table_ref(region, 0));
    if (region_table_change(region, REGION_OPEN, REGION_SHARED))
        leave_region(region, REGION_SHARED); /* if it was empty, neither process needs it */
}

void region_share_all(void)
{
    const uint32_t count = atomic_load(&region_table_end);
    for (uint32_t i = 1; i < count; i++)
        share(&region_table[i]);
}

bool region_is_crowded(region_ref area)
{
    const struct region *region = region_table_of(area);
    return (atomic_load(&region->held) & ~region_table_bit(area)) ||
           (region->areas > 1 && atomic_load(&region->partial)) || ownfd_get(region_table_kind(region)) < 0;
}

void region_restrict(void)
{
    const uint32_t count = atomic_load(&region_table_end);
    atomic_store(&restricted, true);
    for (uint32_t i = 1; i < count; i++)
        restrict_region(&region_table[i]);
}

void region_each(bool (*visit)(region_ref area, void *context), void *context)
{
    const uint32_t count = atomic_load(&region_table_end);
    for (uint32_t i = 1; i < count; i++) {
        uint64_t held = region_table_in_use(&region_table[i]) ? atomic_load(&region_table[i].held) : 0;
        for (; held; held &= held - 1) {
            if (visit(region_table_ref(&region_table[i], (unsigned)__builtin_ctzll(held)), context))
                return;
        }
    }
}

/* ---- to and from other processes ---- */

int region_export(region_ref area, uint32_t *index)
{
    struct region *region = region_table_of(area);
    *index = area & (REGION_AREAS - 1);
    const int fd = area ? ownfd_get(region_table_kind(region)) : -1;
    if (fd >= 0)
        region_table_change(region, REGION_OPEN, REGION_SHARED);
    return fd;
}

/* A region of which nothing is mapped yet. */
static struct region *adopt(int fd, unsigned areas, const struct stat *info, bool keep)
{
    const int own = keep ? fd : net_fcntl(fd, F_DUPFD_CLOEXEC, 0);
    struct region *region = own < 0 ? NULL : region_table_claim(areas);
    uint8_t *start = region ? region_table_reserved(region) : NULL;
    if (region && !start && (start = region_map_void(NULL, (size_t)areas * REGION_STRIDE)))
        region_table_place(region, start);
    if (!start) {
        if (region)
            region_table_unclaim(region);
        if (own >= 0 && !keep)
            sys_close(own);
        return NULL;
    }
    region->anonymous = false;
    region->device = info->st_dev, region->inode = info->st_ino;
    atomic_store(&region->held, 0);
    atomic_store(&region->partial, areas > 1);
    if (keep)
        ownfd_adopt(region_table_kind(region), own);
    else if (ownfd_keep(region_table_kind(region), own) < 0) {
        region_table_unclaim(region);
        return NULL;
    }
    return region;
}

static bool map_area(struct region *region, region_ref area, int fd, uint32_t layout)
{
    const unsigned index = area & (REGION_AREAS - 1);
    if (!region_map(region_map_start(area), REGION_STRIDE, MAP_SHARED, fd, region_file_area(region, index)))
        return false;
    const struct region_tail *tail = region_tail(region_page(area));
    const uint64_t id = atomic_load(&tail->id);
    if (!atomic_load(&region->held))
        region->id = id;
    if (tail->layout == layout && region->id == id) {
        region_map_lock(region, area);
        return true;
    }
    region_map_void(region_map_start(area), REGION_STRIDE);
    return false;
}

region_ref region_import(int fd, uint32_t index, uint32_t layout, bool keep)
{
    struct stat info;
    const unsigned areas = region_file_areas(fd, &info);
    if (index >= areas)
        return 0;
    struct region *known = region_file_find(&info);
    struct region *region = known ? known : adopt(fd, areas, &info, keep);
    if (!region)
        return 0;
    const region_ref area = region_table_ref(region, index);
    if (atomic_load(&region->held) & region_table_bit(area))
        return area;
    if (!map_area(region, area, fd, layout)) {
        if (!known)
            region_table_unclaim(region);
        return 0;
    }
    atomic_fetch_or(&region->held, region_table_bit(area));
    if (!known)
        atomic_store(&region->state, REGION_SHARED);
    if (atomic_load(&restricted))
        restrict_region(region);
    return area;
}
