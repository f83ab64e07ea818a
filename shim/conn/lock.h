/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_LOCK_H
#define SOCKSEAL_LOCK_H

/*
 * The lock of one direction of a connection: the role of being its reader, or its writer. It lies in shared
 * memory.
 *
 * A holder is either BUSY, for the microseconds of computing, or PARKED: inside a system call that may block
 * on behalf of the program. Who finds it BUSY waits; who finds it PARKED decides by himself (a reader asks
 * the kernel too, a non-blocking caller gets EAGAIN). So nobody waits behind a blocked call who would not
 * wait on plain TCP.
 *
 * The word holds the owner's thread id, so that a role whose owner died, or jumped out of a signal handler,
 * can be told.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "shm/self.h"

struct lock {
    _Atomic uint32_t word; /* 0: free; else the owner, and: */
};

#define LOCK_OWNER_BITS  0x003fffffu /* thread ids have at most 22 bits (PID_MAX_LIMIT of the kernel) */
#define LOCK_WAITERS     0x40000000u /* somebody sleeps until it changes */
#define LOCK_BLOCKED_BIT 0x80000000u

enum lock_result {
    LOCK_TAKEN,      /* it is ours, BUSY */
    LOCK_BLOCKED,    /* another thread is in a blocking call with it */
    LOCK_REENTERED,  /* this thread holds it already: we are in a signal handler that interrupted its work */
    LOCK_OWNER_DIED, /* it is ours, but its last owner died BUSY: the direction's state cannot be trusted */
    LOCK_RECOVERED, /* it is ours; its last owner died PARKED, or was this thread, which has jumped out of the
                     blocking call   or is in a signal handler above it. What the call did to the socket is
                     not   known. */
};

/* Takes the role only if it is free. */
static inline bool lock_try(struct lock *role)
{
    uint32_t free = 0;
    return atomic_compare_exchange_strong_explicit(&role->word, &free, self_tid(), memory_order_acquire,
                                                   memory_order_relaxed);
}

/* Takes the role; waits while it is BUSY. */
enum lock_result lock_take_contended(struct lock *role);

static inline enum lock_result lock_take(struct lock *role)
{
    return lock_try(role) ? LOCK_TAKEN : lock_take_contended(role);
}

/* The same, but waits a moment only: false if it stays BUSY. Its owner may have been stopped by a signal, as
 * garbage collectors do it, and go on no sooner than the caller does: who makes progress with other people's
 * connections must not wait for him. */
bool lock_take_soon(struct lock *role, enum lock_result *result);

/* Whether this thread holds the role; *parked: PARKED. */
static inline bool lock_mine(const struct lock *role, bool *parked)
{
    uint32_t word = atomic_load_explicit(&role->word, memory_order_relaxed);
    *parked = word & LOCK_BLOCKED_BIT;
    return word && (word & LOCK_OWNER_BITS) == self_tid();
}

/* Wakes whoever sleeps for the role. */
void lock_wake(struct lock *role);

/* BUSY -> free. */
static inline void lock_release(struct lock *role)
{
    if (atomic_exchange_explicit(&role->word, 0, memory_order_release) & LOCK_WAITERS)
        lock_wake(role);
}

/* BUSY -> PARKED, around a call that may block. Who waits has something better to do then. */
static inline void lock_block(struct lock *role)
{
    if (atomic_exchange_explicit(&role->word, self_tid() | LOCK_BLOCKED_BIT, memory_order_release) &
        LOCK_WAITERS)
        lock_wake(role);
}

/* PARKED -> BUSY; false if the role was taken over meanwhile, and is not ours any more. */
static inline bool lock_unblock(struct lock *role)
{
    uint32_t self = self_tid(), word = self | LOCK_BLOCKED_BIT;
    while (!atomic_compare_exchange_weak_explicit(&role->word, &word, (word & LOCK_WAITERS) | self,
                                                  memory_order_acquire, memory_order_relaxed)) {
        if ((word & LOCK_OWNER_BITS) != self || !(word & LOCK_BLOCKED_BIT))
            return false;
    }
    return true;
}

/* Waits until the role is not PARKED by another. 0, or -EINTR where a blocking call would be interrupted. */
int lock_wait_unblocked(struct lock *role);

/* Frees the role if its owner is gone, and nobody else can take it. */
void lock_free_dead(struct lock *role);

#endif
