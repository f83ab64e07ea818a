/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_SELF_H
#define SOCKSEAL_SELF_H

/*
 * Which process and which thread this is. A child may be forked without passing a door (by a raw clone(2)).
 * Its copy of the process-wide tables then describes its parent. One page tells, since the kernel wipes it in
 * a forked child (MADV_WIPEONFORK, madvise(2)): the first look-up in such a child repairs the tables.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Points at this process's id in the page, which is 0 in a forked child whose tables have not been repaired.
 * NULL before self_begin(). */
extern uint32_t *self_process;

/* Makes the page if there is none. False if there is no memory. `repair` is called to put a forked child's
 * tables right; NULL keeps what was set before. */
bool self_begin(void (*repair)(void));

/* Writes this process's id into the page: the first thing that a repair does. */
void self_claim(void);

/* Repairs the tables if this is a forked child in which that has not been done. */
void self_check_fork(void);

/* Whether the tables are this process's: false in a vfork(2) child, which has its parent's memory but
 * descriptors of its own, and must not change the parent's tables. */
bool self_owns_tables(void);

/* The PID namespace in which the ids of this process count: the inode number of /proc/self/ns/pid, which no
 * other namespace has at the same time; 0: not known. A forked child may be in another one, and sets it anew
 * (conn/liveness.h). */
extern _Atomic uint32_t self_space;

/* This thread's id (gettid(2)), cached. self_forget_tid() drops the cache, which a forked child must do. */
extern __thread uint32_t self_tid_cached __attribute__((tls_model("initial-exec")));
uint32_t self_learn_tid(void);
void self_forget_tid(void);

static inline uint32_t self_tid(void)
{
    return self_tid_cached ? self_tid_cached : self_learn_tid();
}

/* This thread's id among the threads of all namespaces: self_tid() in the low half, self_space in the high
 * one. */
static inline uint64_t self_id(void)
{
    return (uint64_t)atomic_load_explicit(&self_space, memory_order_relaxed) << 32 | self_tid();
}

#endif
