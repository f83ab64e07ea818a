/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "conn/reap.h"

#include "conn/fdtable.h"
#include "conn/holders.h"
#include "conn/liveness.h"
#include "shm/self.h"

enum { STEP = 2 }; /* slots checked for each new connection */

/* For its own id a process needs no system call. */
static bool is_gone(uint32_t pid)
{
    return pid != *self_process && liveness_gone(pid);
}

/* Its locks may be held by threads of the killed process. */
static void give_back(struct conn *conn)
{
    lock_free_dead(&conn->rx_lock);
    lock_free_dead(&conn->tx_lock);
    conn_reap(conn);
}

static void check(arena_ref slot)
{
    struct conn *conn = arena_cookie(slot) ? arena_slot_map(slot) : NULL;
    if (!conn)
        return;
    if (holders_drop_dead(conn, is_gone))
        atomic_store(&conn->holders.unreferenced, 1);
    if (atomic_load(&conn->holders.unreferenced))
        give_back(conn);
}

void reap_dead_holders(void)
{
    static _Atomic uint32_t next;
    const arena_ref used = arena_slots_used();
    for (int i = 0; i < STEP && used > 0; i++)
        check(1 + atomic_fetch_add(&next, 1) % used);
}
