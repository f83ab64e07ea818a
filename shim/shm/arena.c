/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "shm/arena.h"

#include <string.h>
#include <sys/auxv.h>

#include "shm/pages.h"
#include "shm/region_map.h"
#include "sys/net.h"

/* So many free chunks of this process keep their pages, about; those of further ones go back to the kernel.
 */
enum { RESIDENT_CHUNKS = 128 };

static _Atomic uint64_t cookies[ARENA_SLOTS];
static _Atomic uint8_t reserved[ARENA_SLOTS];
static _Atomic int32_t resident;

arena_ref arena_slot_take(uint32_t layout)
{
    const arena_ref slot = region_take(layout);
    if (!slot) {
        region_report();
        return 0;
    }
    atomic_store(&cookies[slot], 0);
    atomic_store(&reserved[slot], 0);
    /* It was wiped when it was given back; but a late thread may have written there since. */
    memset((uint8_t *)arena_slot(slot) + ARENA_SLOT_KEPT, 0, ARENA_SLOT_SIZE - ARENA_SLOT_KEPT);
    return slot;
}

/* The chunks of a slot that were counted as resident are not this process's any more. */
static void forget_warm(const void *slot)
{
    const struct region_tail *tail = region_tail(slot);
    for (int i = 0; i < 2; i++)
        atomic_fetch_sub(&resident, __builtin_popcountll(atomic_load(&tail->warm[i])));
}

void arena_slot_give(void *slot)
{
    const arena_ref number = arena_slot_of(slot);
    if (number && region_is_shared(number))
        atomic_store(&region_tail(slot)->claimed, 0);
    if (!number || region_is_shared(number))
        return;
    forget_warm(slot);
    atomic_store(&cookies[number], 0);
    region_give(number, ARENA_SLOT_KEPT);
}

void arena_slot_leave(arena_ref slot)
{
    if (!region_is_shared(slot))
        return;
    forget_warm(arena_slot(slot));
    atomic_store(&cookies[slot], 0);
    atomic_store(&reserved[slot], 0);
    region_leave(slot);
}

arena_ref arena_slot_take_alone(uint32_t layout)
{
    const arena_ref slot = region_take_alone(layout);
    if (!slot)
        region_report();
    return slot;
}

void arena_reserve(arena_ref slot, bool on)
{
    atomic_store(&reserved[slot], on);
}

bool arena_is_reserved(arena_ref slot)
{
    return atomic_load(&reserved[slot]);
}

bool arena_slot_claim(arena_ref slot)
{
    struct region_tail *tail = region_tail(arena_slot(slot));
    uint32_t none = 0;
    if (!atomic_compare_exchange_strong(&tail->claimed, &none, 1))
        return false;
    memset((uint8_t *)arena_slot(slot) + ARENA_SLOT_KEPT, 0, ARENA_SLOT_SIZE - ARENA_SLOT_KEPT);
    for (int i = 0; i < 2; i++)
        tail->taken[i] = tail->warm[i] = 0;
    return true;
}

void arena_set_cookie(arena_ref slot, uint64_t cookie)
{
    atomic_store(&cookies[slot], cookie);
}

uint64_t arena_cookie(arena_ref slot)
{
    return atomic_load(&cookies[slot]);
}

struct search {
    uint64_t cookie;
    arena_ref slot;
};

static bool has_cookie(arena_ref slot, void *context)
{
    struct search *search = context;
    if (arena_cookie(slot) != search->cookie)
        return false;
    search->slot = slot;
    return true;
}

/* Who asks for one descriptor after the other asks mostly in the order of the slots: the one behind the last
 * that was found is tried first. */
arena_ref arena_find(uint64_t cookie)
{
    static _Atomic arena_ref last;
    struct search search = {.cookie = cookie};
    const arena_ref next = (atomic_load(&last) + 1) % ARENA_SLOTS;
    if (cookie && arena_cookie(next) == cookie && region_is_held(next))
        search.slot = next;
    else if (cookie)
        region_each(has_cookie, &search);
    if (search.slot)
        atomic_store(&last, search.slot);
    return search.slot;
}

static uint64_t bit_of(arena_ref chunk)
{
    return (uint64_t)1 << ((chunk - 1) % 64);
}

static _Atomic uint64_t *word_of(_Atomic uint64_t words[static 2], arena_ref chunk)
{
    return &words[(chunk - 1) / 64 % 2];
}

/* The lowest chunk that is free is taken, so that those in the annex are used last. */
static arena_ref take_lowest(struct region_tail *tail)
{
    for (arena_ref word = 0; word < 2; word++) {
        uint64_t taken = atomic_load(&tail->taken[word]);
        while (~taken) {
            const arena_ref chunk = word * 64 + (arena_ref)__builtin_ctzll(~taken) + 1;
            if (chunk > ARENA_CHUNKS)
                return 0;
            if (atomic_compare_exchange_weak(&tail->taken[word], &taken, taken | bit_of(chunk)))
                return chunk;
        }
    }
    return 0;
}

arena_ref arena_chunk_take(void *slot)
{
    struct region_tail *tail = region_tail(slot);
    const arena_ref chunk = take_lowest(tail);
    if (!chunk)
        return 0;
    if (!arena_chunk_map(slot, chunk)) {
        atomic_fetch_and(word_of(tail->taken, chunk), ~bit_of(chunk));
        region_report();
        return 0;
    }
    if (atomic_fetch_and(word_of(tail->warm, chunk), ~bit_of(chunk)) & bit_of(chunk))
        atomic_fetch_sub(&resident, 1);
    return chunk;
}

void arena_chunk_give(void *slot, arena_ref chunk)
{
    struct region_tail *tail = region_tail(slot);
    uint8_t *bytes = chunk && chunk <= ARENA_CHUNKS ? arena_chunk_map(slot, chunk) : NULL;
    if (!bytes)
        return;
    if (atomic_load(&resident) < RESIDENT_CHUNKS) {
        if (!(atomic_fetch_or(word_of(tail->warm, chunk), bit_of(chunk)) & bit_of(chunk)))
            atomic_fetch_add(&resident, 1);
    } else {
        const struct pages pages = pages_within(bytes, ARENA_CHUNK_SIZE, getauxval(AT_PAGESZ));
        if (pages.len)
            net_madvise(pages.start, pages.len, MADV_REMOVE);
    }
    atomic_fetch_and(word_of(tail->taken, chunk), ~bit_of(chunk));
}

uint8_t *arena_chunk_map(const void *slot, arena_ref chunk)
{
    if (chunk - 1u >= REGION_NEAR && !region_map_annex(arena_slot_of(slot)))
        return NULL;
    return arena_chunk(slot, chunk);
}

uint8_t *arena_chunk_far(const void *slot, arena_ref chunk)
{
    uint8_t *annex = region_map_annex_at(arena_slot_of(slot));
    const size_t index = (size_t)(chunk - 1 - REGION_NEAR) % (REGION_CHUNKS - REGION_NEAR);
    return annex ? annex + index * REGION_CHUNK_SIZE : arena_chunk(slot, 1);
}

static bool copy_chunk(const void *from, void *to, arena_ref chunk)
{
    const uint8_t *bytes = arena_chunk_map(from, chunk);
    uint8_t *copy = bytes ? arena_chunk_map(to, chunk) : NULL;
    if (!copy)
        return false;
    memcpy(copy, bytes, ARENA_CHUNK_SIZE);
    atomic_fetch_or(word_of(region_tail(to)->taken, chunk), bit_of(chunk));
    return true;
}

arena_ref arena_slot_copy(const void *slot, uint32_t layout)
{
    const arena_ref copy = region_take_alone(layout);
    bool whole = copy;
    if (copy)
        memcpy(arena_slot(copy), slot, ARENA_SLOT_SIZE);
    for (arena_ref chunk = 1; whole && chunk <= ARENA_CHUNKS; chunk++) {
        if (atomic_load(word_of(region_tail(slot)->taken, chunk)) & bit_of(chunk))
            whole = copy_chunk(slot, arena_slot(copy), chunk);
    }
    if (copy && !whole)
        region_give(copy, 0);
    return whole ? copy : 0;
}
