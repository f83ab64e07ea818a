/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Doors of mounting: a file system may be given a socket that the kernel uses from then on. */

#include "libc/door.h"

#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "process/lend.h"

DOOR int mount(const char *source, const char *target, const char *type, unsigned long flags,
               const void *data)
{
    if (lend_by_mount(type, data))
        return (int)door_result(-EOPNOTSUPP, errno);
    return (int)real()->syscall(SYS_mount, source, target, type, flags, data);
}

DOOR int fsconfig(int fd, unsigned command, const char *key, const void *value, int aux)
{
    if (lend_by_fsconfig(command, key, value, aux))
        return (int)door_result(-EOPNOTSUPP, errno);
    return (int)real()->syscall(SYS_fsconfig, fd, command, key, value, aux);
}
