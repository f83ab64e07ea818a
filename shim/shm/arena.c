/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "shm/arena.h"

#include <stdatomic.h>
#include <string.h>

#include "sys/net.h"

enum {
    ARENA_MAGIC = 0x5ea1ed04,
    /* So many free chunks keep their pages; the pages of further ones go back to the kernel. */
    RESIDENT_CHUNKS = 64,
    /* So many free pieces are passed over to find one in a segment that is mapped already. */
    PASSED_OVER_MAX = 16,
};

/* A stack of free pieces (slots or chunks). */
struct stack {
    _Atomic uint64_t top;   /* low half: index of the top piece; high half: a tag against ABA */
    _Atomic uint32_t fresh; /* pieces 1 to this have been used at least once */
    _Atomic int32_t free;   /* approximate number of pieces on the stack */
};

struct arena_header {
    struct segments_identity identity;
    _Atomic uint32_t mixed;
    _Atomic uint64_t space; /* PID namespace of the first process */
    struct stack slots, chunks;
    /* Free chunks whose pages went back to the kernel. They are taken when no other free chunk is left. No
     * fresh chunk comes from this stack. */
    struct stack bare;
};

_Static_assert(sizeof(struct arena_header) <= SEGMENTS_HEADER_SIZE,
               "the arena's header fits the room that the segments leave for it");

/* What a stack holds. */
struct kind {
    size_t stack; /* the stack's offset in the header */
    uint32_t end; /* one past the largest index */
    enum segments_array pieces, next;
};

static const struct kind SLOTS = {offsetof(struct arena_header, slots), ARENA_SLOTS, SEGMENTS_SLOTS,
                                  SEGMENTS_NEXT_SLOT};
static const struct kind CHUNKS = {offsetof(struct arena_header, chunks), ARENA_CHUNKS, SEGMENTS_CHUNKS,
                                   SEGMENTS_NEXT_CHUNK};
static const struct kind BARE = {offsetof(struct arena_header, bare), 0, SEGMENTS_CHUNKS,
                                 SEGMENTS_NEXT_CHUNK};

/* The header of another tree's arena; with NULL, of this process's own. */
static struct arena_header *header(const struct arena_view *view)
{
    return view ? view->header : segments_header();
}

/* Maps the item's segment if it is not mapped. NULL: the kernel refuses. */
static void *map_item(const struct arena_view *view, enum segments_array array, uint32_t item)
{
    return view ? segments_window_map(view->fd, view->windows, array, item) : segments_map(array, item);
}

static struct stack *stack_of(const struct arena_view *view, const struct kind *kind)
{
    return (struct stack *)(void *)((uint8_t *)header(view) + kind->stack);
}

/* 0 if the stack is empty, or if the kernel refuses to map the link to the next piece. */
static uint32_t pop(const struct kind *kind)
{
    struct stack *stack = stack_of(NULL, kind);
    uint64_t top = atomic_load(&stack->top);
    while ((uint32_t)top) {
        _Atomic uint32_t *next = map_item(NULL, kind->next, (uint32_t)top);
        if (!next)
            break;
        uint64_t changed = (((top >> 32) + 1) << 32) | atomic_load(next);
        if (atomic_compare_exchange_weak(&stack->top, &top, changed)) {
            atomic_fetch_sub(&stack->free, 1);
            return (uint32_t)top;
        }
    }
    return 0;
}

static void push(const struct arena_view *view, const struct kind *kind, uint32_t piece)
{
    struct stack *stack = stack_of(view, kind);
    _Atomic uint32_t *next = map_item(view, kind->next, piece);
    uint64_t top = atomic_load(&stack->top), changed;
    if (!next) /* the kernel refuses: the piece is lost until the process tree ends */
        return;
    do {
        atomic_store(next, (uint32_t)top);
        changed = (((top >> 32) + 1) << 32) | piece;
    } while (!atomic_compare_exchange_weak(&stack->top, &top, changed));
    atomic_fetch_add(&stack->free, 1);
}

/* Takes a piece that was never used. 0 if there is none. */
static uint32_t take_fresh(const struct kind *kind)
{
    struct stack *stack = stack_of(NULL, kind);
    uint32_t fresh = atomic_load(&stack->fresh);
    do {
        if (fresh + 1 >= kind->end)
            return 0;
        if (!map_item(NULL, kind->next, fresh + 1) || !map_item(NULL, kind->pieces, fresh + 1)) {
            segments_report();
            return 0;
        }
    } while (!atomic_compare_exchange_weak(&stack->fresh, &fresh, fresh + 1));
    return fresh + 1;
}

/* Takes a piece that was given back. If the kernel refuses to map the one on top, one below it may be in a
 * segment that is mapped already. */
static uint32_t retake(const struct kind *kind)
{
    uint32_t set_aside[PASSED_OVER_MAX], piece;
    int passed = 0;
    while ((piece = pop(kind)) && !map_item(NULL, kind->pieces, piece)) {
        set_aside[passed++] = piece;
        if (passed == PASSED_OVER_MAX)
            break;
    }
    if (passed == PASSED_OVER_MAX)
        piece = 0;
    while (passed > 0)
        push(NULL, kind, set_aside[--passed]);
    return piece;
}

bool arena_attach(int fd, uint32_t layout)
{
    return segments_attach(fd, &(struct segments_identity){.magic = ARENA_MAGIC, .layout = layout});
}

bool arena_view_open(struct arena_view *view, int fd, uint32_t layout)
{
    const struct segments_identity identity = {.magic = ARENA_MAGIC, .layout = layout};
    *view = (struct arena_view){.fd = fd, .header = segments_window_header(fd, &identity)};
    view->windows = view->room;
    return view->header;
}

void arena_view_close(struct arena_view *view)
{
    segments_window_unmap(view->header, view->room);
    view->header = NULL;
}

static arena_ref find_in(const struct arena_view *view, uint64_t cookie)
{
    arena_ref used = atomic_load(&header(view)->slots.fresh);
    for (arena_ref slot = 1; cookie && slot <= used; slot++) {
        const _Atomic uint64_t *at = map_item(view, SEGMENTS_COOKIES, slot);
        if (!at)
            slot |= (1 << SEGMENTS_COOKIE_SHIFT) - 1; /* the kernel refuses: skip this segment */
        else if (atomic_load_explicit(at, memory_order_acquire) == cookie)
            return slot;
    }
    return 0;
}

arena_ref arena_view_find(const struct arena_view *view, uint64_t cookie)
{
    return find_in(view, cookie);
}

void *arena_view_slot(const struct arena_view *view, arena_ref slot)
{
    return slot ? map_item(view, SEGMENTS_SLOTS, slot) : NULL;
}

uint8_t *arena_view_chunk(const struct arena_view *view, arena_ref chunk)
{
    return chunk ? map_item(view, SEGMENTS_CHUNKS, chunk) : NULL;
}

static void set_cookie(const struct arena_view *view, arena_ref slot, uint64_t cookie)
{
    _Atomic uint64_t *at = map_item(view, SEGMENTS_COOKIES, slot);
    if (at)
        atomic_store_explicit(at, cookie, memory_order_release);
}

static void give_slot(const struct arena_view *view, arena_ref slot)
{
    set_cookie(view, slot, 0);
    push(view, &SLOTS, slot);
}

/* Chunks without pages have a stack of their own. In a common stack they would be on top after a burst, and
 * each use of a single chunk would allocate its pages and give them back. */
static void give_chunk(const struct arena_view *view, arena_ref chunk)
{
    if (atomic_load(&header(view)->chunks.free) < RESIDENT_CHUNKS) {
        push(view, &CHUNKS, chunk);
        return;
    }
    uint8_t *bytes = map_item(view, SEGMENTS_CHUNKS, chunk);
    if (bytes)
        net_madvise(bytes, ARENA_CHUNK_SIZE, MADV_REMOVE);
    push(view, &BARE, chunk);
}

void arena_view_slot_give(const struct arena_view *view, arena_ref slot)
{
    if (slot && slot < ARENA_SLOTS)
        give_slot(view, slot);
}

void arena_view_chunk_give(const struct arena_view *view, arena_ref chunk)
{
    if (chunk && chunk < ARENA_CHUNKS)
        give_chunk(view, chunk);
}

bool arena_view_same_namespace(const struct arena_view *view)
{
    struct arena_header *other = header(view), *own = header(NULL);
    return own && atomic_load(&own->space) != 0 && atomic_load(&own->space) == atomic_load(&other->space) &&
           !atomic_load(&own->mixed) && !atomic_load(&other->mixed);
}

void arena_note_namespace(uint64_t space)
{
    uint64_t none = 0;
    if (!atomic_compare_exchange_strong(&header(NULL)->space, &none, space) && none != space)
        atomic_store(&header(NULL)->mixed, 1);
}

bool arena_namespaces_mixed(void)
{
    return header(NULL) && atomic_load(&header(NULL)->mixed);
}

bool arena_present(void)
{
    return header(NULL) != NULL;
}

bool arena_open(uint32_t layout)
{
    const bool made = segments_make(&(struct segments_identity){.magic = ARENA_MAGIC, .layout = layout});
    if (!made)
        segments_report();
    return made;
}

/* Maps the place of the slot's cookie too, so that setting the cookie cannot fail. */
arena_ref arena_slot_take(void)
{
    arena_ref slot = retake(&SLOTS);
    if (!slot)
        slot = take_fresh(&SLOTS);
    if (slot && !map_item(NULL, SEGMENTS_COOKIES, slot)) {
        push(NULL, &SLOTS, slot);
        segments_report();
        return 0;
    }
    if (slot)
        memset((uint8_t *)arena_slot(slot) + ARENA_SLOT_KEPT, 0, ARENA_SLOT_SIZE - ARENA_SLOT_KEPT);
    return slot;
}

arena_ref arena_slots_used(void)
{
    return header(NULL) ? atomic_load(&header(NULL)->slots.fresh) : 0;
}

void arena_slot_give(arena_ref slot)
{
    give_slot(NULL, slot);
}

void *arena_slot_map(arena_ref slot)
{
    return slot ? map_item(NULL, SEGMENTS_SLOTS, slot) : NULL;
}

void arena_set_cookie(arena_ref slot, uint64_t cookie)
{
    set_cookie(NULL, slot, cookie);
}

uint64_t arena_cookie(arena_ref slot)
{
    const _Atomic uint64_t *at = map_item(NULL, SEGMENTS_COOKIES, slot);
    return at ? atomic_load_explicit(at, memory_order_acquire) : 0;
}

/* Who asks for one descriptor after the other asks mostly in the order of the slots: the one behind the last
 * that was found is tried first. */
arena_ref arena_find(uint64_t cookie)
{
    static _Atomic arena_ref last;
    const arena_ref next = atomic_load(&last) + 1;
    const bool guessed = cookie && next <= arena_slots_used() && arena_cookie(next) == cookie;
    const arena_ref found = guessed ? next : header(NULL) ? find_in(NULL, cookie) : 0;
    if (found)
        atomic_store(&last, found);
    return found;
}

arena_ref arena_chunk_take(void)
{
    arena_ref chunk = retake(&CHUNKS);
    if (!chunk)
        chunk = retake(&BARE);
    return chunk ? chunk : take_fresh(&CHUNKS);
}

void arena_chunk_give(arena_ref chunk)
{
    if (chunk)
        give_chunk(NULL, chunk);
}

uint8_t *arena_chunk_map(arena_ref chunk)
{
    return chunk ? map_item(NULL, SEGMENTS_CHUNKS, chunk) : NULL;
}
