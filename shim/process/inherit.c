/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "process/inherit.h"

#include <string.h>

#include "shm/self.h"

void inherit_copied(const struct conn_handle *from, int to, bool inherit)
{
    if ((uint32_t)to >= fdtable_size || !fdtable_current(from) || !self_owns_tables())
        return;
    fdtable_add(to, from->conn, from->generation);
    if (inherit)
        fdtable_set_flags(to, FDTABLE_INHERIT);
}

bool inherit_any(void)
{
    for (int fd = 0; fd < fdtable_bound(); fd++) {
        if (fdtable_has(fd) && (fdtable_flags(fd) & FDTABLE_INHERIT))
            return true;
    }
    return false;
}
