/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_ARENA_H
#define SOCKSEAL_ARENA_H

/*
 * The memory that a process tree shares: one memfd, made with the first sealed connection or the first fork.
 * Each process that inherits it maps the parts that it uses (segments.h). The arena has one slot per
 * connection, and chunks for bytes that a connection keeps between calls. All references inside it are
 * indices, since each process may map it at another address.
 *
 * Allocation is lock-free: stacks with a tag against ABA. A process that dies in the middle of it costs at
 * most one slot or chunk, and a signal handler may interrupt it anywhere.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/segments.h"

enum {
    /* One past the largest index. */
    ARENA_SLOTS = 1 << SEGMENTS_SLOTS_LOG,
    ARENA_CHUNKS = 1 << SEGMENTS_CHUNKS_LOG,
};

/* Index of a slot or a chunk; 0 is none. */
typedef uint32_t arena_ref;

/* Makes the arena if this process has none. `layout` tells one build's slots from another's. False, with a
 * log line, if the kernel refuses the memory. */
bool arena_open(uint32_t layout);

/* Uses the arena in this memfd, which another program of the process tree made. On success the descriptor is
 * kept (OWNFD_ARENA). False, with the descriptor closed, if it is not an arena, if another build made it, or
 * if this process has an arena already. */
bool arena_attach(int fd, uint32_t layout);

/* Whether this process has an arena. */
bool arena_present(void);

/* Notes this process's PID namespace: `space` is any number that identifies it. */
void arena_note_namespace(uint64_t space);

/* Whether processes of more than one PID namespace have used the arena. */
bool arena_namespaces_mixed(void);

/* Takes a slot, zeroed except for its first ARENA_SLOT_KEPT bytes. Those outlive the connection (generation,
 * locks and number), since a thread that looked up an earlier connection of the slot may still touch them.
 * 0 if none is left, or, with a log line, if the kernel refuses to map one. */
arena_ref arena_slot_take(void);

/* Gives a slot back. */
void arena_slot_give(arena_ref slot);

/* The memory of a slot that this process has taken or mapped before. */
static inline void *arena_slot(arena_ref slot)
{
    return atomic_load_explicit(&segments_slots[slot >> SEGMENTS_SLOT_SHIFT], memory_order_relaxed) +
           (size_t)(slot & ((1 << SEGMENTS_SLOT_SHIFT) - 1)) * ARENA_SLOT_SIZE;
}

/* The memory of any slot, mapped now if it was not. NULL if the kernel refuses, or if there is no such slot.
 */
void *arena_slot_map(arena_ref slot);

/* The largest index of a slot that was ever taken. */
arena_ref arena_slots_used(void);

/* The socket of a slot's connection, by SO_COOKIE (socket(7)), which the kernel never gives twice; 0: none.
 * A process that was handed a descriptor finds its connection by the cookie: arena_find() gives the slot, or
 * 0 if there is none. */
void arena_set_cookie(arena_ref slot, uint64_t cookie);
uint64_t arena_cookie(arena_ref slot);
arena_ref arena_find(uint64_t cookie);

/*
 * The arena of another process tree, mapped for the time in which a connection is taken out of it. Its
 * content is not trusted: the functions below check each reference. They give NULL for one that is out of
 * range or that the kernel refuses to map, and they give nothing back that is out of range. One slot and one
 * chunk are mapped at a time: a pointer is valid until the next slot, or the next chunk, is asked for.
 */
struct arena_view {
    int fd; /* the memfd: the caller's, who closes it after the view */
    void *header;
    struct segments_window *windows; /* points at `room`: a view is const while its windows move */
    struct segments_window room[SEGMENTS_ARRAYS];
};

/* Opens a view. False if fd is not an arena of this build. */
bool arena_view_open(struct arena_view *view, int fd, uint32_t layout);
void arena_view_close(struct arena_view *view);

/* The counterparts of the functions without `view`. */
arena_ref arena_view_find(const struct arena_view *view, uint64_t cookie);
void *arena_view_slot(const struct arena_view *view, arena_ref slot);
uint8_t *arena_view_chunk(const struct arena_view *view, arena_ref chunk);
void arena_view_slot_give(const struct arena_view *view, arena_ref slot);
void arena_view_chunk_give(const struct arena_view *view, arena_ref chunk);

/* Whether all processes of both trees are known to be in one PID namespace. If not, a thread id of the other
 * tree means nothing here. */
bool arena_view_same_namespace(const struct arena_view *view);

/* Takes a chunk of ARENA_CHUNK_SIZE bytes with undefined content. 0 if none is left, or, with a log line, if
 * the kernel refuses to map one. */
arena_ref arena_chunk_take(void);

/* Gives a chunk back; 0 is allowed. The caller has wiped the secrets in it. */
void arena_chunk_give(arena_ref chunk);

/* The memory of a chunk that this process has taken or mapped before. */
static inline uint8_t *arena_chunk(arena_ref chunk)
{
    return atomic_load_explicit(&segments_chunks[chunk >> SEGMENTS_CHUNK_SHIFT], memory_order_relaxed) +
           (size_t)(chunk & ((1 << SEGMENTS_CHUNK_SHIFT) - 1)) * ARENA_CHUNK_SIZE;
}

/* The memory of any chunk: see arena_slot_map(). */
uint8_t *arena_chunk_map(arena_ref chunk);

#endif
