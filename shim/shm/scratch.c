/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "shm/scratch.h"

#include <stdatomic.h>

#include "diag/limit.h"
#include "sys/net.h"

enum { SCRATCH_MAX = 4096 };

/* Buffers by number, from 1. The free ones form a stack: `top` has the top buffer's number in its low half
 * and a tag against ABA in its high half. */
static _Atomic(uint8_t *) buffers[SCRATCH_MAX + 1];
static _Atomic uint32_t below[SCRATCH_MAX + 1];
static _Atomic uint64_t top;
static _Atomic uint32_t made;

/* A buffer's number is in front of it, while it is taken. In a forked child the kernel has wiped it, with the
 * buffer (MADV_WIPEONFORK): what a thread of the parent had in there is none of the child's. */
enum { PREFIX = 64, MAPPING = (PREFIX + SCRATCH_SIZE + 4095) / 4096 * 4096 };

static uint8_t *numbered(uint8_t *memory, uint32_t number)
{
    *(uint32_t *)(void *)memory = number;
    return memory + PREFIX;
}

static uint8_t *make(void)
{
    uint8_t *memory = net_mmap(MAPPING, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    if (memory == MAP_FAILED) {
        limit_line(LOG_ERROR,
                   "no memory for a call on a sealed connection: the kernel refuses it; check the limit "
                   "on this process's address space (RLIMIT_AS, ulimit -v)");
        return NULL;
    }
    net_madvise(memory, MAPPING, MADV_DONTDUMP);
    net_madvise(memory, MAPPING, MADV_WIPEONFORK);
    uint32_t number = atomic_fetch_add(&made, 1) + 1;
    if (number > SCRATCH_MAX)
        number = 0; /* no number is left: this buffer goes back to the kernel after use */
    else
        atomic_store(&buffers[number], memory);
    return numbered(memory, number);
}

uint8_t *scratch_take(void)
{
    uint64_t seen = atomic_load(&top);
    while ((uint32_t)seen) {
        uint64_t changed = (((seen >> 32) + 1) << 32) | atomic_load(&below[(uint32_t)seen]);
        if (atomic_compare_exchange_weak(&top, &seen, changed))
            return numbered(atomic_load(&buffers[(uint32_t)seen]), (uint32_t)seen);
    }
    return make();
}

void scratch_give(uint8_t *buffer)
{
    if (!buffer)
        return;
    uint8_t *memory = buffer - PREFIX;
    uint32_t number = *(uint32_t *)(void *)memory;
    if (number == 0) {
        net_munmap(memory, MAPPING);
        return;
    }
    uint64_t seen = atomic_load(&top), changed;
    do {
        atomic_store_explicit(&below[number], (uint32_t)seen, memory_order_relaxed);
        changed = (((seen >> 32) + 1) << 32) | number;
    } while (!atomic_compare_exchange_weak(&top, &seen, changed));
}
