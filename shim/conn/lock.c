/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "conn/lock.h"

#include <stdatomic.h>

#include "conn/liveness.h"
#include "shm/self.h"
#include "sys/net.h"

enum {
    SPINS = 100,
    CHECK_MS = 200, /* how often a waiter checks whether the owner is alive */
    MOMENT_MS = 1,  /* how long lock_take_soon() waits */
    STAYS_LOCKED = -1,
};

static bool in_this_process(uint32_t owner)
{
    return net_tgkill(sys_getpid(), (int)owner, 0) == 0;
}

/* Sets LOCK_WAITERS, and sleeps until the word changes. */
static long sleep_on(struct lock *lock, uint32_t word, const struct timespec *timeout)
{
    if (!(word & LOCK_WAITERS)) {
        if (!atomic_compare_exchange_strong(&lock->word, &word, word | LOCK_WAITERS))
            return 0;
        word |= LOCK_WAITERS;
    }
    return net_futex_wait(&lock->word, word, timeout);
}

/* Becomes the owner in place of the one that the word names. */
static bool take_over(struct lock *lock, uint32_t word)
{
    return atomic_compare_exchange_strong(&lock->word, &word, self_tid() | (word & LOCK_WAITERS));
}

/* An enum lock_result. If wait_ms is less than CHECK_MS: STAYS_LOCKED when that time is over. */
static int take(struct lock *lock, int wait_ms)
{
    const struct timespec check = {.tv_nsec = wait_ms * 1000000L};
    for (unsigned spin = 0;; spin++) {
        if (lock_try(lock))
            return LOCK_TAKEN;
        uint32_t word = atomic_load_explicit(&lock->word, memory_order_acquire);
        uint32_t owner = word & LOCK_OWNER_BITS;
        if (!owner)
            continue;
        if (owner == self_tid()) {
            if (!(word & LOCK_BLOCKED_BIT))
                return LOCK_REENTERED;
            if (take_over(lock, word))
                return LOCK_RECOVERED;
            continue;
        }
        if (word & LOCK_BLOCKED_BIT) {
            if (!liveness_thread_dead(owner))
                return LOCK_BLOCKED;
            if (take_over(lock, word))
                return LOCK_RECOVERED;
            continue;
        }
        if (spin < SPINS)
            continue;
        if (sleep_on(lock, word, &check) != -ETIMEDOUT)
            continue;
        if (liveness_thread_dead(owner) && take_over(lock, word | LOCK_WAITERS))
            return LOCK_OWNER_DIED;
        if (wait_ms < CHECK_MS)
            return STAYS_LOCKED;
    }
}

enum lock_result lock_take_contended(struct lock *lock)
{
    return (enum lock_result)take(lock, CHECK_MS);
}

bool lock_take_soon(struct lock *lock, enum lock_result *result)
{
    int taken = take(lock, MOMENT_MS);
    if (taken != STAYS_LOCKED)
        *result = (enum lock_result)taken;
    return taken != STAYS_LOCKED;
}

void lock_wake(struct lock *lock)
{
    net_futex_wake(&lock->word, INT32_MAX);
}

void lock_free_dead(struct lock *lock)
{
    uint32_t word = atomic_load(&lock->word), owner = word & LOCK_OWNER_BITS;
    if (owner && liveness_gone(owner))
        atomic_compare_exchange_strong(&lock->word, &word, 0);
}

int lock_wait_unblocked(struct lock *lock)
{
    const struct timespec check = {.tv_sec = 1};
    uint32_t word = atomic_load_explicit(&lock->word, memory_order_acquire);
    if (!(word & LOCK_BLOCKED_BIT) || (word & LOCK_OWNER_BITS) == self_tid())
        return 0;
    /* The kernel restarts a wait without a time-out as SA_RESTART says, but never one with a time-out. A
     * thread of this process cannot die alone while it holds the lock, so a time-out is needed only for an
     * owner in another process. */
    bool local = in_this_process(word & LOCK_OWNER_BITS);
    long result = sleep_on(lock, word, local ? NULL : &check);
    return result == -EINTR ? -EINTR : 0;
}
