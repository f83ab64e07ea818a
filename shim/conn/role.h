/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_ROLE_H
#define SOCKSEAL_ROLE_H

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

struct role {
    _Atomic uint32_t word; /* 0: free; else the owner, and: */
};

#define ROLE_OWNER_BITS 0x003fffffu /* thread ids have at most 22 bits (PID_MAX_LIMIT of the kernel) */
#define ROLE_WAITERS    0x40000000u /* somebody sleeps until it changes */
#define ROLE_PARKED_BIT 0x80000000u

enum role_result {
    ROLE_TAKEN,     /* it is ours, BUSY */
    ROLE_PARKED,    /* another thread is in a blocking call with it */
    ROLE_REENTERED, /* this thread holds it already: we are in a signal handler that interrupted its work */
    ROLE_ABANDONED, /* it is ours, but its last owner died BUSY: the direction's state cannot be trusted */
    ROLE_RESUMED,   /* it is ours; its last owner died PARKED, or was this thread, which has jumped out of the
                       blocking call   or is in a signal handler above it. What the call did to the socket is
                       not   known. */
};

/* This thread's id, cached; role_forget() drops the cache in a forked child. */
extern __thread uint32_t role_self_id __attribute__((tls_model("initial-exec")));
uint32_t role_learn_self(void);
void role_forget(void);

static inline uint32_t role_self(void)
{
    return role_self_id ? role_self_id : role_learn_self();
}

/* Takes the role only if it is free. */
static inline bool role_try(struct role *role)
{
    uint32_t free = 0;
    return atomic_compare_exchange_strong_explicit(&role->word, &free, role_self(), memory_order_acquire,
                                                   memory_order_relaxed);
}

/* Takes the role; waits while it is BUSY. */
enum role_result role_take_contended(struct role *role);

static inline enum role_result role_take(struct role *role)
{
    return role_try(role) ? ROLE_TAKEN : role_take_contended(role);
}

/* The same, but waits a moment only: false if it stays BUSY. Its owner may have been stopped by a signal, as
 * garbage collectors do it, and go on no sooner than the caller does: who makes progress with other people's
 * connections must not wait for him. */
bool role_take_soon(struct role *role, enum role_result *result);

/* Whether this thread holds the role; *parked: PARKED. */
static inline bool role_mine(const struct role *role, bool *parked)
{
    uint32_t word = atomic_load_explicit(&role->word, memory_order_relaxed);
    *parked = word & ROLE_PARKED_BIT;
    return word && (word & ROLE_OWNER_BITS) == role_self();
}

/* Wakes whoever sleeps for the role. */
void role_wake(struct role *role);

/* BUSY -> free. */
static inline void role_release(struct role *role)
{
    if (atomic_exchange_explicit(&role->word, 0, memory_order_release) & ROLE_WAITERS)
        role_wake(role);
}

/* BUSY -> PARKED, around a call that may block. Who waits has something better to do then. */
static inline void role_park(struct role *role)
{
    if (atomic_exchange_explicit(&role->word, role_self() | ROLE_PARKED_BIT, memory_order_release) &
        ROLE_WAITERS)
        role_wake(role);
}

/* PARKED -> BUSY; false if the role was taken over meanwhile, and is not ours any more. */
static inline bool role_unpark(struct role *role)
{
    uint32_t self = role_self(), word = self | ROLE_PARKED_BIT;
    while (!atomic_compare_exchange_weak_explicit(&role->word, &word, (word & ROLE_WAITERS) | self,
                                                  memory_order_acquire, memory_order_relaxed)) {
        if ((word & ROLE_OWNER_BITS) != self || !(word & ROLE_PARKED_BIT))
            return false;
    }
    return true;
}

/* Waits until the role is not PARKED by another. 0, or -EINTR where a blocking call would be interrupted. */
int role_wait(struct role *role);

/* Whether the thread of this id is certainly dead; a zombie is. A process is not, whose first thread has
 * ended before others. */
bool role_is_dead(uint32_t id);
bool role_process_is_dead(uint32_t id);

/* The same, but a zombie is not taken for one: asks the kernel only. */
bool role_is_gone(uint32_t id);

/* Frees the role if its owner is gone, and nobody else can take it. */
void role_free_gone(struct role *role);

/* Looks whether this process is in the arena's first process's PID namespace; if not, ids tell nothing any
 * more, and nobody is taken for dead. */
void role_note_namespace(void);

/* From now on no file is opened to see whether a process is a zombie (conn/sandbox.h). */
void role_stop_looking(void);

#endif
