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

bool lock_blocked_here(const struct lock *lock)
{
    const uint64_t word = atomic_load_explicit(&lock->word, memory_order_acquire),
                   owner = word & LOCK_OWNER_BITS;
    return (word & LOCK_BLOCKED_BIT) && owner != self_id() && in_this_process(owner);
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

/* ---- What this thread has taken ---- */

__thread const struct lock *lock_held[LOCK_HELD] __attribute__((tls_model("initial-exec")));
static __thread bool held_more __attribute__((tls_model("initial-exec"))); /* there was no room once */

bool lock_note_further(const struct lock *lock)
{
    for (int i = 0; i < LOCK_HELD; i++) {
        if (lock_held[i] == lock)
            return false;
    }
    for (int i = 0; i < LOCK_HELD; i++) {
        if (!lock_held[i]) {
            lock_held[i] = lock;
            return true;
        }
    }
    held_more = true;
    return false;
}

void lock_forget_further(const struct lock *lock)
{
    for (int i = 0; i < LOCK_HELD; i++) {
        if (lock_held[i] == lock)
            lock_held[i] = NULL;
    }
}

/* Without room for all, what the word says is believed. */
static bool has_noted(const struct lock *lock)
{
    bool noted = held_more;
    for (int i = 0; i < LOCK_HELD; i++)
        noted = noted || lock_held[i] == lock;
    return noted;
}

bool lock_is_held(const struct lock *lock, bool *blocked)
{
    return lock_mine(lock, blocked) && has_noted(lock);
}

/* ---- Taking ---- */

/* Becomes the owner in place of the one that the word names. */
static bool take_over(struct lock *lock, uint64_t word)
{
    const bool noted = lock_note(lock);
    if (atomic_compare_exchange_strong(&lock->word, &word, self_id() | (word & LOCK_WAITERS)))
        return true;
    if (noted)
        lock_forget(lock);
    return false;
}

/* Whether some thread may have written the word: it names one, and no bit is set that none sets. */
static bool is_possible(uint64_t word)
{
    return (uint32_t)(word & LOCK_OWNER_BITS) != 0 &&
           !(word & ~(LOCK_OWNER_BITS | LOCK_WAITERS | LOCK_BLOCKED_BIT));
}

enum { TRY_AGAIN = -1, WAIT = -2 };

/* What the word says: an enum lock_result, or one of the two above. */
static int judge(struct lock *lock, uint64_t word)
{
    const uint64_t owner = word & LOCK_OWNER_BITS;
    const bool blocked = word & LOCK_BLOCKED_BIT;
    if (!word)
        return TRY_AGAIN;
    if (!is_possible(word) || (owner == self_id() && !blocked && !has_noted(lock)))
        return take_over(lock, word) ? LOCK_LOST : TRY_AGAIN;
    if (owner == self_id() && !blocked)
        return LOCK_REENTERED;
    if (!blocked)
        return WAIT;
    if (owner != self_id() && !is_dead(owner))
        return LOCK_BLOCKED;
    return take_over(lock, word) ? LOCK_RECOVERED : TRY_AGAIN;
}

/* How long a thread has waited, in its own sleeps and in rounds of the loop: when the word changes all the
 * time, no sleep lasts. */
struct patience {
    int slept_ms;
    unsigned rounds;
};

static bool is_over(const struct patience *patience)
{
    enum { ROUNDS_MAX = 1 << 22 }; /* seconds; whoever is waked gets the lock within a few */
    return patience->slept_ms >= LOCK_PATIENCE_MS || patience->rounds >= ROUNDS_MAX;
}

/* An enum lock_result. If wait_ms is less than CHECK_MS: STAYS_LOCKED when that time is over. */
static int take(struct lock *lock, int wait_ms, bool shared)
{
    const struct timespec check = {.tv_nsec = wait_ms * 1000000L};
    for (struct patience patience = {0};; patience.rounds++) {
        if (lock_try(lock))
            return LOCK_TAKEN;
        const uint64_t word = atomic_load_explicit(&lock->word, memory_order_acquire);
        const int result = judge(lock, word);
        if (result >= 0)
            return result;
        if (shared && is_over(&patience) && take_over(lock, word))
            return LOCK_LOST;
        if (result == TRY_AGAIN || patience.rounds < SPINS || sleep_on(lock, word, &check) != -ETIMEDOUT)
            continue;
        patience.slept_ms += wait_ms;
        if (is_dead(word & LOCK_OWNER_BITS) && take_over(lock, word | LOCK_WAITERS))
            return LOCK_OWNER_DIED;
        if (wait_ms < CHECK_MS)
            return STAYS_LOCKED;
    }
}

enum lock_result lock_take_contended(struct lock *lock)
{
    return (enum lock_result)take(lock, CHECK_MS, false);
}

enum lock_result lock_take_shared(struct lock *lock)
{
    return lock_try(lock) ? LOCK_TAKEN : (enum lock_result)take(lock, CHECK_MS, true);
}

bool lock_take_soon(struct lock *lock, enum lock_result *result)
{
    int taken = take(lock, MOMENT_MS, true);
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
