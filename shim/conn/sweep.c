/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "conn/sweep.h"

#include "conn/registry.h"

enum { STEP = 2 };

/* Without a call of the kernel for our own. */
static bool is_gone(uint32_t pid)
{
    return pid != *registry_alive && role_is_gone(pid);
}

/* Its roles may be held by threads that went with the process. */
static void give_back(struct conn *conn)
{
    role_free_gone(&conn->rx);
    role_free_gone(&conn->tx);
    conn_reap(conn);
}

static void look_at(arena_ref slot)
{
    struct conn *conn = arena_cookie(slot) ? arena_slot_reach(slot) : NULL;
    if (!conn)
        return;
    if (registry_bury(conn, is_gone))
        atomic_store(&conn->unheld, 1);
    if (atomic_load(&conn->unheld))
        give_back(conn);
}

void sweep_step(void)
{
    static _Atomic uint32_t next;
    const arena_ref used = arena_slots_used();
    for (int i = 0; i < STEP && used > 0; i++)
        look_at(1 + atomic_fetch_add(&next, 1) % used);
}
