/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "process/exec_handover.h"

#include <errno.h>
#include <stdio.h>

#include "config/config.h"
#include "conn/address.h"
#include "conn/fdtable.h"
#include "conn/holders.h"
#include "conn/liveness.h"
#include "diag/log.h"
#include "io/close.h"
#include "io/exit.h"
#include "io/worker.h"
#include "process/inherit.h"
#include "shm/ownfd.h"
#include "shm/self.h"
#include "sys/descriptors.h"
#include "sys/file.h"
#include "sys/net.h"

/* What becomes of a sealed descriptor of this process at exec. */
enum fate {
    FATE_SURVIVES,
    FATE_CLOSED,      /* another descriptor keeps the connection, here or in another process */
    FATE_LEFT,        /* the last one of this process is closed; another process may have some */
    FATE_CLOSE_AFTER, /* a lingering close (io/close.h) */
};

static bool survives_elsewhere(const struct conn *conn)
{
    for (int fd = 0; fd < fdtable_bound(); fd++) {
        if ((fdtable_flags(fd) & FDTABLE_INHERIT) && fdtable_find(fd).conn == conn)
            return true;
    }
    return false;
}

static enum fate fate_of(const struct conn_handle *handle)
{
    uint8_t marks = fdtable_flags(handle->fd);
    if (marks & FDTABLE_ORPHAN)
        return FATE_CLOSE_AFTER;
    if (marks & FDTABLE_INHERIT)
        return FATE_SURVIVES;
    if (fdtable_descriptors(handle->conn) == 1)
        return FATE_LEFT;
    bool first = fdtable_any(handle->conn, -1) == handle->fd;
    return first && !survives_elsewhere(handle->conn) ? FATE_LEFT : FATE_CLOSED;
}

static void set_flag(int fd, bool close_on_exec)
{
    net_fcntl(fd, F_SETFD, close_on_exec ? FD_CLOEXEC : 0);
}

/* Calls `visit` for each descriptor of a connection in the table. */
static void each_sealed(struct exec_handover *plan,
                        void (*visit)(struct exec_handover *plan, const struct conn_handle *handle))
{
    liveness_begin_round();
    for (int fd = 0; fd < fdtable_bound(); fd++) {
        struct conn_handle handle = fdtable_find(fd);
        if (handle.conn && handle.conn != &fdtable_dead)
            visit(plan, &handle);
    }
    liveness_end_round();
}

static void count(struct exec_handover *plan, const struct conn_handle *handle)
{
    enum fate fate = fate_of(handle);
    plan->any = true;
    plan->surviving += fate == FATE_SURVIVES;
    plan->close_after_exec += fate == FATE_CLOSE_AFTER || (fate == FATE_LEFT && holders_only(handle->conn));
}

/* The next program is to end the connection; at a standard number it would be written to before. Without a
 * copy to be had the connection ends with the exec, cut. */
static void mark_close_after_exec(struct exec_handover *plan, const struct conn_handle *handle)
{
    handle->conn->holders.close_after_exec = 1;
    if (handle->fd >= EXEC_HANDOVER_STANDARD)
        set_flag(handle->fd, false);
    else
        plan->aside[handle->fd] = net_fcntl(handle->fd, F_DUPFD, ownfd_base());
}

/* Takes both locks for a copy: what is sent or received afterwards would be missing in it. A thread that is
 * in a call would go on. */
static bool lock_both(struct conn *conn)
{
    if (lock_take_shared(&conn->rx_lock) != LOCK_TAKEN)
        return false;
    if (lock_take_shared(&conn->tx_lock) == LOCK_TAKEN)
        return true;
    lock_release(&conn->rx_lock);
    return false;
}

static void unlock_both(struct conn *conn)
{
    bool blocked;
    if (!lock_is_held(&conn->tx_lock, &blocked))
        return;
    lock_release(&conn->tx_lock);
    lock_release(&conn->rx_lock);
}

/* A copy in a region of its own; 0: there is none. */
static arena_ref copy_out(struct conn *conn)
{
    arena_ref slot = lock_both(conn) ? arena_slot_copy(conn, conn_layout()) : 0;
    if (!slot) {
        unlock_both(conn);
        return 0;
    }
    struct conn *copy = arena_slot(slot);
    atomic_store(&copy->rx_lock.word, 0);
    atomic_store(&copy->tx_lock.word, 0);
    return slot;
}

static void write_places(struct exec_handover *plan)
{
    const long len = (long)(plan->unwritten * sizeof *plan->places);
    plan->unwritten = 0;
    if (len > 0 && sys_call3(SYS_write, plan->manifest, sys_ptr(plan->places), len) != len)
        plan->error = -ENOMEM;
}

/* Puts a connection into the manifest. Each is put there once. */
static void hand_over(struct exec_handover *plan, arena_ref slot, bool ours)
{
    struct exec_place place = {.cookie = arena_cookie(slot)};
    struct conn *conn = arena_slot(slot);
    const bool alone = ours && holders_only(conn);
    const arena_ref copy = alone && region_is_crowded(slot) ? copy_out(conn) : 0;
    place.region = region_export(copy ? copy : slot, &place.area);
    if (place.region < 0) {
        plan->error = -EACCES;
        return;
    }
    set_flag(place.region, false);
    plan->places[plan->unwritten++] = place;
    if (plan->unwritten == EXEC_HANDOVER_PLACES)
        write_places(plan);
}

/* The first descriptor of the connection that is handed over: the others find the same place. */
static void hand_over_once(struct exec_handover *plan, const struct conn_handle *handle)
{
    struct exec_place place;
    long at = (long)sizeof(struct exec_manifest);
    if (fdtable_descriptors(handle->conn) > 1)
        write_places(plan);
    for (; fdtable_descriptors(handle->conn) > 1 && sys_call(SYS_pread64, plan->manifest, sys_ptr(&place),
                                                             sizeof place, at, 0, 0) == (long)sizeof place;
         at += (long)sizeof place) {
        if (place.cookie == arena_cookie(handle->slot))
            return;
    }
    hand_over(plan, handle->slot, true);
}

static void prepare(struct exec_handover *plan, const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    switch (fate_of(handle)) {
    case FATE_SURVIVES:
        set_flag(handle->fd, false);
        hand_over_once(plan, handle);
        break;
    case FATE_LEFT:
        if (!fdtable_release(conn))
            break;
        fdtable_reclaim(conn);
        plan->late |= plan->surviving + plan->close_after_exec == 0;
        /* fall through */
    case FATE_CLOSE_AFTER:
        mark_close_after_exec(plan, handle);
        hand_over_once(plan, handle);
        break;
    case FATE_CLOSED:
        break;
    }
}

static void restore(struct exec_handover *plan, const struct conn_handle *handle)
{
    (void)plan;
    set_flag(handle->fd, true);
    handle->conn->holders.close_after_exec = 0;
    unlock_both(handle->conn);
    fdtable_reclaim(handle->conn);
}

/* A descriptor in a vfork child that the next program gets: the slot of its connection, or 0. *marked: the
 * parent has it at the same number, and the program wants it to survive. */
static arena_ref found_in_child(int fd, bool *marked)
{
    const bool inherit = (fdtable_flags(fd) & (FDTABLE_INHERIT | FDTABLE_ORPHAN)) == FDTABLE_INHERIT;
    const int flags = net_fcntl(fd, F_GETFD, 0);
    *marked = false;
    if (flags < 0 || ((flags & FD_CLOEXEC) && !inherit)) /* most end here, after one system call */
        return 0;
    const uint64_t cookie = fdtable_cookie(fd);
    struct conn_handle here = cookie ? fdtable_find(fd) : (struct conn_handle){0};
    const bool same = here.conn && here.conn != &fdtable_dead && arena_cookie(here.slot) == cookie;
    *marked = same && inherit;
    if (!cookie || ((flags & FD_CLOEXEC) && !*marked))
        return 0;
    return same ? here.slot : arena_find(cookie);
}

static void count_in_child(int fd, void *context)
{
    struct exec_handover *plan = context;
    bool marked;
    plan->surviving += found_in_child(fd, &marked) != 0;
}

static void prepare_in_child(int fd, void *context)
{
    bool marked;
    const arena_ref slot = found_in_child(fd, &marked);
    if (!slot)
        return;
    struct conn *conn = arena_slot(slot);
    set_flag(fd, false);
    hand_over(context, slot, false);
    if (!holders_include(conn, sys_getpid()))
        holders_add(conn, sys_getpid());
}

static void restore_in_child(int fd, void *context)
{
    bool marked;
    const arena_ref slot = found_in_child(fd, &marked);
    (void)context;
    if (!slot)
        return;
    struct conn *conn = arena_slot(slot);
    if (marked)
        set_flag(fd, true);
    if (holders_include(conn, sys_getpid()))
        holders_remove(conn, sys_getpid());
}

bool exec_handover_plan(struct exec_handover *plan)
{
    *plan = (struct exec_handover){.standard = {-1, -1, -1}, .aside = {-1, -1, -1}, .manifest = -1};
    if (!atomic_load(&fdtable_size))
        return false;
    plan->ours = self_owns_tables();
    if (plan->ours) {
        each_sealed(plan, count);
    } else {
        descriptors_each(count_in_child, plan);
        plan->any = plan->surviving > 0;
    }
    return plan->any;
}

/* Takes the place of a standard descriptor: a reader finds its end, and it cannot be written. */
static int stand_in(void)
{
    int fd =
        (int)sys_call3(SYS_memfd_create, sys_ptr("sockseal-standard"), MFD_CLOEXEC | MFD_ALLOW_SEALING, 0);
    if (fd >= 0)
        net_fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW);
    return fd;
}

static int move_standard(struct exec_handover *plan, int fd)
{
    bool marked;
    if (plan->ours ? !(fdtable_flags(fd) & FDTABLE_INHERIT) : !found_in_child(fd, &marked))
        return 0;
    int high = net_fcntl(fd, F_DUPFD, ownfd_base()), instead = high < 0 ? high : stand_in();
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

static void move_back(struct exec_handover *plan)
{
    for (int fd = 0; fd < EXEC_HANDOVER_STANDARD; fd++) {
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

/* The regions' descriptors are to be closed at an exec again. */
static void close_manifest(struct exec_handover *plan)
{
    struct exec_place place;
    if (plan->manifest < 0)
        return;
    sys_call3(SYS_lseek, plan->manifest, sizeof(struct exec_manifest), SEEK_SET);
    while (sys_read(plan->manifest, &place, sizeof place) == (long)sizeof place)
        set_flag(place.region, true);
    sys_close(plan->manifest);
    plan->manifest = -1;
    if (plan->ours)
        fdtable_sweep(); /* the copies */
}

static int open_manifest(struct exec_handover *plan)
{
    const struct exec_manifest head = {.tree = inherit_tree()};
    plan->manifest =
        (int)sys_call3(SYS_memfd_create, sys_ptr("sockseal-manifest"), MFD_CLOEXEC | MFD_ALLOW_SEALING, 0);
    if (plan->manifest < 0)
        return plan->manifest;
    long written = sys_call3(SYS_write, plan->manifest, sys_ptr(&head), sizeof head);
    return written == (long)sizeof head ? 0 : written < 0 ? (int)written : -ENOMEM;
}

/* From here on nobody changes it, not even a child that another thread has forked meanwhile. */
static void seal_manifest(struct exec_handover *plan)
{
    write_places(plan);
    if (plan->manifest >= 0 && net_fcntl(plan->manifest, F_ADD_SEALS, EXEC_HANDOVER_SEALS) < 0)
        plan->error = -ENOMEM;
}

/* Restores all flags. Those of the standard descriptors follow the descriptors, which are moved last. */
static void put_back(struct exec_handover *plan)
{
    move_back(plan);
    if (plan->ours)
        each_sealed(plan, restore);
    else
        descriptors_each(restore_in_child, NULL);
    close_manifest(plan);
}

static int refuse(int error)
{
    log_line(
        LOG_ERROR,
        "a sealed connection cannot be given to another program: its memory is not this process's alone, "
        "or the kernel gives none (memfd_create)");
    return error == -EMFILE || error == -ENFILE || error == -ENOMEM ? error : -EACCES;
}

static int begin(struct exec_handover *plan)
{
    const bool state = plan->surviving + plan->close_after_exec > 0;
    int error = state ? open_manifest(plan) : 0;
    if (error < 0) {
        close_manifest(plan);
        return refuse(error);
    }
    if (plan->ours)
        each_sealed(plan, prepare);
    else
        descriptors_each(prepare_in_child, plan);
    seal_manifest(plan);
    if (plan->late || plan->error < 0) {
        put_back(plan);
        return plan->late ? -EAGAIN : refuse(plan->error);
    }
    if (!state)
        return 0;
    for (int fd = 0; fd < EXEC_HANDOVER_STANDARD && error == 0; fd++)
        error = move_standard(plan, fd);
    if (error < 0) {
        put_back(plan);
        return error;
    }
    set_flag(plan->manifest, false);
    snprintf(plan->text, sizeof plan->text, "%d,%d,%d,%d,%d,%d", plan->manifest, sys_getpid(), plan->ours,
             plan->standard[0], plan->standard[1], plan->standard[2]);
    return 0;
}

int exec_handover_begin(struct exec_handover *plan)
{
    worker_hold();
    int result = begin(plan);
    if (result < 0)
        worker_resume();
    return result;
}

void exec_handover_undo(struct exec_handover *plan)
{
    put_back(plan);
    worker_resume();
}

static void end_closing(struct exec_handover *plan, const struct conn_handle *handle)
{
    enum fate fate = fate_of(handle);
    (void)plan;
    if (fate == FATE_LEFT && holders_only(handle->conn))
        close_fd(handle);
}

void exec_handover_end_closing(void)
{
    if (!self_owns_tables())
        return;
    each_sealed(NULL, end_closing);
    exit_wait_orphans();
}

/* A TCP socket that has a named port and no peer; or that may get a port or a peer by another process, which
 * has it too. */
static bool may_get_named_port(int fd)
{
    struct sockaddr_storage name = {0};
    socklen_t len = sizeof name;
    if (!address_is_tcp(fd) || net_getpeername(fd, &name, &len) == 0)
        return false;
    len = sizeof name;
    if (net_getsockname(fd, &name, &len) < 0)
        return true; /* not known */
    struct address own = address_of((const struct sockaddr *)&name);
    return address_socket_option(fd, SO_ACCEPTCONN) != 1 ||
           rules_may_match(&config_get()->rules, RULES_LISTEN, own.port);
}

static void find_listener(int fd, void *context)
{
    struct listeners *found = context;
    int flags = net_fcntl(fd, F_GETFD, 0);
    if (flags < 0 || (flags & FD_CLOEXEC) || !may_get_named_port(fd))
        return;
    log_line(LOG_WARN,
             "descriptor %d, a socket of a port that is to be sealed or without a connection, is kept from a "
             "program "
             "that the library cannot be loaded into",
             fd);
    if (found->count < EXEC_HANDOVER_LISTENERS)
        found->fd[found->count++] = fd;
    else
        set_flag(fd, true);
}

void exec_handover_find_listeners(struct listeners *found)
{
    found->count = 0;
    descriptors_each(find_listener, found);
}

void exec_handover_keep_listeners(const struct listeners *found, bool keep)
{
    for (unsigned i = 0; i < found->count; i++)
        set_flag(found->fd[i], keep);
}
