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

bool inherit_message_leaks(const struct msghdr *message)
{
    if (!message->msg_control || !atomic_load(&registry_size))
        return false;
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part;
         part = CMSG_NXTHDR((struct msghdr *)(uintptr_t)message, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS || part->cmsg_len < CMSG_LEN(0))
            continue;
        for (size_t i = 0; i < (part->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
            struct sealed sealed = registry_find(fd);
            if (!sealed.conn)
                continue;
            failure_note(sealed.conn, LOG_ERROR,
                         "a sealed connection cannot be passed to another process, sendmsg is refused");
            return true;
        }
    }
    return false;
}
