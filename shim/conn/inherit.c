/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "conn/inherit.h"

#include <string.h>

#include "conn/failure.h"
#include "diag/log.h"
#include "sys/net.h"

void inherit_copied(const struct sealed *from, int to, bool inherit)
{
    /* A vfork child has descriptors of its own and its parent's memory: the copy is closed by its exec. */
    if ((uint32_t)to >= registry_size || !registry_current(from) || !registry_is_ours())
        return;
    registry_add(to, from->conn, from->generation);
    if (inherit)
        registry_mark(to, REGISTRY_INHERIT);
}

/* glibc's struct __spawn_action, which its ABI has fixed by the size of posix_spawn_file_actions_t and its
 * own use of it. */
struct spawn_action {
    int tag;
    union {
        struct {
            int from, to;
        } dup2;
        void *room[3];
    } action;
};

enum { SPAWN_DUP2 = 1 };

bool inherit_spawn_leaks(const posix_spawn_file_actions_t *actions)
{
    if (!actions || !atomic_load(&registry_size))
        return false;
    const struct spawn_action *list = (const struct spawn_action *)(const void *)actions->__actions;
    for (int i = 0; i < actions->__used; i++) {
        struct sealed sealed = {0};
        if (list[i].tag == SPAWN_DUP2)
            sealed = registry_find(list[i].action.dup2.from);
        if (sealed.conn) {
            failure_note(sealed.conn, LOG_ERROR,
                         "a sealed connection cannot be given to another program, posix_spawn is refused");
            return true;
        }
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
