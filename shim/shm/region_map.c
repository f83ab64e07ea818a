/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "shm/region_map.h"

#include <sys/resource.h>

#include "shm/region_file.h"
#include "sys/file.h"
#include "sys/net.h"

static _Atomic(uint8_t *) annexes[REGION_REFS]; /* stay reserved, as the regions' ranges do */

uint8_t *region_map(uint8_t *over, size_t len, int flags, int fd, size_t offset)
{
    void *base = net_mmap_over(over, len, PROT_READ | PROT_WRITE,
                               MAP_NORESERVE | flags | (over ? MAP_FIXED : 0), fd, (int64_t)offset);
    if (base == MAP_FAILED)
        return NULL;
    if (flags & MAP_SHARED)
        net_madvise(base, len, MADV_DONTDUMP); /* it holds keys: none in a core dump */
    return base;
}

uint8_t *region_map_void(uint8_t *over, size_t len)
{
    return region_map(over, len, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/* Whether all pages that may be locked are a small part of what this process may lock. */
static bool may_lock(void)
{
    enum { UNKNOWN, NO, YES, PART = 16 };
    static _Atomic uint8_t known;
    uint8_t answer = atomic_load_explicit(&known, memory_order_relaxed);
    struct rlimit limit = {0};
    if (answer == UNKNOWN) {
        sys_call(SYS_prlimit64, 0, RLIMIT_MEMLOCK, 0, sys_ptr(&limit), 0, 0);
        answer = limit.rlim_cur / PART >= REGION_SINGLES * REGION_PAGE ? YES : NO;
        atomic_store_explicit(&known, answer, memory_order_relaxed);
    }
    return answer == YES;
}

void region_map_lock(const struct region *region, region_ref area)
{
    if (region->areas == 1 && may_lock())
        sys_mlock(region_page(area), REGION_PAGE);
}

static bool map_annex_of(struct region *region, region_ref area, int fd)
{
    const unsigned index = area & (REGION_AREAS - 1);
    uint8_t *reserved = atomic_load(&annexes[area]), *none = NULL;
    uint8_t *annex = fd >= 0 ? region_map(reserved, REGION_ANNEX, MAP_SHARED, fd, region_file_annex(index))
                             : region_map(reserved, REGION_ANNEX, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (annex && !reserved && !atomic_compare_exchange_strong(&annexes[area], &none, annex)) {
        net_munmap(annex, REGION_ANNEX); /* another thread was first; nobody has seen this one */
        annex = none;
    }
    if (annex)
        atomic_fetch_or(&region->annexed, region_table_bit(area));
    return annex;
}

bool region_map_annex(region_ref area)
{
    struct region *region = region_table_of(area);
    if (!area)
        return false;
    if (atomic_load(&region->annexed) & region_table_bit(area))
        return true;
    if (region->anonymous) /* once it is shared, one that is mapped here would be seen by nobody else */
        return region_table_state(region) == REGION_OPEN && map_annex_of(region, area, -1);
    const int fd = region_file_descriptor(region, area & (REGION_AREAS - 1));
    return fd >= 0 && map_annex_of(region, area, fd);
}

uint8_t *region_map_annex_at(region_ref area)
{
    return area && (atomic_load(&region_table_of(area)->annexed) & region_table_bit(area))
               ? atomic_load(&annexes[area])
               : NULL;
}

void region_map_drop_annex(region_ref area)
{
    if (atomic_fetch_and(&region_table_of(area)->annexed, ~region_table_bit(area)) & region_table_bit(area))
        region_map_void(atomic_load(&annexes[area]), REGION_ANNEX);
}
