/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "io/unconnected.h"

#include <errno.h>
#include <fcntl.h>

#include "conn/address.h"
#include "conn/holders.h"
#include "conn/pending.h"
#include "diag/log.h"
#include "io/socket.h"
#include "record/sysio.h"
#include "shm/self.h"
#include "sys/net.h"
#include "sys/real.h"

static int peer_error(int fd)
{
    struct sockaddr_storage peer;
    socklen_t len = sizeof peer;
    return net_getpeername(fd, &peer, &len);
}

/* Another name of this descriptor was connected. */
static void join(int fd, struct conn *conn, uint32_t generation)
{
    const bool inherit = !(net_fcntl(fd, F_GETFD, 0) & FD_CLOEXEC);
    if (!fdtable_add_unconnected(fd, conn, generation))
        return;
    holders_meet(conn);
    sysio_limits_used = true; /* it is not known whether the other process has set one */
    if (inherit) {
        fdtable_set_flags(fd, FDTABLE_INHERIT);
        net_fcntl(fd, F_SETFD, FD_CLOEXEC);
    }
    if (!conn_is_established(conn) || conn->tx.to_send > 0)
        pending_add(fd);
}

/* By the cookie. The connection may be ending at this moment. */
static bool find_and_join(int fd)
{
    const uint64_t cookie = fdtable_cookie(fd);
    const arena_ref slot = arena_find(cookie);
    struct conn *conn = slot ? arena_slot(slot) : NULL;
    if (!conn || conn_phase(conn) == CONN_GONE)
        return false;
    const uint32_t generation = atomic_load(&conn->generation);
    if (!conn_pin(conn, generation))
        return false;
    const bool same = arena_cookie(slot) == cookie && !atomic_load(&conn->unreferenced);
    if (same)
        join(fd, conn, generation);
    conn_unpin(conn);
    return same;
}

/* A vfork(2) child has put a copy of a sealed descriptor at this number, which its parent's table has as
 * another file: whichever number of the connection they both have is used. */
static bool find_in_child(int fd, struct conn_handle *found)
{
    const uint64_t cookie = fdtable_cookie(fd);
    const arena_ref slot = arena_find(cookie);
    const struct conn *conn = slot ? arena_slot(slot) : NULL;
    const int other = conn ? fdtable_any(conn, fd) : -1;
    if (other < 0 || fdtable_cookie(other) != cookie)
        return false;
    *found = fdtable_find(other);
    return found->conn == conn;
}

static enum fdtable_settled settle(int fd, struct conn_handle *found)
{
    const bool owner = self_owns_tables();
    if (peer_error(fd) == -ENOTCONN)
        return FDTABLE_STILL_UNCONNECTED;
    if (!owner && find_in_child(fd, found))
        return FDTABLE_FOUND;
    if (owner && find_and_join(fd))
        return FDTABLE_SETTLED;
    if (socket_names_connected(fd))
        return FDTABLE_UNKNOWN;
    if (!owner) /* the parent may have another file there */
        return FDTABLE_STILL_UNCONNECTED;
    fdtable_forget_unconnected(fd);
    return FDTABLE_SETTLED;
}

void unconnected_begin(void)
{
    fdtable_settle = settle;
}

bool unconnected_note(int fd)
{
    if (peer_error(fd) != -ENOTCONN || !address_is_tcp(fd) || address_socket_option(fd, SO_ACCEPTCONN) == 1)
        return false;
    fdtable_note_unconnected(fd, true);
    return true;
}

/* The wait is over. 0: it has been looked up again; -EAGAIN: the connection has ended already. */
static int look_again(struct conn_handle *handle)
{
    const int fd = handle->fd;
    *handle = fdtable_find(fd);
    if (!fdtable_is_unconnected(handle))
        return 0;
    switch (settle(fd, handle)) {
    case FDTABLE_FOUND:
        return 0;
    case FDTABLE_UNKNOWN:
        log_line(LOG_ERROR,
                 "descriptor %d is a connection that should be sealed, made by a program that shares nothing "
                 "with this one: it is not used",
                 fd);
        return -EBADF;
    case FDTABLE_STILL_UNCONNECTED:
        return -EAGAIN;
    case FDTABLE_SETTLED:
        break;
    }
    *handle = fdtable_find(fd);
    return fdtable_is_unconnected(handle) ? -EAGAIN : 0;
}

/* The number belongs to another file by now. */
static bool is_stale(struct conn_handle *handle)
{
    if (address_is_tcp(handle->fd))
        return false;
    fdtable_forget_unconnected(handle->fd);
    *handle = (struct conn_handle){.fd = handle->fd};
    return true;
}

int unconnected_before_send(struct conn_handle *handle, int flags)
{
    enum { ROUNDS = 3 };
    if (is_stale(handle))
        return 0;
    for (int round = 0; round < ROUNDS; round++) {
        /* Nothing is sent by it, and it waits and fails as the call itself does. */
        if (real()->sendto(handle->fd, "", 0, flags & (MSG_DONTWAIT | MSG_NOSIGNAL), NULL, 0) < 0)
            return -errno;
        int result = look_again(handle);
        if (result != -EAGAIN)
            return result;
    }
    return -EPIPE;
}

int unconnected_before_receive(struct conn_handle *handle, int flags)
{
    char byte;
    if (is_stale(handle))
        return 0;
    if (real()->recv(handle->fd, &byte, 1, (flags & MSG_DONTWAIT) | MSG_PEEK) < 0)
        return -errno;
    int result = look_again(handle);
    return result == -EAGAIN ? 0 : result; /* the end of the stream, which is no secret */
}
