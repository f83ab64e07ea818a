/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "conn/role.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "conn/arena.h"
#include "sys/net.h"

enum {
    SPINS = 100,
    CHECK_MS = 200, /* how often a waiter looks whether the owner is alive */
    MOMENT_MS = 1,  /* how long role_take_soon() waits */
    STAYS_BUSY = -1,
};

__thread uint32_t role_self_id __attribute__((tls_model("initial-exec")));

uint32_t role_learn_self(void)
{
    return role_self_id = (uint32_t)sys_gettid();
}

void role_forget(void)
{
    role_self_id = 0;
}

static _Atomic bool blind; /* no file may be looked at */

void role_note_namespace(void)
{
    struct stat info;
    if (arena_present() && !atomic_load(&blind) &&
        sys_call(SYS_newfstatat, SYS_AT_FDCWD, sys_ptr("/proc/self/ns/pid"), sys_ptr(&info), 0, 0, 0) == 0)
        arena_note_namespace((uint64_t)info.st_ino);
}

/* Of /proc/PID/stat (proc(5)): the state letter, behind the last ')', 0 if it cannot be read, and 17 fields
 * further how many threads the process has. */
static char look_at(uint32_t id, int *threads)
{
    char path[32], text[512];
    snprintf(path, sizeof path, "/proc/%u/stat", id);
    int fd = sys_open(path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    long len = sys_read(fd, text, sizeof text - 1);
    sys_close(fd);
    text[len > 0 ? len : 0] = 0;
    const char *end = strrchr(text, ')');
    if (!end || end[1] != ' ')
        return 0;
    const char *field = end + 1;
    for (int i = 0; i < 17 && field; i++)
        field = strchr(field + 1, ' ');
    *threads = field ? atoi(field) : 0;
    return end[2];
}

void role_stop_looking(void)
{
    atomic_store(&blind, true);
}

bool role_is_gone(uint32_t id)
{
    return !arena_namespaces_mixed() && net_kill((int)id, 0) == -ESRCH;
}

/* The state letter as far as it may be asked: 0 if it is not known. */
static char state_of(uint32_t id, int *threads)
{
    if (arena_namespaces_mixed())
        return 0;
    if (role_is_gone(id))
        return 'X';
    return id == (uint32_t)sys_getpid() || atomic_load(&blind) ? 0 : look_at(id, threads);
}

bool role_is_dead(uint32_t id)
{
    int threads;
    char state = state_of(id, &threads);
    return state == 'Z' || state == 'X';
}

bool role_process_is_dead(uint32_t id)
{
    int threads = 0;
    char state = state_of(id, &threads);
    return state == 'X' || (state == 'Z' && threads <= 1);
}

static bool in_this_process(uint32_t owner)
{
    return net_tgkill(sys_getpid(), (int)owner, 0) == 0;
}

/* Marks that somebody waits, and sleeps until the word changes. */
static long sleep_on(struct role *role, uint32_t word, const struct timespec *timeout)
{
    if (!(word & ROLE_WAITERS)) {
        if (!atomic_compare_exchange_strong(&role->word, &word, word | ROLE_WAITERS))
            return 0;
        word |= ROLE_WAITERS;
    }
    return net_futex_wait(&role->word, word, timeout);
}

/* Takes over a role whose owner is dead. */
static bool take_over(struct role *role, uint32_t word)
{
    return atomic_compare_exchange_strong(&role->word, &word, role_self() | (word & ROLE_WAITERS));
}

/* An enum role_result; with a time to wait that is shorter than CHECK_MS, STAYS_BUSY when that is over. */
static int take(struct role *role, int wait_ms)
{
    const struct timespec check = {.tv_nsec = wait_ms * 1000000L};
    for (unsigned spin = 0;; spin++) {
        if (role_try(role))
            return ROLE_TAKEN;
        uint32_t word = atomic_load_explicit(&role->word, memory_order_acquire);
        uint32_t owner = word & ROLE_OWNER_BITS;
        if (!owner)
            continue;
        if (owner == role_self()) {
            if (!(word & ROLE_PARKED_BIT))
                return ROLE_REENTERED;
            if (take_over(role, word))
                return ROLE_RESUMED;
            continue;
        }
        if (word & ROLE_PARKED_BIT) {
            if (!role_is_dead(owner))
                return ROLE_PARKED;
            if (take_over(role, word))
                return ROLE_RESUMED;
            continue;
        }
        if (spin < SPINS)
            continue;
        if (sleep_on(role, word, &check) != -ETIMEDOUT)
            continue;
        if (role_is_dead(owner) && take_over(role, word | ROLE_WAITERS))
            return ROLE_ABANDONED;
        if (wait_ms < CHECK_MS)
            return STAYS_BUSY;
    }
}

enum role_result role_take_contended(struct role *role)
{
    return (enum role_result)take(role, CHECK_MS);
}

bool role_take_soon(struct role *role, enum role_result *result)
{
    int taken = take(role, MOMENT_MS);
    if (taken != STAYS_BUSY)
        *result = (enum role_result)taken;
    return taken != STAYS_BUSY;
}

void role_wake(struct role *role)
{
    net_futex_wake(&role->word, INT32_MAX);
}

void role_free_gone(struct role *role)
{
    uint32_t word = atomic_load(&role->word), owner = word & ROLE_OWNER_BITS;
    if (owner && role_is_gone(owner))
        atomic_compare_exchange_strong(&role->word, &word, 0);
}

int role_wait(struct role *role)
{
    const struct timespec check = {.tv_sec = 1};
    uint32_t word = atomic_load_explicit(&role->word, memory_order_acquire);
    if (!(word & ROLE_PARKED_BIT) || (word & ROLE_OWNER_BITS) == role_self())
        return 0;
    /* A wait without a time-out is restarted by the kernel as SA_RESTART says; with one it never is. A thread
     * of our own process cannot die alone while it holds the role, so only another's needs looking after. */
    bool ours = in_this_process(word & ROLE_OWNER_BITS);
    long result = sleep_on(role, word, ours ? NULL : &check);
    return result == -EINTR ? -EINTR : 0;
}
