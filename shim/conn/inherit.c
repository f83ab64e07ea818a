/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "conn/inherit.h"

#include <string.h>

#include "conn/failure.h"
#include "diag/log.h"
#include "sys/net.h"

void inherit_copied(const struct sealed *from, int to, bool inherit)
{
    if ((uint32_t)to >= registry_size || !registry_current(from) || !registry_is_ours())
        return;
    registry_add(to, from->conn, from->generation);
    if (inherit)
        registry_mark(to, REGISTRY_INHERIT);
}

bool inherit_any(void)
{
    for (int fd = 0; fd < registry_bound(); fd++) {
        if ((registry_marks(fd) & REGISTRY_INHERIT) && registry_has(fd))
            return true;
    }
    return false;
}
