/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Doors that copy descriptors: the dup family and fcntl. */

#include "libc/door.h"

#include <fcntl.h>
#include <stdarg.h>
#include <unistd.h>

#include "conn/closing.h"
#include "conn/inherit.h"
#include "conn/own.h"
#include "sys/net.h"

int __dup2(int from, int to) __THROW;
int __fcntl(int fd, int command, ...);

/* The result of a call that copied a sealed descriptor, close-on-exec. */
static int copied(const struct sealed *from, int to, bool inherit)
{
    if (to >= 0)
        inherit_copied(from, to, inherit);
    return to;
}

DOOR int dup(int fd)
{
    struct sealed sealed = registry_find(fd);
    if (!sealed.conn)
        return real()->dup(fd);
    return copied(&sealed, real()->fcntl(fd, F_DUPFD_CLOEXEC, 0), true);
}

/* What stands at `to` gives way, if the call that replaces it is going to succeed. */
static void make_way(int from, int to)
{
    int saved = errno;
    own_make_way(to);
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
    return sealed.conn ? copied(&sealed, real()->dup3(from, to, O_CLOEXEC), true) : real()->dup2(from, to);
}

DOOR_ALIAS("dup2") int __dup2(int from, int to);

DOOR int dup3(int from, int to, int flags)
{
    struct sealed sealed = registry_find(from);
    if (from == to || (flags & ~O_CLOEXEC))
        return real()->dup3(from, to, flags);
    make_way(from, to);
    if (!sealed.conn)
        return real()->dup3(from, to, flags);
    return copied(&sealed, real()->dup3(from, to, O_CLOEXEC), !(flags & O_CLOEXEC));
}

/* FD_CLOEXEC as the program knows it. */
static int set_flags(int fd, intptr_t flags)
{
    if (flags & FD_CLOEXEC)
        registry_unmark(fd, REGISTRY_INHERIT);
    else
        registry_mark(fd, REGISTRY_INHERIT);
    return 0;
}

static int control(int fd, int command, void *argument, int (*call)(int, int, ...))
{
    struct sealed sealed = registry_find(fd);
    if (!sealed.conn)
        return call(fd, command, argument);
    switch (command) {
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
        return copied(&sealed, call(fd, F_DUPFD_CLOEXEC, argument), command == F_DUPFD);
    case F_GETFD:
        return registry_marks(fd) & REGISTRY_INHERIT ? 0 : FD_CLOEXEC;
    case F_SETFD:
        return set_flags(fd, (intptr_t)argument);
    default:
        return call(fd, command, argument);
    }
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
