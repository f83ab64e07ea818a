/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Doors that copy descriptors: the dup family and fcntl. */

#include "libc/door.h"
#include "shm/self.h"

#include <fcntl.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <unistd.h>

#include "io/close.h"
#include "io/orphan.h"
#include "process/inherit.h"
#include "sys/net.h"

int __dup2(int from, int to) __THROW;
int __fcntl(int fd, int command, ...);

static int copied_in_child(int to)
{
    if (to >= 0 && !self_owns_tables())
        fdtable_note_child_copy(to);
    return to;
}

/* A number that has no entry in the table cannot be used for a copy: what the kernel gives at its limit. */
static int without_room(int to, int error)
{
    if (to < 0 || fdtable_has_room(to))
        return to;
    sys_close(to);
    return (int)door_result(-error, errno);
}

/* A copy of a socket that has no connection yet. */
static int copied_unconnected(int from, int copy)
{
    const int to = without_room(copy, EMFILE);
    if (to >= 0)
        fdtable_note_unconnected(to, true);
    if (to >= 0 && (fdtable_flags(from) & FDTABLE_USED))
        fdtable_set_flags(to, FDTABLE_USED);
    else if (to >= 0)
        fdtable_clear_flags(to, FDTABLE_USED);
    fdtable_note_copies();
    return to;
}

/* A copy of a sealed descriptor at the lowest number from `least` on. A vfork(2) child has descriptors of its
 * own and its parent's memory: the table is not changed, and the kernel's FD_CLOEXEC is the program's
 * (process/exec_handover.h). */
static int copy(int fd, intptr_t least, bool inherit, int (*call)(int, int, ...))
{
    if (!self_owns_tables())
        return copied_in_child(call(fd, inherit ? F_DUPFD : F_DUPFD_CLOEXEC, least));
    bool locked = fdtable_lock();
    struct conn_handle handle = fdtable_find(fd);
    int to = handle.conn == &fdtable_dead ? (int)door_result(-EBADF, errno)
                                          : without_room(call(fd, F_DUPFD_CLOEXEC, least), EMFILE);
    if (to >= 0 && handle.conn)
        inherit_copied(&handle, to, inherit);
    fdtable_unlock(locked);
    return to;
}

DOOR int dup(int fd)
{
    struct conn_handle handle = fdtable_find(fd);
    if (fdtable_is_unconnected(&handle))
        return copied_unconnected(fd, real()->dup(fd));
    if (!handle.conn)
        return real()->dup(fd);
    return copy(fd, 0, true, real()->fcntl);
}

/* Whether the kernel takes this number, which it does below the limit. */
static bool is_within_limit(int fd)
{
    struct rlimit limit;
    return sys_call(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, sys_ptr(&limit), 0, 0) < 0 ||
           (rlim_t)fd < limit.rlim_cur;
}

/* Other threads that look `to` up wait from here on, if the call that replaces it is going to succeed.
 * Whether its connection was released. */
static bool make_way(const struct conn_handle *from, const struct conn_handle *old)
{
    const int to = old->fd;
    if (net_fcntl(from->fd, F_GETFD, 0) < 0 || (uint32_t)to >= fdtable_size || !self_owns_tables() ||
        !is_within_limit(to))
        return false;
    if (old->conn)
        return close_release(old);
    fdtable_reserve(to);
    return false;
}

/* Ends make_way(). Without its connection `to` must not be open: it would be written to in the clear. */
static void made_way(const struct conn_handle *old, bool released, bool replaced)
{
    if (released && !replaced)
        sys_close(old->fd);
    if ((uint32_t)old->fd >= fdtable_size || !self_owns_tables())
        return;
    if (!replaced && fdtable_is_unconnected(old))
        fdtable_publish_unconnected(old->fd);
    fdtable_publish(old->fd);
}

/* dup3(2) onto another descriptor. `inherit`: without FD_CLOEXEC, as far as the program is concerned. */
static int replace(int from, int to, int flags, bool inherit)
{
    int saved = errno;
    bool locked = fdtable_lock();
    struct conn_handle handle = fdtable_find(from);
    const bool none = handle.conn == &fdtable_dead ||
                      ((handle.conn || fdtable_is_unconnected(&handle)) && !fdtable_has_room(to));
    if (none || !orphan_make_way(to)) {
        fdtable_unlock(locked);
        return (int)door_result(none ? -EBADF : -EBUSY, saved);
    }
    const struct conn_handle old = fdtable_find(to);
    bool released = make_way(&handle, &old);
    errno = saved;
    int result = real()->dup3(from, to, handle.conn && self_owns_tables() ? O_CLOEXEC : flags);
    if (result >= 0 && handle.conn)
        inherit_copied(&handle, to, inherit);
    made_way(&old, released, result >= 0);
    if (result >= 0 && handle.conn)
        copied_in_child(to);
    if (result >= 0 && fdtable_is_unconnected(&handle))
        copied_unconnected(from, to);
    fdtable_unlock(locked);
    return result;
}

/* The library's own descriptors may be open before the first sealed one. */
static bool is_plain(int to)
{
    return !atomic_load_explicit(&fdtable_size, memory_order_relaxed) && !fdtable_is_own(to);
}

DOOR int dup2(int from, int to)
{
    if (from == to || is_plain(to))
        return real()->dup2(from, to);
    return replace(from, to, 0, true);
}

DOOR_ALIAS("dup2") int __dup2(int from, int to);

DOOR int dup3(int from, int to, int flags)
{
    if (from == to || (flags & ~O_CLOEXEC) || is_plain(to))
        return real()->dup3(from, to, flags);
    return replace(from, to, flags, !(flags & O_CLOEXEC));
}

/* FD_CLOEXEC as the program knows it. */
static int set_flags(int fd, intptr_t flags)
{
    if (!self_owns_tables())
        return real()->fcntl(fd, F_SETFD, flags);
    if (flags & FD_CLOEXEC)
        fdtable_clear_flags(fd, FDTABLE_INHERIT);
    else
        fdtable_set_flags(fd, FDTABLE_INHERIT);
    return 0;
}

static int control(int fd, int command, void *argument, int (*call)(int, int, ...))
{
    struct conn_handle handle = fdtable_find(fd);
    if (fdtable_is_unconnected(&handle) && (command == F_DUPFD || command == F_DUPFD_CLOEXEC))
        return copied_unconnected(fd, call(fd, command, argument));
    if (!handle.conn)
        return call(fd, command, argument);
    switch (command) {
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
        return copy(fd, (intptr_t)argument, command == F_DUPFD, call);
    case F_GETFD:
        return fdtable_flags(fd) & FDTABLE_INHERIT ? 0 : FD_CLOEXEC;
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
