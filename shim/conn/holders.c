/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "conn/holders.h"

#include <stdatomic.h>

#include "conn/liveness.h"

static bool add_holder(struct conn *conn, int32_t pid)
{
    for (int i = 0; i < CONN_HOLDERS; i++) {
        int32_t none = 0;
        if (atomic_compare_exchange_strong(&conn->holders.pid[i], &none, pid))
            return true;
    }
    return false;
}

static bool remove_holder(struct conn *conn, int32_t pid)
{
    for (int i = 0; i < CONN_HOLDERS; i++) {
        int32_t found = pid;
        if (atomic_compare_exchange_strong(&conn->holders.pid[i], &found, 0))
            return true;
    }
    return false;
}

bool holders_include(const struct conn *conn, int pid)
{
    for (int i = 0; i < CONN_HOLDERS; i++) {
        if (atomic_load(&conn->holders.pid[i]) == pid)
            return true;
    }
    return false;
}

void holders_add(struct conn *conn, int pid)
{
    add_holder(conn, pid);
    atomic_fetch_add(&conn->holders.count, 1);
}

void holders_remove(struct conn *conn, int pid)
{
    remove_holder(conn, pid);
    atomic_fetch_sub(&conn->holders.count, 1);
}

static void drop_dead(struct conn *conn)
{
    for (int i = 0; i < CONN_HOLDERS && !atomic_load(&conn->holders.mixed); i++) {
        int32_t pid = atomic_load(&conn->holders.pid[i]);
        if (pid && liveness_process_dead((uint32_t)pid) &&
            atomic_compare_exchange_strong(&conn->holders.pid[i], &pid, 0))
            atomic_fetch_sub(&conn->holders.count, 1);
    }
}

void holders_meet(struct conn *conn)
{
    const uint32_t space = self_space;
    if (space && conn->space && space != conn->space)
        atomic_store(&conn->holders.mixed, 1);
}

bool holders_only(struct conn *conn)
{
    if (atomic_load(&conn->holders.count) > 1)
        drop_dead(conn);
    return atomic_load(&conn->holders.count) <= 1;
}

void holders_count(struct conn *conn)
{
    atomic_fetch_add(&conn->holders.count, 1);
}

bool holders_uncount(struct conn *conn)
{
    return atomic_fetch_sub(&conn->holders.count, 1) == 1;
}

void holders_name(struct conn *conn, int pid)
{
    add_holder(conn, pid);
}

bool holders_leave(struct conn *conn, int pid)
{
    remove_holder(conn, pid);
    drop_dead(conn); /* after its own id is removed, so that it does not look itself up in /proc */
    return holders_uncount(conn);
}
