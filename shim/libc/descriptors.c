/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Doors that copy descriptors: the dup family and fcntl. */

#include "libc/door.h"

#include <fcntl.h>
#include <stdarg.h>
#include <unistd.h>

#include "conn/closing.h"
#include "conn/drive.h"
#include "sys/net.h"

int __dup2(int from, int to) __THROW;
int __fcntl(int fd, int command, ...);

/* `to` is a new descriptor for what `from` is. */
static int copied(const struct sealed *from, int to)
{
    if (to >= 0 && from->conn && (uint32_t)to < registry_size && registry_current(from))
        registry_add(to, from->conn, from->generation);
    return to;
}

DOOR int dup(int fd)
{
    struct sealed sealed = registry_find(fd);
    return copied(&sealed, real()->dup(fd));
}

/* What stands at `to` gives way, if the call that replaces it is going to succeed. */
static void make_way(int from, int to)
{
    int saved = errno;
    drive_make_way(to);
    struct sealed old = registry_find(to);
    if (old.conn && from != to && net_fcntl(from, F_GETFD, 0) >= 0)
        closing_release(&old);
    errno = saved;
}

DOOR int dup2(int from, int to)
{
    struct sealed sealed = registry_find(from);
    if (from == to)
        return real()->dup2(from, to);
    make_way(from, to);
    return copied(&sealed, real()->dup2(from, to));
}

DOOR_ALIAS("dup2") int __dup2(int from, int to);

DOOR int dup3(int from, int to, int flags)
{
    struct sealed sealed = registry_find(from);
    if (from == to || (flags & ~O_CLOEXEC))
        return real()->dup3(from, to, flags);
    make_way(from, to);
    return copied(&sealed, real()->dup3(from, to, flags));
}

static int control(int fd, int command, void *argument, int (*call)(int, int, ...))
{
    struct sealed sealed = registry_find(fd);
    int result = call(fd, command, argument);
    if (!sealed.conn || result < 0)
        return result;
    if (command == F_DUPFD || command == F_DUPFD_CLOEXEC)
        return copied(&sealed, result);
    if (command == F_SETFL)
        sealed.conn->nonblocking = ((intptr_t)argument & O_NONBLOCK) != 0;
    return result;
}

DOOR int fcntl(int fd, int command, ...)
{
    va_list list;
    va_start(list, command);
    void *argument = va_arg(list, void *);
    va_end(list);
    return control(fd, command, argument, real()->fcntl);
}

DOOR_ALIAS("fcntl") int __fcntl(int fd, int command, ...);

DOOR int fcntl64(int fd, int command, ...)
{
    va_list list;
    va_start(list, command);
    void *argument = va_arg(list, void *);
    va_end(list);
    return control(fd, command, argument, real()->fcntl64);
}
