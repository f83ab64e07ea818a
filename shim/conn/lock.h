/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_LOCK_H
#define SOCKSEAL_LOCK_H

/*
 * A lock in shared memory, for one direction of a connection.
 *
 * It is free, or locked while its owner computes, which takes microseconds, or blocked while its owner is in
 * a system call that may block on the program's behalf. A thread that finds it locked waits. A thread that
 * finds it blocked is told so, and does what the kernel would do on plain TCP: a second reader makes its own
 * system call, a non-blocking writer gets EAGAIN. So no thread waits behind a blocked call that would not
 * wait on plain TCP.
 *
 * The word holds the owner's thread id, and the PID namespace in which that id counts: processes of several
 * namespaces may share a connection, and each may be process 1 of its own. So a thread can find out that the
 * owner has died, if it is of the thread's own namespace; or that the lock is its own: it is in a signal
 * handler, or has left the owning call by siglongjmp(3).
 *
 * Whoever shares the memory can write any word. So what the word says of the caller itself counts only if the
 * thread's own memory says the same (lock_held), and lock_take_shared() does not wait for ever: neither for a
 * value that nobody writes here, nor for an owner that does not give the lock back.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/self.h"

struct lock {
    _Atomic uint64_t word; /* 0: free; else the owner's self_id(), and the flags below */
};

#define LOCK_OWNER_BITS                                                                                      \
    0xffffffff003fffffu              /* thread ids have at most 22 bits (PID_MAX_LIMIT of the kernel) */
#define LOCK_WAITERS     0x40000000u /* a thread sleeps until the word changes */
#define LOCK_BLOCKED_BIT 0x80000000u /* blocked, not locked */

enum lock_result {
    /* The caller has it. */
    LOCK_TAKEN,
    /* Another thread has it, and is in a system call. */
    LOCK_BLOCKED,
    /* This thread has it already: the caller is in a signal handler that interrupted it. */
    LOCK_REENTERED,
    /* The caller has it, but its last owner died while it computed: the direction's state cannot be trusted.
     */
    LOCK_OWNER_DIED,
    /* The caller has it. Its last owner died in a system call, or was this thread, which has left the call by
     * siglongjmp(3) or is in a signal handler that interrupted it. What the call did is not known. */
    LOCK_RECOVERED,
    /* The caller has it. Whom the word named cannot have had it, or has not given it back for
     * LOCK_PATIENCE_MS: another process has written to the word, or was stopped while it computed. Only of
     * lock_take_shared(). */
    LOCK_LOST,
};

/* For how long lock_take_shared() waits for an owner that computes; the time in which this process itself
 * does not run does not count. */
enum { LOCK_PATIENCE_MS = 10 * 1000 };

/* The locks that this thread has taken, or NULL; one that it has left by siglongjmp(3) may stand here still.
 */
enum { LOCK_HELD = 4 };
extern __thread const struct lock *lock_held[LOCK_HELD] __attribute__((tls_model("initial-exec")));
bool lock_note_further(const struct lock *lock);
void lock_forget_further(const struct lock *lock);

/* Before the word names this thread, and after it does not any more: a signal handler may come between. False
 * if it was noted before, by the call that the caller interrupts, or there is no room. */
static inline bool lock_note(const struct lock *lock)
{
    bool noted = true;
    if (!lock_held[0])
        lock_held[0] = lock;
    else
        noted = lock_note_further(lock);
    atomic_signal_fence(memory_order_seq_cst);
    return noted;
}

static inline void lock_forget(const struct lock *lock)
{
    atomic_signal_fence(memory_order_seq_cst);
    if (lock_held[0] == lock)
        lock_held[0] = NULL;
    else
        lock_forget_further(lock);
}

/* Takes the lock if it is free. */
static inline bool lock_try(struct lock *lock)
{
    uint64_t free = 0;
    const bool noted = lock_note(lock);
    if (atomic_compare_exchange_strong_explicit(&lock->word, &free, self_id(), memory_order_acquire,
                                                memory_order_relaxed))
        return true;
    if (noted)
        lock_forget(lock);
    return false;
}

/* Takes the lock; waits while another thread computes with it, however long: for memory that no other process
 * can write to. The first is the slow part of the second. */
enum lock_result lock_take_contended(struct lock *lock);

static inline enum lock_result lock_take(struct lock *lock)
{
    return lock_try(lock) ? LOCK_TAKEN : lock_take_contended(lock);
}

/* The same for memory that is shared: waits for LOCK_PATIENCE_MS at most. */
enum lock_result lock_take_shared(struct lock *lock);

/* The same, but waits for a moment only: false if the lock stays locked. Its owner may have been stopped by a
 * signal, as garbage collectors do, and may go on no sooner than the caller. So a thread that makes progress
 * with connections that are not its own must not wait for it. */
bool lock_take_soon(struct lock *lock, enum lock_result *result);

/* Whether the word names this thread as the owner; *blocked: the lock is marked as blocked. */
static inline bool lock_mine(const struct lock *lock, bool *blocked)
{
    uint64_t word = atomic_load_explicit(&lock->word, memory_order_relaxed);
    *blocked = word & LOCK_BLOCKED_BIT;
    return word && (word & LOCK_OWNER_BITS) == self_id();
}

/* Whether this thread is the owner by its own memory, too. */
bool lock_is_held(const struct lock *lock, bool *blocked);

/* Whether another thread of this process has it, and is in a system call. */
bool lock_blocked_here(const struct lock *lock);

/* Wakes the threads that sleep until the word changes. */
void lock_wake(struct lock *lock);

/* Locked -> free. */
static inline void lock_release(struct lock *lock)
{
    const uint64_t word = atomic_exchange_explicit(&lock->word, 0, memory_order_release);
    lock_forget(lock);
    if (word & LOCK_WAITERS)
        lock_wake(lock);
}

/* Locked -> blocked, before a system call that may block. Waiters wake up and find it so. */
static inline void lock_block(struct lock *lock)
{
    if (atomic_exchange_explicit(&lock->word, self_id() | LOCK_BLOCKED_BIT, memory_order_release) &
        LOCK_WAITERS)
        lock_wake(lock);
}

/* Blocked -> locked, after the system call. False if another thread, or a signal handler of this one, has
 * taken the lock over meanwhile: then it is not held any more. */
static inline bool lock_unblock(struct lock *lock)
{
    uint64_t self = self_id(), word = self | LOCK_BLOCKED_BIT;
    while (!atomic_compare_exchange_weak_explicit(&lock->word, &word, (word & LOCK_WAITERS) | self,
                                                  memory_order_acquire, memory_order_relaxed)) {
        if ((word & LOCK_OWNER_BITS) != self || !(word & LOCK_BLOCKED_BIT)) {
            lock_forget(lock);
            return false;
        }
    }
    return true;
}

/* Waits until no other thread has it blocked, or until a time of net_now_ms() (INT64_MAX: no limit). 0, or
 * -EINTR where a blocking call would be interrupted. */
int lock_wait_unblocked(struct lock *lock, int64_t until_ms);

#endif
