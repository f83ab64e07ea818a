/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "process/inherit.h"

#include <string.h>

#include "shm/self.h"
#include "sys/net.h"

void inherit_copied(const struct conn_handle *from, int to, bool inherit)
{
    if ((uint32_t)to >= fdtable_size || !fdtable_current(from) || !self_owns_tables())
        return;
    fdtable_add(to, from->conn, from->generation);
    if (inherit)
        fdtable_set_flags(to, FDTABLE_INHERIT);
}

static _Atomic uint64_t tree;

uint64_t inherit_tree(void)
{
    uint64_t none = 0;
    if (!atomic_load(&tree))
        atomic_compare_exchange_strong(&tree, &none,
                                       (uint64_t)sys_getpid() << 40 ^ (uint64_t)net_now_ns() ^ 1);
    return atomic_load(&tree);
}

void inherit_join(uint64_t number)
{
    atomic_store(&tree, number);
}

bool inherit_any(void)
{
    for (int fd = 0; fd < fdtable_bound(); fd++) {
        if (fdtable_has(fd) && (fdtable_flags(fd) & FDTABLE_INHERIT))
            return true;
    }
    return false;
}
