/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "shm/ownfd.h"

#include <stdatomic.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/stat.h>

#include "sys/file.h"
#include "sys/net.h"

/* Each descriptor plus one; 0: there is none. */
static _Atomic int owned[OWNFD_KINDS];

/* One past the highest kind that there was a descriptor of, and the lowest number of a descriptor. */
static _Atomic int kinds;
static _Atomic int lowest = INT32_MAX;

static void note(enum ownfd_kind kind, int fd)
{
    int seen = atomic_load(&kinds);
    while ((int)kind >= seen && !atomic_compare_exchange_weak(&kinds, &seen, (int)kind + 1)) {
    }
    seen = atomic_load(&lowest);
    while (fd < seen && !atomic_compare_exchange_weak(&lowest, &seen, fd)) {
    }
}

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
    int high = fd < 0 ? -1 : ownfd_duplicate(fd), none = 0;
    *first = false;
    if (fd >= 0)
        sys_close(fd);
    if (high < 0)
        return -1;
    note(kind, high);
    *first = atomic_compare_exchange_strong(&owned[kind], &none, high + 1);
    if (*first)
        return high;
    sys_close(high);
    return none - 1;
}

int ownfd_keep(enum ownfd_kind kind, int fd)
{
    bool first;
    return keep(kind, fd, &first);
}

void ownfd_adopt(enum ownfd_kind kind, int fd)
{
    net_fcntl(fd, F_SETFD, FD_CLOEXEC);
    note(kind, fd);
    atomic_store(&owned[kind], fd + 1);
}

bool ownfd_keep_first(enum ownfd_kind kind, int fd)
{
    bool first;
    keep(kind, fd, &first);
    return first;
}

int ownfd_get(enum ownfd_kind kind)
{
    return atomic_load_explicit(&owned[kind], memory_order_acquire) - 1;
}

int ownfd_get_checked(enum ownfd_kind kind)
{
    struct stat st;
    int fd = ownfd_get(kind);
    /* Files of the kernel's without an inode of their own have no type (anon_inodes); another eventfd would
     * be woken once too often. */
    if (fd < 0 || (sys_fstat(fd, &st) == 0 && (st.st_mode & S_IFMT) == 0))
        return fd;
    atomic_compare_exchange_strong(&owned[kind], &fd, -1);
    return -1;
}

void ownfd_drop(enum ownfd_kind kind)
{
    int fd = atomic_exchange(&owned[kind], 0) - 1;
    if (fd >= 0)
        sys_close(fd);
}

bool ownfd_is(int fd)
{
    const int count = fd < atomic_load(&lowest) ? 0 : atomic_load(&kinds);
    for (int kind = 0; kind < count; kind++) {
        if (fd == ownfd_get((enum ownfd_kind)kind))
            return true;
    }
    return false;
}

int ownfd_bound(void)
{
    const int count = atomic_load(&kinds);
    int bound = 0;
    for (int kind = 0; kind < count; kind++)
        bound = ownfd_get((enum ownfd_kind)kind) >= bound ? ownfd_get((enum ownfd_kind)kind) + 1 : bound;
    return bound;
}

bool ownfd_make_way(int fd)
{
    const int count = ownfd_is(fd) ? atomic_load(&kinds) : 0;
    bool log = false;
    for (int kind = 0; kind < count; kind++) {
        int same = fd + 1, moved = fd == ownfd_get((enum ownfd_kind)kind) ? ownfd_duplicate(fd) : -1;
        if (moved < 0)
            continue;
        note((enum ownfd_kind)kind, moved);
        if (atomic_compare_exchange_strong(&owned[kind], &same, moved + 1))
            log |= kind == OWNFD_LOG;
        else
            sys_close(moved);
    }
    return log;
}
