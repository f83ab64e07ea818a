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

#include "shm/region_layout.h"

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

/* Logs, once in a process, that the kernel refused memory. */
void region_report(void);

#endif
