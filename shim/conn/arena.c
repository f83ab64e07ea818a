/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "conn/arena.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/net.h"

enum {
    ARENA_MAGIC = 0x5ea1ed03,
    RESIDENT_CHUNKS = 64, /* free chunks that keep their pages; past that the pages go back to the kernel */
};

/* A stack of free pieces: index of the top in the low half, a tag that changes with each operation in the
 * high half. */
struct stack {
    _Atomic uint64_t top;
    _Atomic uint32_t fresh; /* pieces handed out that had never been used: [1, fresh] */
    _Atomic int32_t free;   /* how many stand in the stack, about */
};

struct arena_header {
    uint32_t magic, layout;
    _Atomic uint32_t mixed;
    _Atomic uint64_t space; /* PID namespace of the first process */
    struct stack slots, chunks;
    struct stack bare; /* chunks whose pages went back: taken when no other is free. Never given out fresh */
    _Atomic uint32_t next_slot[ARENA_SLOTS + 1];
    _Atomic uint32_t next_chunk[ARENA_CHUNKS + 1];
    _Atomic uint64_t cookies[ARENA_SLOTS + 1];
};

#define ALIGN_UP(n, to) (((n) + (to)-1) / (to) * (to))
#define CHUNKS_OFFSET                                                                                        \
    ALIGN_UP(ARENA_SLOTS_OFFSET + (size_t)ARENA_SLOT_SIZE * (ARENA_SLOTS + 1), (size_t)65536)
#define ARENA_SIZE (CHUNKS_OFFSET + (size_t)ARENA_CHUNK_SIZE * (ARENA_CHUNKS + 1))

_Static_assert(ARENA_SLOTS_OFFSET == ALIGN_UP(sizeof(struct arena_header), 65536u),
               "the slots follow the header");

_Atomic(uint8_t *) arena_base;
static _Atomic int descriptor = -1;

static struct arena_header *header(void)
{
    return (struct arena_header *)(void *)atomic_load_explicit(&arena_base, memory_order_acquire);
}

/* A piece that was given back; 0: none stands in the stack. */
static uint32_t stack_retake(struct stack *stack, _Atomic uint32_t *next)
{
    uint64_t top = atomic_load(&stack->top);
    while ((uint32_t)top) {
        uint32_t below = atomic_load(&next[(uint32_t)top]);
        uint64_t changed = (((top >> 32) + 1) << 32) | below;
        if (atomic_compare_exchange_weak(&stack->top, &top, changed)) {
            atomic_fetch_sub(&stack->free, 1);
            return (uint32_t)top;
        }
    }
    return 0;
}

static uint32_t stack_take_fresh(struct stack *stack, uint32_t limit)
{
    uint32_t fresh = atomic_load(&stack->fresh);
    do {
        if (fresh >= limit)
            return 0;
    } while (!atomic_compare_exchange_weak(&stack->fresh, &fresh, fresh + 1));
    return fresh + 1;
}

static void stack_give(struct stack *stack, _Atomic uint32_t *next, uint32_t piece)
{
    uint64_t top = atomic_load(&stack->top), changed;
    do {
        atomic_store(&next[piece], (uint32_t)top);
        changed = (((top >> 32) + 1) << 32) | piece;
    } while (!atomic_compare_exchange_weak(&stack->top, &top, changed));
    atomic_fetch_add(&stack->free, 1);
}

/* RLIMIT_FSIZE counts for a memfd too, and passing it raises a signal that the program does not expect. */
static bool size_allowed(void)
{
    struct rlimit limit;
    if (sys_call(SYS_prlimit64, 0, RLIMIT_FSIZE, 0, sys_ptr(&limit), 0, 0) < 0)
        return true;
    return limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= ARENA_SIZE;
}

static void *map_shared(int flags, int fd)
{
    void *base = net_mmap(ARENA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | flags, fd);
    if (base != MAP_FAILED)
        net_madvise(base, ARENA_SIZE, MADV_DONTDUMP); /* keys stand in it */
    return base == MAP_FAILED ? NULL : base;
}

/* By a write, which a program that limits its system calls (conn/sandbox.h) has allowed, and ftruncate(2)
 * not. */
static bool set_size(int fd)
{
    return sys_call3(SYS_lseek, fd, (long)ARENA_SIZE - 1, SEEK_SET) >= 0 &&
           sys_call3(SYS_write, fd, sys_ptr(""), 1) == 1;
}

/* *fd: its memfd, or -1: then it is shared with forked children all the same, but with no other program. */
static struct arena_header *map_new(int *fd)
{
    void *base = NULL;
    *fd = (int)sys_call3(SYS_memfd_create, sys_ptr("sockseal"), MFD_CLOEXEC, 0);
    if (*fd >= 0 && size_allowed() && set_size(*fd))
        base = map_shared(0, *fd);
    if (base)
        return base;
    if (*fd >= 0)
        sys_close(*fd);
    *fd = -1;
    return map_shared(MAP_ANONYMOUS, -1);
}

static bool is_arena(int fd)
{
    struct stat info;
    return sys_call3(SYS_fstat, fd, sys_ptr(&info), 0) == 0 && S_ISREG(info.st_mode) &&
           info.st_size == (off_t)ARENA_SIZE;
}

static struct arena_header *map_existing(int fd, uint32_t layout)
{
    struct arena_header *found = is_arena(fd) ? map_shared(0, fd) : NULL;
    if (!found || (found->magic == ARENA_MAGIC && found->layout == layout))
        return found;
    sys_call3(SYS_munmap, sys_ptr(found), (long)ARENA_SIZE, 0);
    return NULL;
}

bool arena_attach(int fd, uint32_t layout)
{
    struct arena_header *found = map_existing(fd, layout);
    uint8_t *none = NULL;
    if (!found || atomic_compare_exchange_strong(&arena_base, &none, (uint8_t *)found))
        return found;
    sys_call3(SYS_munmap, sys_ptr(found), (long)ARENA_SIZE, 0); /* another thread has made one meanwhile */
    return false;
}

bool arena_view_open(struct arena_view *view, int fd, uint32_t layout)
{
    view->base = (uint8_t *)map_existing(fd, layout);
    return view->base;
}

void arena_view_close(struct arena_view *view)
{
    sys_call3(SYS_munmap, sys_ptr(view->base), (long)ARENA_SIZE, 0);
    view->base = NULL;
}

static arena_ref find_in(struct arena_header *arena, uint64_t cookie)
{
    arena_ref used = atomic_load(&arena->slots.fresh);
    for (arena_ref slot = 1; cookie && slot <= used && slot <= ARENA_SLOTS; slot++) {
        if (atomic_load_explicit(&arena->cookies[slot], memory_order_acquire) == cookie)
            return slot;
    }
    return 0;
}

arena_ref arena_view_find(const struct arena_view *view, uint64_t cookie)
{
    return find_in((struct arena_header *)(void *)view->base, cookie);
}

void *arena_view_slot(const struct arena_view *view, arena_ref slot)
{
    return slot && slot <= ARENA_SLOTS ? view->base + ARENA_SLOTS_OFFSET + (size_t)slot * ARENA_SLOT_SIZE
                                       : NULL;
}

uint8_t *arena_view_chunk(const struct arena_view *view, arena_ref chunk)
{
    return chunk && chunk <= ARENA_CHUNKS ? view->base + CHUNKS_OFFSET + (size_t)chunk * ARENA_CHUNK_SIZE
                                          : NULL;
}

static void give_slot(struct arena_header *arena, arena_ref slot)
{
    atomic_store_explicit(&arena->cookies[slot], 0, memory_order_release);
    stack_give(&arena->slots, arena->next_slot, slot);
}

/* The bare ones stand in a stack of their own. Were they the last in and first out of one, every use of a
 * single chunk after a burst would take its pages anew and give them back. */
static void give_chunk(struct arena_header *arena, arena_ref chunk)
{
    uint8_t *bytes = (uint8_t *)arena + CHUNKS_OFFSET + (size_t)chunk * ARENA_CHUNK_SIZE;
    if (atomic_load(&arena->chunks.free) < RESIDENT_CHUNKS) {
        stack_give(&arena->chunks, arena->next_chunk, chunk);
        return;
    }
    net_madvise(bytes, ARENA_CHUNK_SIZE, MADV_REMOVE);
    stack_give(&arena->bare, arena->next_chunk, chunk);
}

void arena_view_slot_give(const struct arena_view *view, arena_ref slot)
{
    if (arena_view_slot(view, slot))
        give_slot((struct arena_header *)(void *)view->base, slot);
}

void arena_view_chunk_give(const struct arena_view *view, arena_ref chunk)
{
    if (arena_view_chunk(view, chunk))
        give_chunk((struct arena_header *)(void *)view->base, chunk);
}

bool arena_view_same_namespace(const struct arena_view *view)
{
    struct arena_header *theirs = (struct arena_header *)(void *)view->base, *ours = header();
    return ours && atomic_load(&ours->space) != 0 &&
           atomic_load(&ours->space) == atomic_load(&theirs->space) && !atomic_load(&ours->mixed) &&
           !atomic_load(&theirs->mixed);
}

void arena_note_namespace(uint64_t space)
{
    uint64_t none = 0;
    if (!atomic_compare_exchange_strong(&header()->space, &none, space) && none != space)
        atomic_store(&header()->mixed, 1);
}

bool arena_namespaces_mixed(void)
{
    return header() && atomic_load(&header()->mixed);
}

bool arena_present(void)
{
    return header() != NULL;
}

bool arena_open(uint32_t layout)
{
    uint8_t *none = NULL;
    int fd;
    if (header())
        return true;
    struct arena_header *made = map_new(&fd);
    if (!made)
        return false;
    made->magic = ARENA_MAGIC;
    made->layout = layout;
    if (atomic_compare_exchange_strong(&arena_base, &none, (uint8_t *)made)) {
        atomic_store(&descriptor, fd);
        return true;
    }
    sys_call3(SYS_munmap, sys_ptr(made), (long)ARENA_SIZE, 0); /* another thread was first */
    if (fd >= 0)
        sys_close(fd);
    return true;
}

int arena_take_descriptor(void)
{
    return atomic_exchange(&descriptor, -1);
}

arena_ref arena_slot_take(void)
{
    arena_ref slot = stack_retake(&header()->slots, header()->next_slot);
    if (!slot)
        slot = stack_take_fresh(&header()->slots, ARENA_SLOTS);
    if (slot)
        memset((uint8_t *)arena_slot(slot) + ARENA_SLOT_KEPT, 0, ARENA_SLOT_SIZE - ARENA_SLOT_KEPT);
    return slot;
}

arena_ref arena_slots_used(void)
{
    arena_ref used = header() ? atomic_load(&header()->slots.fresh) : 0;
    return used <= ARENA_SLOTS ? used : ARENA_SLOTS;
}

void arena_slot_give(arena_ref slot)
{
    give_slot(header(), slot);
}

void arena_set_cookie(arena_ref slot, uint64_t cookie)
{
    atomic_store_explicit(&header()->cookies[slot], cookie, memory_order_release);
}

uint64_t arena_cookie(arena_ref slot)
{
    return atomic_load_explicit(&header()->cookies[slot], memory_order_acquire);
}

arena_ref arena_find(uint64_t cookie)
{
    return header() ? find_in(header(), cookie) : 0;
}

uint8_t *arena_chunk(arena_ref chunk)
{
    return atomic_load_explicit(&arena_base, memory_order_relaxed) + CHUNKS_OFFSET +
           (size_t)chunk * ARENA_CHUNK_SIZE;
}

arena_ref arena_chunk_take(void)
{
    struct arena_header *arena = header();
    arena_ref chunk = stack_retake(&arena->chunks, arena->next_chunk);
    if (!chunk)
        chunk = stack_retake(&arena->bare, arena->next_chunk);
    return chunk ? chunk : stack_take_fresh(&arena->chunks, ARENA_CHUNKS);
}

void arena_chunk_give(arena_ref chunk)
{
    if (chunk)
        give_chunk(header(), chunk);
}
