/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "conn/adoption.h"

#include <stdio.h>

#include "config/config.h"
#include "conn/closing.h"
#include "conn/drive.h"
#include "conn/failure.h"
#include "conn/handover.h"
#include "conn/open.h"
#include "conn/own.h"
#include "conn/registry.h"
#include "diag/log.h"
#include "sys/descriptors.h"
#include "sys/file.h"
#include "sys/net.h"

/* What handover_begin() wrote. */
struct inheritance {
    int arena, pid, counted, standard[HANDOVER_STANDARD];
};

static bool parse(const char *text, struct inheritance *from)
{
    return sscanf(text, "%d,%d,%d,%d,%d,%d", &from->arena, &from->pid, &from->counted, &from->standard[0],
                  &from->standard[1], &from->standard[2]) == 6;
}

static void take_arena(const char *text, struct inheritance *from)
{
    if (parse(text, from) && conn_attach_arena(from->arena) && registry_open())
        return;
    log_line(LOG_ERROR,
             "the sealed connections that the program before has left cannot be taken over (%s='%s'): was "
             "it run by another version of the library?",
             "SOCKSEAL_STATE", text);
    sys_exit_group(CONFIG_EXIT_STATUS);
}

/* The standard descriptors stand elsewhere, so that nobody wrote to them before the shim was here. */
static void move_back(const struct inheritance *from)
{
    for (int fd = 0; fd < HANDOVER_STANDARD; fd++) {
        if (from->standard[fd] < 0)
            continue;
        sys_call3(SYS_dup3, from->standard[fd], fd, 0);
        sys_close(from->standard[fd]);
    }
}

/* The thread that held a role went with the program before. */
static void forget_roles(const struct sealed *sealed)
{
    struct conn *conn = sealed->conn;
    bool parked;
    if (role_mine(&conn->rx, &parked)) {
        if (!parked)
            failure_set(sealed, EIO, "the program was replaced while it was reading");
        role_release(&conn->rx);
    }
    if (role_mine(&conn->tx, &parked)) {
        failure_set(sealed, EIO, "the program was replaced while it was sending");
        role_release(&conn->tx);
    }
}

static void take_over(int fd, struct conn *conn, bool counted)
{
    bool inherit = !(net_fcntl(fd, F_GETFD, 0) & FD_CLOEXEC);
    registry_adopt(fd, conn, counted || registry_holds(conn, sys_getpid()));
    struct sealed sealed = registry_find(fd);
    forget_roles(&sealed);
    if (!open_crypto())
        failure_set(&sealed, EIO, "the cryptographic library cannot be used");
    if (conn->doomed) {
        conn->doomed = 0;
        closing_close(&sealed);
        return;
    }
    if (inherit) {
        registry_mark(fd, REGISTRY_INHERIT);
        net_fcntl(fd, F_SETFD, FD_CLOEXEC);
    }
    if (!conn->established || conn->to_send > 0 || conn->fin_due)
        drive_add(fd);
}

static void take_over_slot(int fd, arena_ref slot, bool counted)
{
    struct conn *conn = arena_slot_reach(slot);
    if (conn) {
        take_over(fd, conn, counted);
        return;
    }
    segments_report();
    net_shutdown(fd, SHUT_RDWR); /* it can be used by nobody here, and must not be taken for a plain one */
}

void adoption_of(int fd, struct conn *conn)
{
    take_over(fd, conn, false);
}

static void look_at(int fd, void *context)
{
    const struct inheritance *from = context;
    uint64_t cookie = own_is(fd) ? 0 : registry_cookie(fd);
    if (!cookie || registry_has(fd))
        return;
    arena_ref slot = arena_find(cookie);
    if (slot)
        take_over_slot(fd, slot, from->counted && from->pid == sys_getpid());
    else if (open_is_listener(fd))
        open_prepare_listener(fd); /* as when it was made: this program, too, may give up its rights */
    else
        open_inherited(fd);
}

void adoption_of_stray(int fd)
{
    look_at(fd, &(struct inheritance){.arena = -1});
}

void adoption_of_inherited(const char *text)
{
    struct inheritance from = {.arena = -1};
    if (text) {
        take_arena(text, &from);
        move_back(&from);
    }
    descriptors_each(look_at, &from);
}
