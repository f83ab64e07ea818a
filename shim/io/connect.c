/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "io/connect.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "conn/address.h"
#include "conn/pending.h"
#include "conn/reserve.h"
#include "diag/log.h"
#include "io/progress.h"
#include "io/socket.h"
#include "record/handshake.h"
#include "record/sysio.h"
#include "record/tx_flush.h"
#include "sys/net.h"
#include "sys/real.h"
#include "sys/signals.h"

_Atomic bool connect_delayed_ack;

static bool delays_ack(int fd)
{
    int value = 1;
    socklen_t len = sizeof value;
    return connect_delayed_ack && net_getsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &value, &len) == 0 && !value;
}

static int plain_connect(int fd, const struct sockaddr *address, socklen_t len)
{
    return real()->connect(fd, address, len) < 0 ? -errno : 0;
}

static _Atomic bool used_again; /* whether a socket has FDTABLE_USED */

void connect_note_used(int fd)
{
    fdtable_note_unconnected(fd, true);
    if (!fdtable_concerns(fd))
        return;
    fdtable_set_flags(fd, FDTABLE_USED);
    used_again = true;
}

/* Where no rule matches. The socket has no connection afterwards if it was connected to AF_UNSPEC. */
static int connect_unsealed(int fd, const struct sockaddr *address, socklen_t len)
{
    const bool ends = config_get()->active && address && len >= sizeof address->sa_family &&
                      address->sa_family == AF_UNSPEC && address_is_tcp(fd);
    const bool known = fdtable_concerns(fd);
    int result = plain_connect(fd, address, len);
    if (result == 0 && !ends)
        fdtable_forget_unconnected(fd);
    if (result == 0 && ends && !known)
        connect_note_used(fd);
    return result;
}

static bool is_used(int fd, void *context)
{
    const uint64_t *cookie = context;
    return (fdtable_flags(fd) & FDTABLE_USED) && fdtable_cookie(fd) == *cookie;
}

/* Whether there may be names of this socket by which it would be used in the clear. */
static bool has_unknown_names(int fd)
{
    uint64_t cookie = used_again ? fdtable_cookie(fd) : 0;
    return used_again && fdtable_each_unconnected(is_used, &cookie);
}

static int refuse_used(int fd)
{
    log_line(
        LOG_ERROR,
        "connect is refused: the socket at descriptor %d had a connection in the clear, or has listened, and "
        "what other descriptors it has would not be sealed; a new socket would be",
        fd);
    return -EACCES;
}

/* Whether TCP could not make the connection. */
static bool attempt_failed(const struct conn_handle *handle)
{
    struct pollfd polled = {.fd = handle->fd, .events = POLLOUT};
    return net_ppoll(&polled, 1, &(struct timespec){0}) > 0 &&
           (polled.revents & (POLLERR | POLLHUP | POLLNVAL));
}

/* connect(2) to AF_UNSPEC ends the connection (connect(2)). The socket may be connected again, and is a plain
 * one until then. */
static int disconnect(const struct conn_handle *handle, const struct sockaddr *address, socklen_t len)
{
    bool left, last;
    pending_remove(handle->fd);
    bool hidden = fdtable_hide(handle, &left, &last);
    int result = plain_connect(handle->fd, address, len);
    if (hidden)
        fdtable_publish_unconnected(handle->fd);
    if (hidden && last)
        conn_discard(handle->conn);
    if (hidden)
        fdtable_leave(handle);
    return result;
}

/* connect(2) on a descriptor that is sealed already: 0 or -errno; 1: go on as with a new socket. */
static int connect_again(const struct conn_handle *handle, const struct sockaddr *address, socklen_t len)
{
    if (conn_is_connecting(handle->conn) && address->sa_family != AF_UNSPEC && !attempt_failed(handle)) {
        int result = plain_connect(handle->fd, address, len); /* EALREADY, EISCONN or, once, success */
        if (result == 0 || result == -EISCONN)
            handshake_progress(handle);
        return result;
    }
    if (address->sa_family == AF_UNSPEC)
        return disconnect(handle, address, len);
    if (conn_is_connecting(handle->conn)) {
        socket_unseal(handle); /* the last attempt has failed */
        return 1;
    }
    return plain_connect(handle->fd, address, len);
}

/* The descriptor is entered in the table before TCP is connected, so that no thread ever finds the socket
 * connected but not sealed. */
static int connect_sealed(int fd, struct conn *conn, const struct sockaddr *address, socklen_t len)
{
    struct conn_handle handle = {
        .conn = conn, .generation = conn->generation, .slot = arena_slot_of(conn), .fd = fd};
    bool inherit = !(net_fcntl(fd, F_GETFD, 0) & FD_CLOEXEC);
    int adopted = socket_seal(fd, conn, inherit);
    if (adopted < 0)
        return adopted;
    if (inherit)
        net_fcntl(fd, F_SETFD, FD_CLOEXEC);
    int result = plain_connect(fd, address, len);
    if (result < 0 && result != -EINPROGRESS && result != -EINTR) {
        if (inherit)
            net_fcntl(fd, F_SETFD, 0);
        socket_unseal(&handle);
        return result;
    }
    if (result == 0 && !conn->tx.holds_hello) {
        conn_connected(conn);
        tx_flush(&handle);
    }
    pending_add(fd);
    return result;
}

/* In a vfork(2) child: its parent's table has another socket at the number. */
static bool is_parents(const struct conn_handle *handle)
{
    return handle->conn && !self_owns_tables() && arena_cookie(handle->slot) != fdtable_cookie(handle->fd);
}

static int connect_copied(int fd, const struct sockaddr *address, socklen_t len)
{
    struct conn_handle again = fdtable_find(fd);
    struct sockaddr_storage peer;
    if (again.conn == &fdtable_dead)
        return -EBADF;
    if (is_parents(&again))
        return -EACCES;
    if (again.conn && address && len >= sizeof(sa_family_t)) {
        int result = connect_again(&again, address, len);
        if (result <= 0)
            return result;
    }
    if (!socket_wants(fd, address, len, &peer))
        return socket_strictly_refused(fd, address, len) ? -EACCES : connect_unsealed(fd, address, len);
    if (has_unknown_names(fd))
        return refuse_used(fd);
    const int keys = socket_check_keys();
    if (keys < 0)
        return socket_without_key(keys);
    struct conn *conn = conn_new_in(reserve_claim(fd), TLS_CLIENT, true);
    if (!conn)
        return socket_no_memory();
    conn->peer = address_of((const struct sockaddr *)&peer);
    if (delays_ack(fd))
        handshake_hold(conn);
    return connect_sealed(fd, conn, address, len);
}

/* What is compared with the rules is what the kernel gets, though another thread may write there. */
int connect_to(int fd, const struct sockaddr *address, socklen_t len)
{
    struct sockaddr_storage copy = {0};
    if (!address || len > sizeof copy)
        return connect_copied(fd, address, len);
    memcpy(&copy, address, len);
    return connect_copied(fd, (const struct sockaddr *)&copy, len);
}

int connect_wait(const struct conn_handle *handle, int flags, int64_t until_ms)
{
    struct conn *conn = handle->conn;
    SIGNALS_HELD_IN_SCOPE(held);
    signals_hold(&held);
    for (;;) {
        handshake_progress(handle);
        if (!conn_is_connecting(conn))
            return 0;
        uint8_t byte;
        if (attempt_failed(handle) || !sysio_may_block(handle->fd, flags)) {
            long said = net_recv(handle->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
            return said < 0 ? (int)said : -EPIPE;
        }
        const int ready = progress_wait(handle->fd, POLLOUT, until_ms, signals_mask(&held, NULL));
        if (ready == 0)
            return -EAGAIN;
        if (ready == -EINTR && (until_ms != INT64_MAX || !sysio_restarts()))
            return -EINTR; /* with a limit the kernel restarts none (signal(7)) */
    }
}
