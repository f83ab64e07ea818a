/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "conn/handover.h"

#include <stdio.h>

#include "conn/closing.h"
#include "conn/failure.h"
#include "conn/open.h"
#include "conn/own.h"
#include "conn/registry.h"
#include "diag/log.h"
#include "sys/descriptors.h"
#include "sys/net.h"

/* What becomes of a sealed descriptor of this process at exec. */
enum fate {
    FATE_SURVIVES,
    FATE_CLOSED, /* and another one keeps the connection, here or in another process */
    FATE_LEFT,   /* and so is the last one that this process has; another process may have some */
    FATE_DOOMED, /* an orphan (closing.h) */
};

static bool survives_elsewhere(const struct conn *conn)
{
    for (int fd = 0; fd < registry_bound(); fd++) {
        if ((registry_marks(fd) & REGISTRY_INHERIT) && registry_find(fd).conn == conn)
            return true;
    }
    return false;
}

static enum fate fate_of(const struct sealed *sealed)
{
    uint8_t marks = registry_marks(sealed->fd);
    if (marks & REGISTRY_ORPHAN)
        return FATE_DOOMED;
    if (marks & REGISTRY_INHERIT)
        return FATE_SURVIVES;
    if (registry_descriptors(sealed->conn) == 1)
        return FATE_LEFT;
    bool first = registry_any(sealed->conn, -1) == sealed->fd;
    return first && !survives_elsewhere(sealed->conn) ? FATE_LEFT : FATE_CLOSED;
}

static void set_flag(int fd, bool close_on_exec)
{
    net_fcntl(fd, F_SETFD, close_on_exec ? FD_CLOEXEC : 0);
}

/* Calls `visit` for each descriptor in the registry that stands for a connection. */
static void each_sealed(struct handover *plan,
                        void (*visit)(struct handover *plan, const struct sealed *sealed))
{
    for (int fd = 0; fd < registry_bound(); fd++) {
        struct sealed sealed = registry_find(fd);
        if (sealed.conn && sealed.conn != &registry_dead)
            visit(plan, &sealed);
    }
}

static void count(struct handover *plan, const struct sealed *sealed)
{
    enum fate fate = fate_of(sealed);
    plan->any = true;
    plan->surviving += fate == FATE_SURVIVES;
    plan->doomed += fate == FATE_DOOMED || (fate == FATE_LEFT && registry_only_holder(sealed->conn));
}

/* The next program is to end the connection; at a standard number it would be written to before. Without a
 * copy to be had the connection ends with the exec, cut. */
static void doom(struct handover *plan, const struct sealed *sealed)
{
    sealed->conn->doomed = 1;
    if (sealed->fd >= HANDOVER_STANDARD)
        set_flag(sealed->fd, false);
    else
        plan->aside[sealed->fd] = net_fcntl(sealed->fd, F_DUPFD, registry_own_base());
}

static void prepare(struct handover *plan, const struct sealed *sealed)
{
    struct conn *conn = sealed->conn;
    switch (fate_of(sealed)) {
    case FATE_SURVIVES:
        set_flag(sealed->fd, false);
        break;
    case FATE_LEFT:
        if (!registry_leave(conn))
            break;
        registry_rejoin(conn);
        plan->late |= plan->surviving + plan->doomed == 0;
        /* fall through */
    case FATE_DOOMED:
        doom(plan, sealed);
        break;
    case FATE_CLOSED:
        break;
    }
}

static void restore(struct handover *plan, const struct sealed *sealed)
{
    (void)plan;
    set_flag(sealed->fd, true);
    sealed->conn->doomed = 0;
    registry_rejoin(sealed->conn);
}

/* A descriptor in a vfork child that the next program gets: its connection, or NULL. *marked: the parent has
 * it at the same number, and the program wants it to survive. */
static struct conn *found_in_child(int fd, bool *marked)
{
    uint64_t cookie = registry_cookie(fd);
    struct sealed here = cookie ? registry_find(fd) : (struct sealed){0};
    int flags = net_fcntl(fd, F_GETFD, 0);
    bool same = here.conn && here.conn != &registry_dead && arena_cookie(registry_slot(here.conn)) == cookie;
    *marked = same && (registry_marks(fd) & (REGISTRY_INHERIT | REGISTRY_ORPHAN)) == REGISTRY_INHERIT;
    if (!cookie || flags < 0 || ((flags & FD_CLOEXEC) && !*marked))
        return NULL;
    return same ? here.conn : arena_slot_reach(arena_find(cookie));
}

static void count_in_child(int fd, void *context)
{
    struct handover *plan = context;
    bool marked;
    plan->surviving += found_in_child(fd, &marked) != NULL;
}

static void prepare_in_child(int fd, void *context)
{
    bool marked;
    struct conn *conn = found_in_child(fd, &marked);
    (void)context;
    if (!conn)
        return;
    set_flag(fd, false);
    if (!registry_holds(conn, sys_getpid()))
        registry_enter(conn, sys_getpid());
}

static void restore_in_child(int fd, void *context)
{
    bool marked;
    struct conn *conn = found_in_child(fd, &marked);
    (void)context;
    if (!conn)
        return;
    if (marked)
        set_flag(fd, true);
    if (registry_holds(conn, sys_getpid()))
        registry_withdraw(conn, sys_getpid());
}

bool handover_plan(struct handover *plan)
{
    *plan = (struct handover){.standard = {-1, -1, -1}, .aside = {-1, -1, -1}};
    if (!atomic_load(&registry_size))
        return false;
    plan->ours = registry_is_ours();
    if (plan->ours) {
        each_sealed(plan, count);
    } else {
        descriptors_each(count_in_child, plan);
        plan->any = plan->surviving > 0;
    }
    return plan->any;
}

/* What stands in for a standard descriptor: at its end for a reader, and nobody may write to it. */
static int stand_in(void)
{
    int fd =
        (int)sys_call3(SYS_memfd_create, sys_ptr("sockseal-standard"), MFD_CLOEXEC | MFD_ALLOW_SEALING, 0);
    if (fd >= 0)
        net_fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW);
    return fd;
}

static int move_standard(struct handover *plan, int fd)
{
    bool marked;
    if (plan->ours ? !(registry_marks(fd) & REGISTRY_INHERIT) : !found_in_child(fd, &marked))
        return 0;
    int high = net_fcntl(fd, F_DUPFD, registry_own_base()), instead = high < 0 ? high : stand_in();
    if (instead < 0) {
        if (high >= 0)
            sys_close(high);
        return instead;
    }
    plan->standard[fd] = high;
    sys_call3(SYS_dup3, instead, fd, 0);
    sys_close(instead);
    return 0;
}

static void move_back(struct handover *plan)
{
    for (int fd = 0; fd < HANDOVER_STANDARD; fd++) {
        if (plan->aside[fd] >= 0)
            sys_close(plan->aside[fd]);
        plan->aside[fd] = -1;
        if (plan->standard[fd] < 0)
            continue;
        sys_call3(SYS_dup3, plan->standard[fd], fd, 0);
        sys_close(plan->standard[fd]);
        plan->standard[fd] = -1;
    }
}

/* All flags are as they were; those of the standard descriptors stand with them, for they are moved last. */
static void put_back(struct handover *plan)
{
    move_back(plan);
    if (plan->ours)
        each_sealed(plan, restore);
    else
        descriptors_each(restore_in_child, NULL);
}

int handover_begin(struct handover *plan)
{
    int arena = own_get(OWN_ARENA), error = 0;
    const bool state = plan->surviving + plan->doomed > 0;
    if (state && arena < 0) {
        log_line(LOG_ERROR,
                 "a sealed connection cannot be given to another program: the kernel gave no memory for "
                 "that (memfd_create)");
        return -EACCES;
    }
    if (plan->ours)
        each_sealed(plan, prepare);
    else
        descriptors_each(prepare_in_child, NULL);
    if (plan->late) {
        put_back(plan);
        return -EAGAIN;
    }
    if (!state)
        return 0;
    for (int fd = 0; fd < HANDOVER_STANDARD && error == 0; fd++)
        error = move_standard(plan, fd);
    if (error < 0) {
        put_back(plan);
        return error;
    }
    set_flag(arena, false);
    snprintf(plan->text, sizeof plan->text, "%d,%d,%d,%d,%d,%d", arena, sys_getpid(), plan->ours,
             plan->standard[0], plan->standard[1], plan->standard[2]);
    return 0;
}

void handover_undo(struct handover *plan)
{
    int arena = own_get(OWN_ARENA);
    if (arena >= 0)
        set_flag(arena, true);
    put_back(plan);
}

static void end_doomed(struct handover *plan, const struct sealed *sealed)
{
    enum fate fate = fate_of(sealed);
    (void)plan;
    if (fate == FATE_LEFT && registry_only_holder(sealed->conn))
        closing_close(sealed);
}

void handover_end_doomed(void)
{
    if (!registry_is_ours())
        return;
    each_sealed(NULL, end_doomed);
    closing_wait_orphans();
}

static void find_listener(int fd, void *context)
{
    struct listeners *found = context;
    int flags = net_fcntl(fd, F_GETFD, 0);
    if (flags >= 0 && !(flags & FD_CLOEXEC) && found->count < HANDOVER_LISTENERS && open_is_listener(fd))
        found->fd[found->count++] = fd;
}

bool handover_listeners(struct listeners *found)
{
    found->count = 0;
    if (atomic_load_explicit(&open_listens, memory_order_relaxed))
        descriptors_each(find_listener, found);
    return found->count > 0;
}

void handover_keep_listeners(const struct listeners *found, bool keep)
{
    for (unsigned i = 0; i < found->count; i++)
        set_flag(found->fd[i], keep);
}
