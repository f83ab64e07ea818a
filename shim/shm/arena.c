/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "shm/arena.h"

#include <stdatomic.h>
#include <string.h>

#include "sys/net.h"

enum {
    ARENA_MAGIC = 0x5ea1ed04,
    RESIDENT_CHUNKS = 64, /* free chunks that keep their pages; past that the pages go back to the kernel */
    APART = 16,           /* free pieces that are passed over for one that need not be mapped */
};

/* A stack of free pieces: index of the top in the low half, a tag that changes with each operation in the
 * high half. */
struct stack {
    _Atomic uint64_t top;
    _Atomic uint32_t fresh; /* pieces handed out that had never been used: [1, fresh] */
    _Atomic int32_t free;   /* how many stand in the stack, about */
};

struct arena_header {
    struct segments_identity identity;
    _Atomic uint32_t mixed;
    _Atomic uint64_t space; /* PID namespace of the first process */
    struct stack slots, chunks;
    struct stack bare; /* chunks whose pages went back: taken when no other is free. Never given out fresh */
};

_Static_assert(sizeof(struct arena_header) <= SEGMENTS_HEADER_SIZE, "the header has its room");

/* What a stack is of. */
struct kind {
    size_t stack; /* in the header */
    uint32_t end;
    enum segments_array pieces, next;
};

static const struct kind SLOTS = {offsetof(struct arena_header, slots), ARENA_SLOTS, SEGMENTS_SLOTS,
                                  SEGMENTS_NEXT_SLOT};
static const struct kind CHUNKS = {offsetof(struct arena_header, chunks), ARENA_CHUNKS, SEGMENTS_CHUNKS,
                                   SEGMENTS_NEXT_CHUNK};
static const struct kind BARE = {offsetof(struct arena_header, bare), 0, SEGMENTS_CHUNKS,
                                 SEGMENTS_NEXT_CHUNK};

/* Of a view, or NULL: of our own arena. */
static struct arena_header *header(const struct arena_view *view)
{
    return view ? view->header : segments_header();
}

static void *reach(const struct arena_view *view, enum segments_array array, uint32_t item)
{
    return view ? segments_look(view->fd, view->windows, array, item) : segments_map(array, item);
}

static struct stack *stack_of(const struct arena_view *view, const struct kind *kind)
{
    return (struct stack *)(void *)((uint8_t *)header(view) + kind->stack);
}

/* 0: there is none, or the kernel refuses to map what tells which is the next. */
static uint32_t pop(const struct kind *kind)
{
    struct stack *stack = stack_of(NULL, kind);
    uint64_t top = atomic_load(&stack->top);
    while ((uint32_t)top) {
        _Atomic uint32_t *next = reach(NULL, kind->next, (uint32_t)top);
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
    _Atomic uint32_t *next = reach(view, kind->next, piece);
    uint64_t top = atomic_load(&stack->top), changed;
    if (!next) /* it is lost, until the tree ends */
        return;
    do {
        atomic_store(next, (uint32_t)top);
        changed = (((top >> 32) + 1) << 32) | piece;
    } while (!atomic_compare_exchange_weak(&stack->top, &top, changed));
    atomic_fetch_add(&stack->free, 1);
}

/* One that was never used. */
static uint32_t take_fresh(const struct kind *kind)
{
    struct stack *stack = stack_of(NULL, kind);
    uint32_t fresh = atomic_load(&stack->fresh);
    do {
        if (fresh + 1 >= kind->end)
            return 0;
        if (!reach(NULL, kind->next, fresh + 1) || !reach(NULL, kind->pieces, fresh + 1)) {
            segments_report();
            return 0;
        }
    } while (!atomic_compare_exchange_weak(&stack->fresh, &fresh, fresh + 1));
    return fresh + 1;
}

/* A piece that was given back. Where the kernel refuses to map the one on top, one below may be in a segment
 * that is mapped. */
static uint32_t retake(const struct kind *kind)
{
    uint32_t apart[APART], piece;
    int passed = 0;
    while ((piece = pop(kind)) && !reach(NULL, kind->pieces, piece)) {
        apart[passed++] = piece;
        if (passed == APART)
            break;
    }
    if (passed == APART)
        piece = 0;
    while (passed > 0)
        push(NULL, kind, apart[--passed]);
    return piece;
}

bool arena_attach(int fd, uint32_t layout)
{
    return segments_attach(fd, &(struct segments_identity){.magic = ARENA_MAGIC, .layout = layout});
}

bool arena_view_open(struct arena_view *view, int fd, uint32_t layout)
{
    const struct segments_identity identity = {.magic = ARENA_MAGIC, .layout = layout};
    *view = (struct arena_view){.fd = fd, .header = segments_look_at(fd, &identity)};
    view->windows = view->room;
    return view->header;
}

void arena_view_close(struct arena_view *view)
{
    segments_look_away(view->header, view->room);
    view->header = NULL;
}

static arena_ref find_in(const struct arena_view *view, uint64_t cookie)
{
    arena_ref used = atomic_load(&header(view)->slots.fresh);
    for (arena_ref slot = 1; cookie && slot <= used; slot++) {
        const _Atomic uint64_t *at = reach(view, SEGMENTS_COOKIES, slot);
        if (!at)
            slot |= (1 << SEGMENTS_COOKIE_SHIFT) - 1; /* the rest of the segment is not to be had either */
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
    return slot ? reach(view, SEGMENTS_SLOTS, slot) : NULL;
}

uint8_t *arena_view_chunk(const struct arena_view *view, arena_ref chunk)
{
    return chunk ? reach(view, SEGMENTS_CHUNKS, chunk) : NULL;
}

static void set_cookie(const struct arena_view *view, arena_ref slot, uint64_t cookie)
{
    _Atomic uint64_t *at = reach(view, SEGMENTS_COOKIES, slot);
    if (at)
        atomic_store_explicit(at, cookie, memory_order_release);
}

static void give_slot(const struct arena_view *view, arena_ref slot)
{
    set_cookie(view, slot, 0);
    push(view, &SLOTS, slot);
}

/* The bare ones stand in a stack of their own. Were they the last in and first out of one, every use of a
 * single chunk after a burst would take its pages anew and give them back. */
static void give_chunk(const struct arena_view *view, arena_ref chunk)
{
    if (atomic_load(&header(view)->chunks.free) < RESIDENT_CHUNKS) {
        push(view, &CHUNKS, chunk);
        return;
    }
    uint8_t *bytes = reach(view, SEGMENTS_CHUNKS, chunk);
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
    struct arena_header *theirs = header(view), *ours = header(NULL);
    return ours && atomic_load(&ours->space) != 0 &&
           atomic_load(&ours->space) == atomic_load(&theirs->space) && !atomic_load(&ours->mixed) &&
           !atomic_load(&theirs->mixed);
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
    const bool there = segments_make(&(struct segments_identity){.magic = ARENA_MAGIC, .layout = layout});
    if (!there)
        segments_report();
    return there;
}

/* With its cookie's place, which is then there when it is set. */
arena_ref arena_slot_take(void)
{
    arena_ref slot = retake(&SLOTS);
    if (!slot)
        slot = take_fresh(&SLOTS);
    if (slot && !reach(NULL, SEGMENTS_COOKIES, slot)) {
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
    return slot ? reach(NULL, SEGMENTS_SLOTS, slot) : NULL;
}

void arena_set_cookie(arena_ref slot, uint64_t cookie)
{
    set_cookie(NULL, slot, cookie);
}

uint64_t arena_cookie(arena_ref slot)
{
    const _Atomic uint64_t *at = reach(NULL, SEGMENTS_COOKIES, slot);
    return at ? atomic_load_explicit(at, memory_order_acquire) : 0;
}

arena_ref arena_find(uint64_t cookie)
{
    return header(NULL) ? find_in(NULL, cookie) : 0;
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
    return chunk ? reach(NULL, SEGMENTS_CHUNKS, chunk) : NULL;
}
