/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_REGION_MAP_H
#define SOCKSEAL_REGION_MAP_H

/* Regions (region.h) in the address space. */

#include "shm/region_table.h"

/* Maps memory, that is in no core dump if `flags` have MAP_SHARED: in the place of `over`, or anywhere if
 * that is NULL. NULL: the kernel refuses. */
uint8_t *region_map(uint8_t *over, size_t len, int flags, int fd, size_t offset);

/* Private zero pages in its place, or anywhere. */
uint8_t *region_map_void(uint8_t *over, size_t len);

/* Where the area's memory begins. */
static inline uint8_t *region_map_start(region_ref area)
{
    return region_page(area) - REGION_ROOM;
}

/* Locks the connection's page in memory, where its keys are, if the region is of one area and enough of
 * RLIMIT_MEMLOCK is left to the program. It stays so until the page is taken out of the address space; a
 * forked child's is not locked (mlock(2)). */
void region_map_lock(const struct region *region, region_ref area);

/* Whether the area's annex is mapped; maps it if it is not. */
bool region_map_annex(region_ref area);

/* Where the annex is; NULL if it is not mapped. */
uint8_t *region_map_annex_at(region_ref area);

/* Takes it out of the address space, if it is mapped. */
void region_map_drop_annex(region_ref area);

#endif
