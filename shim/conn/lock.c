/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "conn/lock.h"

#include <stdatomic.h>

#include "conn/liveness.h"
#include "shm/self.h"
#include "sys/net.h"

enum {
    SPINS = 100,
    CHECK_MS = 200, /* how often a waiter looks whether the owner is alive */
    MOMENT_MS = 1,  /* how long lock_take_soon() waits */
    STAYS_BUSY = -1,
};

static bool in_this_process(uint32_t owner)
{
    return net_tgkill(sys_getpid(), (int)owner, 0) == 0;
}

/* Marks that somebody waits, and sleeps until the word changes. */
static long sleep_on(struct lock *role, uint32_t word, const struct timespec *timeout)
{
    if (!(word & LOCK_WAITERS)) {
        if (!atomic_compare_exchange_strong(&role->word, &word, word | LOCK_WAITERS))
            return 0;
        word |= LOCK_WAITERS;
    }
    return net_futex_wait(&role->word, word, timeout);
}

/* Takes over a role whose owner is dead. */
static bool take_over(struct lock *role, uint32_t word)
{
    return atomic_compare_exchange_strong(&role->word, &word, self_tid() | (word & LOCK_WAITERS));
}

/* An enum lock_result; with a time to wait that is shorter than CHECK_MS, STAYS_BUSY when that is over. */
static int take(struct lock *role, int wait_ms)
{
    const struct timespec check = {.tv_nsec = wait_ms * 1000000L};
    for (unsigned spin = 0;; spin++) {
        if (lock_try(role))
            return LOCK_TAKEN;
        uint32_t word = atomic_load_explicit(&role->word, memory_order_acquire);
        uint32_t owner = word & LOCK_OWNER_BITS;
        if (!owner)
            continue;
        if (owner == self_tid()) {
            if (!(word & LOCK_BLOCKED_BIT))
                return LOCK_REENTERED;
            if (take_over(role, word))
                return LOCK_RECOVERED;
            continue;
        }
        if (word & LOCK_BLOCKED_BIT) {
            if (!liveness_thread_dead(owner))
                return LOCK_BLOCKED;
            if (take_over(role, word))
                return LOCK_RECOVERED;
            continue;
        }
        if (spin < SPINS)
            continue;
        if (sleep_on(role, word, &check) != -ETIMEDOUT)
            continue;
        if (liveness_thread_dead(owner) && take_over(role, word | LOCK_WAITERS))
            return LOCK_OWNER_DIED;
        if (wait_ms < CHECK_MS)
            return STAYS_BUSY;
    }
}

enum lock_result lock_take_contended(struct lock *role)
{
    return (enum lock_result)take(role, CHECK_MS);
}

bool lock_take_soon(struct lock *role, enum lock_result *result)
{
    int taken = take(role, MOMENT_MS);
    if (taken != STAYS_BUSY)
        *result = (enum lock_result)taken;
    return taken != STAYS_BUSY;
}

void lock_wake(struct lock *role)
{
    net_futex_wake(&role->word, INT32_MAX);
}

void lock_free_dead(struct lock *role)
{
    uint32_t word = atomic_load(&role->word), owner = word & LOCK_OWNER_BITS;
    if (owner && liveness_gone(owner))
        atomic_compare_exchange_strong(&role->word, &word, 0);
}

int lock_wait_unblocked(struct lock *role)
{
    const struct timespec check = {.tv_sec = 1};
    uint32_t word = atomic_load_explicit(&role->word, memory_order_acquire);
    if (!(word & LOCK_BLOCKED_BIT) || (word & LOCK_OWNER_BITS) == self_tid())
        return 0;
    /* A wait without a time-out is restarted by the kernel as SA_RESTART says; with one it never is. A thread
     * of our own process cannot die alone while it holds the role, so only another's needs looking after. */
    bool ours = in_this_process(word & LOCK_OWNER_BITS);
    long result = sleep_on(role, word, ours ? NULL : &check);
    return result == -EINTR ? -EINTR : 0;
}
