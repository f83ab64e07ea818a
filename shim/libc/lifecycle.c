/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Doors that begin and end a connection. */

#include "io/accept.h"
#include "libc/clone.h"
#include "libc/door.h"
#include "shm/self.h"

#include <unistd.h>

#include "config/config.h"
#include "conn/address.h"
#include "conn/reserve.h"
#include "io/close.h"
#include "io/connect.h"
#include "io/ending.h"
#include "io/socket.h"
#include "process/privilege.h"
#include "shm/ownfd.h"
#include "sys/net.h"

int __connect(int fd, const struct sockaddr *address, socklen_t len);
int __close(int fd);

DOOR int socket(int domain, int type, int protocol)
{
    int fd = real()->socket(domain, type, protocol), saved = errno;
    config_load();
    if (fd < 0 || !config_get()->active)
        return fd;
    socket_forget_stale(fd);
    if ((domain == AF_INET || domain == AF_INET6) && (type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) == SOCK_STREAM)
        fdtable_note_unconnected(fd, false);
    else
        fdtable_forget_unconnected(fd);
    errno = saved;
    return fd;
}

DOOR int connect(int fd, const struct sockaddr *address, socklen_t len)
{
    int saved = errno;
    config_load();
    if (!config_get()->active)
        return real()->connect(fd, address, len);
    return (int)door_result(connect_to(fd, address, len), saved);
}

DOOR_ALIAS("connect") int __connect(int fd, const struct sockaddr *address, socklen_t len);

DOOR int accept4(int fd, struct sockaddr *restrict address, socklen_t *restrict len, int flags)
{
    int saved = errno;
    config_load();
    if (!config_get()->active)
        return real()->accept4(fd, address, len, flags);
    return (int)door_result(accept_from(fd, address, len, flags), saved);
}

DOOR int accept(int fd, struct sockaddr *restrict address, socklen_t *restrict len)
{
    return accept4(fd, address, len, 0);
}

/* Reads the keys now, if sealed connections may be accepted: a server may give up the right to read them
 * before the first connection. */
DOOR int listen(int fd, int backlog)
{
    int saved = errno;
    config_load();
    if (config_get()->active)
        accept_prepare_listener(fd);
    errno = saved;
    int result = real()->listen(fd, backlog);
    if (result == 0)
        fdtable_forget_unconnected(fd);
    return result;
}

/* A socket that has listened can be connected (inet_shutdown()). */
static int shutdown_unsealed(int fd, int how)
{
    const bool listens = config_get()->active && address_socket_option(fd, SO_ACCEPTCONN) == 1;
    int result = real()->shutdown(fd, how);
    if (result == 0 && listens && address_socket_option(fd, SO_ACCEPTCONN) == 0 && address_is_tcp(fd))
        connect_note_used(fd);
    return result;
}

DOOR int shutdown(int fd, int how)
{
    int saved = errno;
    struct conn_handle handle = fdtable_find(fd);
    if (!handle.conn)
        return shutdown_unsealed(fd, how);
    return (int)door_result(close_shutdown(&handle, how), saved);
}

/* Publishes the number again, also when the thread is cancelled in close(2). */
static void show(int *fd)
{
    if (*fd >= 0)
        fdtable_publish(*fd);
}

/* close(2) may wait here (SO_LINGER). A copy of the descriptor waits, so that the number is free meanwhile.
 */
static int close_lingering(const struct conn_handle *handle)
{
    int kept = ownfd_duplicate(handle->fd);
    bool hidden = close_release(handle);
    sys_close(handle->fd);
    if (hidden)
        fdtable_publish(handle->fd);
    return kept < 0 ? 0 : real()->close(kept);
}

static int close_sealed(const struct conn_handle *handle, int saved)
{
    int hidden __attribute__((cleanup(show), unused)) = close_release(handle) ? handle->fd : -1;
    errno = saved;
    return real()->close(handle->fd);
}

DOOR int close(int fd)
{
    int saved = errno;
    struct conn_handle handle = fdtable_find(fd);
    if (fdtable_is_own(fd))
        return (int)door_result(-EBADF, saved);
    if (fdtable_is_unconnected(&handle)) {
        fdtable_forget_unconnected(fd);
        reserve_sweep();
        errno = saved;
    }
    if (!handle.conn)
        return real()->close(fd);
    return ending_may_linger(&handle) ? close_lingering(&handle) : close_sealed(&handle, saved);
}

DOOR_ALIAS("close") int __close(int fd);

/* FD_CLOEXEC as the program knows it (descriptors.c). */
static int mark_range(unsigned first, unsigned last)
{
    int result = real()->close_range(first, last, CLOSE_RANGE_CLOEXEC);
    for (unsigned fd = first; result == 0 && fd <= last && fd < (unsigned)fdtable_bound(); fd++) {
        if (fdtable_has((int)fd) && self_owns_tables())
            fdtable_clear_flags((int)fd, FDTABLE_INHERIT);
    }
    return result;
}

/* A range in pieces: sealed descriptors are closed as close() does it, the library's own stay open. */
static int close_pieces(unsigned first, unsigned last)
{
    unsigned from = first, bound = (unsigned)fdtable_own_bound();
    for (unsigned fd = first; fd <= last && fd < bound; fd++) {
        bool own = fdtable_is_own((int)fd);
        if (!own && !fdtable_has((int)fd))
            continue;
        if (fd > from && real()->close_range(from, fd - 1, 0) < 0)
            return -1;
        if (!own)
            close((int)fd);
        from = fd + 1;
    }
    return from > last ? 0 : real()->close_range(from, last, 0);
}

/* Gives the thread a table of descriptors of its own: by closing a range without any. The worker must not
 * keep the other one. */
static int unshare_table(void)
{
    const enum privilege_change change = privilege_before(PRIVILEGE_THREAD);
    int result = clone_unshare_is_refused() ? -1 : real()->close_range(~0u, ~0u, CLOSE_RANGE_UNSHARE);
    privilege_after(change);
    return result;
}

DOOR int close_range(unsigned first, unsigned last, int flags)
{
    const unsigned known = CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC;
    if (first > last || (flags & ~(int)known))
        return real()->close_range(first, last, flags);
    if ((flags & (int)CLOSE_RANGE_UNSHARE) && unshare_table() < 0)
        return -1;
    if (flags & (int)CLOSE_RANGE_CLOEXEC)
        return mark_range(first, last);
    return close_pieces(first, last);
}

DOOR void closefrom(int low)
{
    int saved = errno;
    if (close_range(low < 0 ? 0 : (unsigned)low, ~0u, 0) < 0)
        real()->closefrom(low); /* a kernel without close_range(2) */
    errno = saved;
}
