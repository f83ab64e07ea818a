/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "conn/own.h"

#include "conn/drive.h"
#include "conn/registry.h"
#include "diag/log.h"
#include "sys/net.h"

static _Atomic int owned[OWN_KINDS] = {-1, -1, -1, -1, -1, -1};

int own_duplicate(int fd)
{
    int high = net_fcntl(fd, F_DUPFD_CLOEXEC, registry_own_base());
    return high >= 0 ? high : net_fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

/* *first: it is this one that was recorded. */
static int keep(enum own_kind kind, int fd, bool *first)
{
    int high = fd < 0 ? -1 : own_duplicate(fd), none = -1;
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

int own_keep(enum own_kind kind, int fd)
{
    bool first;
    return keep(kind, fd, &first);
}

bool own_keep_first(enum own_kind kind, int fd)
{
    bool first;
    keep(kind, fd, &first);
    return first;
}

int own_get(enum own_kind kind)
{
    return atomic_load_explicit(&owned[kind], memory_order_acquire);
}

void own_drop(enum own_kind kind)
{
    int fd = atomic_exchange(&owned[kind], -1);
    if (fd >= 0)
        sys_close(fd);
}

bool own_is(int fd)
{
    if (fd < 0)
        return false;
    for (int kind = 0; kind < OWN_KINDS; kind++) {
        if (fd == own_get((enum own_kind)kind))
            return true;
    }
    return registry_marks(fd) & REGISTRY_ORPHAN;
}

int own_bound(void)
{
    int bound = registry_bound();
    for (int kind = 0; kind < OWN_KINDS; kind++)
        bound = own_get((enum own_kind)kind) >= bound ? own_get((enum own_kind)kind) + 1 : bound;
    return bound;
}

static void move_orphan(int fd)
{
    struct sealed orphan = registry_find(fd);
    int moved = orphan.conn ? own_duplicate(fd) : -1;
    bool left, last;
    if (moved < 0)
        return;
    registry_add(moved, orphan.conn, orphan.generation);
    registry_mark(moved, REGISTRY_ORPHAN);
    drive_drop(fd);
    if (registry_hide(&orphan, &left, &last))
        registry_show(fd);
    drive_add(moved);
}

void own_make_way(int fd)
{
    if (!own_is(fd) || !registry_is_ours())
        return;
    if (registry_marks(fd) & REGISTRY_ORPHAN)
        move_orphan(fd);
    for (int kind = 0; kind < OWN_KINDS; kind++) {
        int same = fd, moved = fd == own_get((enum own_kind)kind) ? own_duplicate(fd) : -1;
        if (moved >= 0 && !atomic_compare_exchange_strong(&owned[kind], &same, moved))
            sys_close(moved);
        else if (moved >= 0 && kind == OWN_LOG)
            log_keep(moved);
    }
}
