/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_ARENA_H
#define SOCKSEAL_ARENA_H

/*
 * Slots for connections, and chunks for bytes that a connection keeps between calls. A slot is the page of
 * one area (region.h), known by a number of this process alone. Chunks belong to the connection and are in
 * its area: a reference to one counts from the area's start, so that it means the same in each process, and
 * whatever is in shared memory, it leads to no other connection's memory.
 *
 * A signal handler may interrupt all of this anywhere. A process that dies in the middle of it costs one
 * chunk of the connection at most.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/region.h"

enum {
    ARENA_SLOTS = REGION_REFS, /* one past the largest number */
    ARENA_SLOT_SIZE = REGION_CONNECTION_SIZE,
    /* The first bytes of a slot, which outlive its connection. */
    ARENA_SLOT_KEPT = 28,
    ARENA_CHUNK_SIZE = REGION_CHUNK_SIZE,
    ARENA_CHUNKS = REGION_CHUNKS, /* the largest reference to one */
};

/* A slot of this process, or a chunk of a connection; 0 is none. */
typedef region_ref arena_ref;

/* Takes a slot, zeroed except for its first ARENA_SLOT_KEPT bytes. Those outlive the connection (generation,
 * locks and pins), since a thread that looked up an earlier connection of the slot may still touch them. 0,
 * with a log line, if the kernel refuses the memory. */
arena_ref arena_slot_take(uint32_t layout);

/* The same, in a region of its own. */
arena_ref arena_slot_take_alone(uint32_t layout);

/* A slot that is kept for a connection to come (conn/reserve.h). Of all processes that have it, one claims
 * it, which is true once, until arena_slot_give(). It is zeroed then, as by arena_slot_take(). */
void arena_reserve(arena_ref slot, bool on);
bool arena_is_reserved(arena_ref slot);
bool arena_slot_claim(arena_ref slot);

/* A copy of a connection, chunks included, in a new region of its own. 0 if the kernel refuses. */
arena_ref arena_slot_copy(const void *slot, uint32_t layout);

/* Gives the slot of a connection back that has ended. */
void arena_slot_give(void *slot);

/* region_leave() */
void arena_slot_leave(arena_ref slot);

/* The memory of a slot. */
static inline void *arena_slot(arena_ref slot)
{
    return region_page(slot);
}

/* The number of the slot whose memory this is; 0: it is none. */
static inline arena_ref arena_slot_of(const void *slot)
{
    return region_of(slot);
}

/* The socket of a slot's connection, by SO_COOKIE (socket(7)), which the kernel never gives twice; 0: none.
 * arena_find() gives the slot, or 0 if this process has none for that socket. Known to this process alone. */
void arena_set_cookie(arena_ref slot, uint64_t cookie);
uint64_t arena_cookie(arena_ref slot);
arena_ref arena_find(uint64_t cookie);

/* The functions below get the memory of the slot whose chunk it is. */

/* Takes a chunk of ARENA_CHUNK_SIZE bytes with undefined content. 0 if none is left, or, with a log line, if
 * the kernel refuses to map one. */
arena_ref arena_chunk_take(void *slot);

/* Gives a chunk back; 0 is allowed. The caller has wiped the secrets in it. */
void arena_chunk_give(void *slot, arena_ref chunk);

/* The memory of a chunk, mapped now if it was not. NULL if the kernel refuses. */
uint8_t *arena_chunk_map(const void *slot, arena_ref chunk);

/* The memory of a chunk in the annex. */
uint8_t *arena_chunk_far(const void *slot, arena_ref chunk);

/* The memory of a chunk that this process has taken or mapped before. Whatever the reference is, this is
 * memory of the same connection. */
static inline uint8_t *arena_chunk(const void *slot, arena_ref chunk)
{
    if (chunk - 1u >= REGION_NEAR)
        return arena_chunk_far(slot, chunk);
    return (uint8_t *)(uintptr_t)slot - REGION_ROOM + (size_t)(chunk - 1) * REGION_CHUNK_SIZE;
}

#endif
