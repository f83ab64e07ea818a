/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "process/exec_adopt.h"

#include <stdio.h>
#include <sys/stat.h>

#include "config/config.h"
#include "conn/address.h"
#include "conn/error.h"
#include "conn/fdtable.h"
#include "conn/holders.h"
#include "conn/pending.h"
#include "diag/log.h"
#include "io/accept.h"
#include "io/close.h"
#include "io/ending.h"
#include "io/partial.h"
#include "io/socket.h"
#include "io/unconnected.h"
#include "process/exec_handover.h"
#include "process/inherit.h"
#include "record/sysio.h"
#include "shm/ownfd.h"
#include "sys/descriptors.h"
#include "sys/file.h"
#include "sys/net.h"
#include "sys/text.h"

/* What exec_handover_begin() wrote. */
struct inheritance {
    int manifest, pid, counted, standard[EXEC_HANDOVER_STANDARD];
    const struct exec_place *places; /* mapped */
    size_t count;
};

static bool parse(const char *text, struct inheritance *from)
{
    int *const numbers[] = {&from->manifest,    &from->pid,         &from->counted,
                            &from->standard[0], &from->standard[1], &from->standard[2]};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if ((i && *text++ != ',') || !text_take_number(&text, numbers[i]))
            return false;
    }
    return true;
}

static bool read_manifest(struct inheritance *from)
{
    struct stat info;
    const int seals = net_fcntl(from->manifest, F_GET_SEALS, 0);
    if (seals < 0 || (seals & EXEC_HANDOVER_SEALS) != EXEC_HANDOVER_SEALS ||
        sys_fstat(from->manifest, &info) < 0 || info.st_size < (off_t)sizeof(struct exec_manifest))
        return false;
    const struct exec_manifest *head = net_mmap((size_t)info.st_size, PROT_READ, MAP_PRIVATE, from->manifest);
    if (head == MAP_FAILED)
        return false;
    inherit_join(head->tree);
    from->places = (const struct exec_place *)(const void *)(head + 1);
    from->count = ((size_t)info.st_size - sizeof *head) / sizeof *from->places;
    return true;
}

static void take_manifest(const char *text, struct inheritance *from)
{
    if (parse(text, from) && read_manifest(from) && fdtable_init())
        return;
    log_line(LOG_ERROR,
             "the sealed connections that the program before handed over cannot be used (%s='%s'): was it "
             "run by another version of the library?",
             "SOCKSEAL_STATE", text);
    sys_exit_group(CONFIG_EXIT_STATUS);
}

/* The regions that are used are mapped, and their descriptors kept. */
static void close_manifest(const struct inheritance *from)
{
    for (size_t i = 0; i < from->count; i++) {
        if (!ownfd_is(from->places[i].region))
            sys_close(from->places[i].region);
    }
    net_munmap((void *)((uintptr_t)from->places - sizeof(struct exec_manifest)),
               sizeof(struct exec_manifest) + from->count * sizeof *from->places);
    sys_close(from->manifest);
}

static const struct exec_place *find_place(const struct inheritance *from, uint64_t cookie)
{
    for (size_t i = 0; cookie && i < from->count; i++) {
        if (from->places[i].cookie == cookie)
            return &from->places[i];
    }
    return NULL;
}

/* The standard descriptors come by other numbers, so that nothing was written to them before the library was
 * loaded. */
static void move_back(const struct inheritance *from)
{
    for (int fd = 0; fd < EXEC_HANDOVER_STANDARD; fd++) {
        if (from->standard[fd] < 0)
            continue;
        sys_call3(SYS_dup3, from->standard[fd], fd, 0);
        sys_close(from->standard[fd]);
    }
}

/* The thread that held a direction lock ended with the program before. */
static void recover_locks(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    bool parked;
    if (lock_mine(&conn->rx_lock, &parked)) {
        if (!parked)
            error_set(handle, EIO, "the program was replaced while it was reading");
        lock_release(&conn->rx_lock);
    }
    if (lock_mine(&conn->tx_lock, &parked)) {
        error_set(handle, EIO, "the program was replaced while it was sending");
        lock_release(&conn->tx_lock);
    }
}

/* What the other program's calls have reported, or closed, is delivered whatever this one does. */
static void go_on_with(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    const bool owes = conn->tx.to_send > 0 || conn->status.close_pending;
    if (!conn_is_established(conn) || owes)
        pending_add(handle->fd);
    if (owes || conn_tx_has(conn, TX_PARTIAL))
        pending_owe(handle->fd);
    if (conn_tx_has(conn, TX_PARTIAL))
        partial_note(handle);
    else if (owes)
        ending_carry();
}

static void take_over(int fd, struct conn *conn, bool counted)
{
    bool inherit = !(net_fcntl(fd, F_GETFD, 0) & FD_CLOEXEC);
    holders_meet(conn);
    fdtable_adopt(fd, conn, counted || holders_include(conn, sys_getpid()));
    struct conn_handle handle = fdtable_find(fd);
    recover_locks(&handle);
    sysio_limits_used = true; /* it is not known whether the program before has set one */
    if (!socket_init_crypto())
        error_set(&handle, EIO, "the cryptographic library cannot be used");
    if (conn->holders.close_after_exec) {
        conn->holders.close_after_exec = 0;
        close_fd(&handle);
        return;
    }
    if (inherit) {
        fdtable_set_flags(fd, FDTABLE_INHERIT);
        net_fcntl(fd, F_SETFD, FD_CLOEXEC);
    }
    go_on_with(&handle);
}

static void take_over_place(int fd, const struct exec_place *place, bool counted)
{
    bool locked = fdtable_lock();
    struct conn *conn = conn_import(place->region, place->area, place->cookie, true);
    if (conn)
        take_over(fd, conn, counted);
    fdtable_unlock(locked);
    if (conn)
        return;
    region_report();
    net_shutdown(fd, SHUT_RDWR); /* it cannot be used here, and must not be taken for a plain one */
}

void exec_adopt_passed(int fd, struct conn *conn)
{
    take_over(fd, conn, false);
}

static void refuse_number(int fd)
{
    log_line(LOG_ERROR, "descriptor %d has too high a number to be sealed, and is shut down", fd);
    net_shutdown(fd, SHUT_RDWR);
}

static void adopt(int fd, void *context)
{
    const struct inheritance *from = context;
    if (fdtable_is_own(fd) || fdtable_has(fd))
        return;
    uint64_t cookie = fdtable_cookie(fd); /* 0: it is no socket, or the kernel does not tell */
    if (!cookie && !address_is_tcp(fd))
        return;
    const struct exec_place *place = find_place(from, cookie);
    const arena_ref known = arena_find(cookie);
    if (place)
        take_over_place(fd, place, from->counted && from->pid == sys_getpid());
    else if (known)
        take_over(fd, arena_slot(known), false);
    else if (accept_is_listener(fd))
        accept_prepare_listener(fd); /* this program, too, may give up its right to read the keys */
    else if (!unconnected_note(fd))
        socket_inherited(fd);
}

void exec_adopt_stray(int fd)
{
    if (fdtable_has_room(fd))
        adopt(fd, &(struct inheritance){.manifest = -1});
    else if (address_is_tcp(fd))
        refuse_number(fd);
}

static void adopt_at_load(int fd, void *context)
{
    if (fdtable_has_room(fd) || (address_is_tcp(fd) && fdtable_reach(fd)))
        adopt(fd, context);
    else if (address_is_tcp(fd))
        refuse_number(fd);
}

void exec_adopt_inherited(const char *text)
{
    struct inheritance from = {.manifest = -1};
    if (text) {
        take_manifest(text, &from);
        move_back(&from);
    }
    descriptors_each(adopt_at_load, &from);
    if (text)
        close_manifest(&from);
}
