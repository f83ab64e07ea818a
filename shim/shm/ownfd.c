/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "shm/ownfd.h"

#include <stdatomic.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/select.h>

#include "sys/net.h"

static _Atomic int owned[OWNFD_KINDS] = {[0 ... OWNFD_KINDS - 1] = -1};

int ownfd_base(void)
{
    struct rlimit limit;
    if (sys_call(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, sys_ptr(&limit), 0, 0) < 0)
        return 3;
    /* Below 1024, since a higher number would enlarge the kernel's table of descriptors. select(2) reads and
     * writes the program's sets up to the size of that table, whatever room they have. */
    uint64_t soft = limit.rlim_cur > FD_SETSIZE ? FD_SETSIZE : limit.rlim_cur;
    return soft > 512 ? (int)(soft - 256) : (int)(soft / 2);
}

int ownfd_duplicate(int fd)
{
    int high = net_fcntl(fd, F_DUPFD_CLOEXEC, ownfd_base());
    return high >= 0 ? high : net_fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

/* Records fd at a high number. *first tells whether this descriptor, and not another thread's, is the one
 * that is recorded now. */
static int keep(enum ownfd_kind kind, int fd, bool *first)
{
    int high = fd < 0 ? -1 : ownfd_duplicate(fd), none = -1;
    *first = false;
    if (fd >= 0)
        sys_close(fd);
    if (high < 0)
        return -1;
    *first = atomic_compare_exchange_strong(&owned[kind], &none, high);
    if (*first)
        return high;
    sys_close(high);
    return none;
}

int ownfd_keep(enum ownfd_kind kind, int fd)
{
    bool first;
    return keep(kind, fd, &first);
}

bool ownfd_keep_first(enum ownfd_kind kind, int fd)
{
    bool first;
    keep(kind, fd, &first);
    return first;
}

int ownfd_get(enum ownfd_kind kind)
{
    return atomic_load_explicit(&owned[kind], memory_order_acquire);
}

void ownfd_drop(enum ownfd_kind kind)
{
    int fd = atomic_exchange(&owned[kind], -1);
    if (fd >= 0)
        sys_close(fd);
}

bool ownfd_is(int fd)
{
    for (int kind = 0; fd >= 0 && kind < OWNFD_KINDS; kind++) {
        if (fd == ownfd_get((enum ownfd_kind)kind))
            return true;
    }
    return false;
}

int ownfd_bound(void)
{
    int bound = 0;
    for (int kind = 0; kind < OWNFD_KINDS; kind++)
        bound = ownfd_get((enum ownfd_kind)kind) >= bound ? ownfd_get((enum ownfd_kind)kind) + 1 : bound;
    return bound;
}

bool ownfd_make_way(int fd)
{
    bool log = false;
    for (int kind = 0; kind < OWNFD_KINDS; kind++) {
        int same = fd, moved = fd == ownfd_get((enum ownfd_kind)kind) ? ownfd_duplicate(fd) : -1;
        if (moved < 0)
            continue;
        if (atomic_compare_exchange_strong(&owned[kind], &same, moved))
            log |= kind == OWNFD_LOG;
        else
            sys_close(moved);
    }
    return log;
}
