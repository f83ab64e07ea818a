/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_ARENA_H
#define SOCKSEAL_ARENA_H

/*
 * The memory that a process tree shares: one memfd, made with the first sealed connection, mapped by every
 * process that inherits it, as far as it comes to use it (segments.h). It holds a slot per connection and
 * chunks for the bytes that stand in a connection for a while. All references inside it are indices, since
 * each process may map it elsewhere.
 *
 * Allocation is lock-free (stacks with a tag against ABA): a process that dies in the middle of it costs at
 * most one piece, and a signal handler may interrupt it anywhere.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/segments.h"

enum {
    ARENA_SLOTS = 1 << SEGMENTS_SLOTS_LOG, /* one more than there are; the same for chunks */
    ARENA_CHUNKS = 1 << SEGMENTS_CHUNKS_LOG,
};

/* Index of a slot or a chunk; 0 is none. */
typedef uint32_t arena_ref;

/* Makes the arena if this process has none. `layout` tells one build's slots from another's. False if the
 * kernel refuses the memory. */
bool arena_open(uint32_t layout);

/* The arena of the process tree, whose memfd this is, becomes this process's; the descriptor is kept
 * (OWNFD_ARENA) or closed. False if it is none, or another build's, or this process has one. */
bool arena_attach(int fd, uint32_t layout);

/* Whether this process has an arena. */
bool arena_present(void);

/* Notes a process's PID namespace (any number that identifies it); whether there has been more than one. */
void arena_note_namespace(uint64_t space);
bool arena_namespaces_mixed(void);

/* A slot, zeroed except for its first ARENA_SLOT_KEPT bytes, which persist over its lives (generation, roles
 * and number: a thread that looked up a slot's earlier life may still touch them); 0 when none is left, or
 * the kernel refuses to map one, which then stands in the log. */
arena_ref arena_slot_take(void);
void arena_slot_give(arena_ref slot);

/* One that this process has taken, or reached before. */
static inline void *arena_slot(arena_ref slot)
{
    return atomic_load_explicit(&segments_slots[slot >> SEGMENTS_SLOT_SHIFT], memory_order_relaxed) +
           (size_t)(slot & ((1 << SEGMENTS_SLOT_SHIFT) - 1)) * ARENA_SLOT_SIZE;
}

/* Any one; NULL if the kernel refuses to map it, or there is no such slot. */
void *arena_slot_map(arena_ref slot);

/* Every slot that was ever taken is among 1 to this. */
arena_ref arena_slots_used(void);

/* The socket whose connection a slot is, by SO_COOKIE (socket(7)), which the kernel never gives twice; 0:
 * none. A process that was handed a descriptor finds its connection by it. arena_find() gives 0 if there is
 * none. */
void arena_set_cookie(arena_ref slot, uint64_t cookie);
uint64_t arena_cookie(arena_ref slot);
arena_ref arena_find(uint64_t cookie);

/* The arena of another tree, mapped beside ours while a connection is taken out of it. Its references are
 * checked: NULL for one that is none, or that the kernel refuses to map, and none is given back. Of slots and
 * chunks one each can be looked at: the pointer is good until the next is asked for. */
struct arena_view {
    int fd; /* the caller's, until the view is closed */
    void *header;
    struct segments_window *windows; /* which are `room`; looking moves them */
    struct segments_window room[SEGMENTS_ARRAYS];
};

bool arena_view_open(struct arena_view *view, int fd, uint32_t layout);
void arena_view_close(struct arena_view *view);
arena_ref arena_view_find(const struct arena_view *view, uint64_t cookie);
void *arena_view_slot(const struct arena_view *view, arena_ref slot);
uint8_t *arena_view_chunk(const struct arena_view *view, arena_ref chunk);
void arena_view_slot_give(const struct arena_view *view, arena_ref slot);
void arena_view_chunk_give(const struct arena_view *view, arena_ref chunk);

/* Whether all processes of both trees are known to be in one PID namespace: else a thread id of the other
 * tree means nothing here. */
bool arena_view_same_namespace(const struct arena_view *view);

/* A chunk of ARENA_CHUNK_SIZE bytes of undefined content; 0 when none is left, or the kernel refuses to map
 * one, which then stands in the log. */
arena_ref arena_chunk_take(void);

/* Gives a chunk back; 0 is allowed. The caller has wiped what was secret in it. */
void arena_chunk_give(arena_ref chunk);

/* One that this process has taken, or reached before. */
static inline uint8_t *arena_chunk(arena_ref chunk)
{
    return atomic_load_explicit(&segments_chunks[chunk >> SEGMENTS_CHUNK_SHIFT], memory_order_relaxed) +
           (size_t)(chunk & ((1 << SEGMENTS_CHUNK_SHIFT) - 1)) * ARENA_CHUNK_SIZE;
}

/* Any one, as for slots. */
uint8_t *arena_chunk_map(arena_ref chunk);

#endif
