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

/* The thread id of an owner of this process's namespace; 0 for one of another, whose id tells nothing here.
 */
static uint32_t thread_of(uint64_t owner)
{
    return owner >> 32 == self_id() >> 32 ? (uint32_t)owner : 0;
}

static bool in_this_process(uint64_t owner)
{
    const uint32_t thread = thread_of(owner);
    return thread && net_tgkill(sys_getpid(), (int)thread, 0) == 0;
}

/* Whether the owner is certainly dead. */
static bool is_dead(uint64_t owner)
{
    const uint32_t thread = thread_of(owner);
    return thread && liveness_thread_dead(thread);
}

/* What futex(2) looks at: the half with the thread id and the flags. Threads of one id in two namespaces look
 * the same there, which does no harm: whoever releases the lock wakes all that sleep. */
static _Atomic uint32_t *futex_of(struct lock *lock)
{
    _Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the low half comes first");
    return (_Atomic uint32_t *)(void *)&lock->word;
}

/* Sets LOCK_WAITERS, and sleeps until the word changes. */
static long sleep_on(struct lock *lock, uint64_t word, const struct timespec *timeout)
{
    if (!(word & LOCK_WAITERS)) {
        if (!atomic_compare_exchange_strong(&lock->word, &word, word | LOCK_WAITERS))
            return 0;
        word |= LOCK_WAITERS;
    }
    return net_futex_wait(futex_of(lock), (uint32_t)word, timeout);
}

/* Becomes the owner in place of the one that the word names. */
static bool take_over(struct lock *lock, uint64_t word)
{
    return atomic_compare_exchange_strong(&lock->word, &word, self_id() | (word & LOCK_WAITERS));
}

/* An enum lock_result. If wait_ms is less than CHECK_MS: STAYS_LOCKED when that time is over. */
static int take(struct lock *lock, int wait_ms)
{
    const struct timespec check = {.tv_nsec = wait_ms * 1000000L};
    for (unsigned spin = 0;; spin++) {
        if (lock_try(lock))
            return LOCK_TAKEN;
        uint64_t word = atomic_load_explicit(&lock->word, memory_order_acquire);
        uint64_t owner = word & LOCK_OWNER_BITS;
        if (!owner)
            continue;
        if (owner == self_id()) {
            if (!(word & LOCK_BLOCKED_BIT))
                return LOCK_REENTERED;
            if (take_over(lock, word))
                return LOCK_RECOVERED;
            continue;
        }
        if (word & LOCK_BLOCKED_BIT) {
            if (!is_dead(owner))
                return LOCK_BLOCKED;
            if (take_over(lock, word))
                return LOCK_RECOVERED;
            continue;
        }
        if (spin < SPINS)
            continue;
        if (sleep_on(lock, word, &check) != -ETIMEDOUT)
            continue;
        if (is_dead(owner) && take_over(lock, word | LOCK_WAITERS))
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
    net_futex_wake(futex_of(lock), INT32_MAX);
}

int lock_wait_unblocked(struct lock *lock, int64_t until_ms)
{
    enum { CHECK_OTHERS_MS = 1000 };
    const int64_t check_ms = net_now_ms() + CHECK_OTHERS_MS;
    uint64_t word = atomic_load_explicit(&lock->word, memory_order_acquire);
    if (!(word & LOCK_BLOCKED_BIT) || (word & LOCK_OWNER_BITS) == self_id())
        return 0;
    /* The kernel restarts a wait without a time-out as SA_RESTART says, but never one with a time-out. A
     * thread of this process cannot die alone while it holds the lock, so a time-out is needed only for an
     * owner in another process. */
    bool local = in_this_process(word & LOCK_OWNER_BITS);
    const int64_t end_ms = local || until_ms < check_ms ? until_ms : check_ms;
    const struct timespec span = net_span_until(end_ms);
    long result = sleep_on(lock, word, end_ms == INT64_MAX ? NULL : &span);
    return result == -EINTR ? -EINTR : 0;
}
