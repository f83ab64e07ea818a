/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "io/close.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "conn/hold.h"
#include "conn/pending.h"
#include "conn/reserve.h"
#include "io/ending.h"
#include "io/orphan.h"
#include "record/handshake.h"
#include "record/handshake_keys.h"
#include "shm/self.h"
#include "sys/net.h"

/* Another descriptor of the connection, if this process has one, takes what is left to be done. `flags`:
 * those of the one that was closed. */
static void leave_to_copies(const struct conn_handle *handle, uint8_t flags)
{
    const int other = flags & (FDTABLE_PENDING | FDTABLE_OWES) ? fdtable_any(handle->conn, handle->fd) : -1;
    if (other < 0)
        return;
    if (flags & FDTABLE_OWES)
        pending_owe(other);
    if (flags & FDTABLE_PENDING)
        pending_add(other);
}

bool close_release(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    bool left, last;
    if (conn == &fdtable_dead || !self_owns_tables())
        return false;
    const uint8_t flags = fdtable_flags(handle->fd);
    fdtable_settle_copies();
    bool tried = conn_is_connecting(conn) || fdtable_only_descriptor(conn);
    if (tried && !conn_is_connecting(conn) && ending_unfinished(handle))
        orphan_make(handle);
    else if (!tried && fdtable_descriptors(conn) == 1 && ending_owes(handle))
        orphan_make_sender(handle);
    pending_remove(handle->fd);
    if (!fdtable_hide(handle, &left, &last))
        return false;
    hold_drain(handle);
    handshake_keys_forget();
    if (!left)
        leave_to_copies(handle, flags);
    const bool writes = left && lock_blocked_here(&conn->tx_lock) && !conn_failed(conn);
    /* Not tried, and yet the last: the other holder closed at the same moment, and took this one for the
     * last. Or another thread is in a send, which goes on, as the kernel's would. */
    if (last && (!tried || writes) && !conn_failed(conn)) {
        conn->status.close_pending = 1;
        orphan_make(handle);
    } else if (last) {
        conn_discard(conn);
    } else if (writes) {
        orphan_make_sender(handle);
    }
    fdtable_leave(handle);
    reserve_sweep();
    return true;
}

void close_fd(const struct conn_handle *handle)
{
    bool hidden = close_release(handle);
    sys_close(handle->fd);
    if (hidden)
        fdtable_publish(handle->fd);
}

/* Whether the number is free, or another file's. If the kernel does not tell, it is not. */
static bool is_lost(const struct conn_handle *handle)
{
    const uint64_t known = arena_cookie(handle->slot);
    uint64_t cookie = 0;
    socklen_t len = sizeof cookie;
    const int result = net_getsockopt(handle->fd, SOL_SOCKET, SO_COOKIE, &cookie, &len);
    return known && (result == -EBADF || result == -ENOTSOCK || (result == 0 && cookie != known));
}

void close_lost(void)
{
    for (int fd = 0; fd < fdtable_bound(); fd++) {
        bool left, last;
        const struct conn_handle handle = fdtable_find_now(fd);
        if (!handle.conn || handle.conn == &fdtable_dead || !is_lost(&handle))
            continue;
        pending_remove(fd);
        if (!fdtable_hide(&handle, &left, &last))
            continue;
        fdtable_publish(fd);
        if (last)
            conn_discard(handle.conn);
    }
}

/*
 * shutdown(SHUT_RD), or the half of SHUT_RDWR. The handshake goes on behind it: the kernel still takes in
 * what comes to such a socket, as long as our direction is open.
 */
static int shut_reading(const struct conn_handle *handle)
{
    const bool was_shut = atomic_exchange(&handle->conn->status.read_shut, 1); /* before the kernel says so */
    int result = fdtable_shutdown(handle, SHUT_RD);
    if (result < 0) {
        handle->conn->status.read_shut = was_shut;
        return result;
    }
    if (!conn_is_established(handle->conn))
        pending_rewatch(handle);
    return 0;
}

/* shutdown(SHUT_WR), or the half of SHUT_RDWR. */
static void shut_sending(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    conn->status.close_pending = 1;
    conn_tx_set(conn, TX_SHUT);
    ending_step(handle);
    if (conn->status.close_pending) {
        pending_add(handle->fd);
        ending_carry();
    }
}

/* Whether TCP's connection is over, because of a reset for example: shutdown(2) gives ENOTCONN then, and what
 * SO_ERROR has to tell stays there. */
static bool tcp_is_over(int fd)
{
    uint8_t state = 0; /* the first byte of struct tcp_info */
    socklen_t len = sizeof state;
    return net_getsockopt(fd, IPPROTO_TCP, TCP_INFO, &state, &len) == 0 && state == TCP_CLOSE;
}

int close_shutdown(const struct conn_handle *handle, int how)
{
    struct conn *conn = handle->conn;
    const bool known = how == SHUT_RD || how == SHUT_WR || how == SHUT_RDWR;
    handshake_unhold(conn);
    if (conn_is_connecting(conn))
        handshake_progress(handle); /* TCP may be connected by now */
    if (!known || conn_failed(conn) || conn_is_connecting(conn) || tcp_is_over(handle->fd)) {
        int result = net_shutdown(handle->fd, how);
        if (result == 0 && how != SHUT_WR)
            conn->status.read_shut = 1;
        return result;
    }
    int result = how == SHUT_WR ? 0 : shut_reading(handle);
    if (result == 0 && how != SHUT_RD)
        shut_sending(handle);
    return result;
}
