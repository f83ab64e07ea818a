/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "conn/role.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "conn/arena.h"
#include "sys/net.h"

/* Thread ids have at most 22 bits (PID_MAX_LIMIT of the kernel). */
#define OWNER_BITS 0x003fffffu
#define WAITERS    0x40000000u
#define PARKED     0x80000000u

enum {
    SPINS = 100,
    CHECK_MS = 200, /* how often a waiter looks whether the owner is alive */
};

static __thread uint32_t self_id __attribute__((tls_model("initial-exec")));

uint32_t role_self(void)
{
    if (!self_id)
        self_id = (uint32_t)sys_gettid();
    return self_id;
}

void role_forget(void)
{
    self_id = 0;
}

bool role_mine(const struct role *role, bool *parked)
{
    uint32_t word = atomic_load_explicit(&role->word, memory_order_relaxed);
    *parked = word & PARKED;
    return (word & OWNER_BITS) == role_self();
}

static _Atomic bool blind; /* no file may be looked at */

void role_note_namespace(void)
{
    struct stat info;
    if (arena_present() && !atomic_load(&blind) &&
        sys_call(SYS_newfstatat, SYS_AT_FDCWD, sys_ptr("/proc/self/ns/pid"), sys_ptr(&info), 0, 0, 0) == 0)
        arena_note_namespace((uint64_t)info.st_ino);
}

/* The state letter of /proc/PID/stat, behind the last ')' (proc(5)); 0 if it cannot be read. */
static char process_state(uint32_t id)
{
    char path[32], text[128];
    snprintf(path, sizeof path, "/proc/%u/stat", id);
    int fd = sys_open(path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    long len = sys_read(fd, text, sizeof text - 1);
    sys_close(fd);
    text[len > 0 ? len : 0] = 0;
    const char *end = strrchr(text, ')');
    return end && end[1] == ' ' ? end[2] : 0;
}

void role_stop_looking(void)
{
    atomic_store(&blind, true);
}

bool role_is_dead(uint32_t id)
{
    if (arena_namespaces_mixed())
        return false;
    if (net_kill((int)id, 0) == -ESRCH)
        return true;
    char state = id == (uint32_t)sys_getpid() || atomic_load(&blind) ? 0 : process_state(id);
    return state == 'Z' || state == 'X';
}

static bool in_this_process(uint32_t owner)
{
    return net_tgkill(sys_getpid(), (int)owner, 0) == 0;
}

bool role_try(struct role *role)
{
    uint32_t free = 0;
    return atomic_compare_exchange_strong_explicit(&role->word, &free, role_self(), memory_order_acquire,
                                                   memory_order_relaxed);
}

/* Marks that somebody waits, and sleeps until the word changes. */
static long sleep_on(struct role *role, uint32_t word, const struct timespec *timeout)
{
    if (!(word & WAITERS)) {
        if (!atomic_compare_exchange_strong(&role->word, &word, word | WAITERS))
            return 0;
        word |= WAITERS;
    }
    return net_futex_wait(&role->word, word, timeout);
}

/* Takes over a role whose owner is dead. */
static bool take_over(struct role *role, uint32_t word)
{
    return atomic_compare_exchange_strong(&role->word, &word, role_self() | (word & WAITERS));
}

enum role_result role_take(struct role *role)
{
    const struct timespec check = {.tv_nsec = CHECK_MS * 1000000L};
    for (unsigned spin = 0;; spin++) {
        if (role_try(role))
            return ROLE_TAKEN;
        uint32_t word = atomic_load_explicit(&role->word, memory_order_acquire);
        uint32_t owner = word & OWNER_BITS;
        if (!owner)
            continue;
        if (owner == role_self()) {
            if (!(word & PARKED))
                return ROLE_REENTERED;
            if (take_over(role, word))
                return ROLE_RESUMED;
            continue;
        }
        if (word & PARKED) {
            if (!role_is_dead(owner))
                return ROLE_PARKED;
            if (take_over(role, word))
                return ROLE_RESUMED;
            continue;
        }
        if (spin < SPINS)
            continue;
        if (sleep_on(role, word, &check) == -ETIMEDOUT && role_is_dead(owner) &&
            take_over(role, word | WAITERS))
            return ROLE_ABANDONED;
    }
}

void role_release(struct role *role)
{
    uint32_t word = atomic_exchange_explicit(&role->word, 0, memory_order_release);
    if (word & WAITERS)
        net_futex_wake(&role->word, INT32_MAX);
}

void role_park(struct role *role)
{
    uint32_t word = atomic_exchange_explicit(&role->word, role_self() | PARKED, memory_order_release);
    if (word & WAITERS) /* they have something better to do than to wait for us */
        net_futex_wake(&role->word, INT32_MAX);
}

bool role_unpark(struct role *role)
{
    uint32_t self = role_self(), word = self | PARKED;
    while (!atomic_compare_exchange_weak_explicit(&role->word, &word, (word & WAITERS) | self,
                                                  memory_order_acquire, memory_order_relaxed)) {
        if ((word & OWNER_BITS) != self || !(word & PARKED))
            return false;
    }
    return true;
}

int role_wait(struct role *role)
{
    const struct timespec check = {.tv_sec = 1};
    uint32_t word = atomic_load_explicit(&role->word, memory_order_acquire);
    if (!(word & PARKED) || (word & OWNER_BITS) == role_self())
        return 0;
    /* A wait without a time-out is restarted by the kernel as SA_RESTART says; with one it never is. A thread
     * of our own process cannot die alone while it holds the role, so only another's needs looking after. */
    bool ours = in_this_process(word & OWNER_BITS);
    long result = sleep_on(role, word, ours ? NULL : &check);
    return result == -EINTR ? -EINTR : 0;
}
