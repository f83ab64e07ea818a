/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "record/sysio.h"

#include <signal.h>
#include <sys/time.h>

#include "conn/error.h"
#include "conn/map.h"
#include "sys/net.h"
#include "sys/real.h"

bool (*sysio_others_pending)(int fd);
int (*sysio_before_read)(int fd, int flags);
int (*sysio_before_write)(int fd, int flags);

/* Whether this thread, which holds the lock of a direction, is in a signal handler above its own call: then
 * that call's frames are on the stack above this one. If a handler has jumped out of the call instead
 * (siglongjmp), the frame that it left in `frame` is gone, and lies below. */
static bool is_above_own(const struct lock *lock, uintptr_t frame)
{
    bool blocked;
    return lock_mine(lock, &blocked) && (!blocked || (uintptr_t)__builtin_frame_address(0) < frame);
}

bool sysio_above_own_send(const struct conn *conn)
{
    return is_above_own(&conn->tx, conn->writer_frame);
}

bool sysio_above_own_recv(const struct conn *conn)
{
    return is_above_own(&conn->rx, conn->reader_frame);
}

/* What the unwinder finds when a thread is cancelled inside the call. */
struct parking {
    const struct conn_handle *handle;
    struct lock *role;
    bool away;
};

static void come_back(struct parking *parking)
{
    if (!parking->away)
        return;
    struct conn *conn = parking->handle->conn;
    /* How much of the ciphertext left is unknown, so nothing can follow it; a reader has taken nothing. */
    if (parking->role == &conn->tx)
        error_set(parking->handle, EIO, "a thread was cancelled while it was sending");
    if (lock_unblock(parking->role))
        conn_release(conn, parking->role);
}

/* While something is outstanding, the peer's reading may depend on it: what it waits for is a connection that
 * the program has closed, say. */
static ssize_t send_driving(int fd, const uint8_t *data, size_t len, int flags)
{
    size_t done = 0;
    while (done < len) {
        const bool drives = sysio_before_write && sysio_others_pending(fd) && sysio_may_block(fd, flags);
        int waited = drives ? sysio_before_write(fd, flags) : 0;
        ssize_t sent = -1;
        if (waited < 0)
            errno = -waited;
        else
            sent = real()->send(fd, data + done, len - done, flags | (drives ? MSG_DONTWAIT : 0));
        if (drives && waited == 0 && sent < 0 && errno == EAGAIN)
            continue;
        if (sent < 0)
            return done ? (ssize_t)done : -1;
        done += (size_t)sent;
        if (!drives)
            break;
    }
    return (ssize_t)done;
}

ssize_t sysio_send(const struct conn_handle *handle, const void *data, size_t len, int flags)
{
    struct parking parking
        __attribute__((cleanup(come_back))) = {.handle = handle, .role = &handle->conn->tx};
    if (flags & MSG_DONTWAIT) /* not a cancellation point: the role is not parked */
        return net_send_with(handle->fd, data, len, flags);
    handle->conn->writer_frame = (uintptr_t)&parking;
    lock_block(parking.role);
    parking.away = true;
    ssize_t sent = send_driving(handle->fd, data, len, flags);
    if (sent < 0)
        sent = -errno;
    parking.away = false;
    if (!lock_unblock(parking.role))
        return -ESTALE;
    if (!fdtable_current(handle)) { /* closed meanwhile, and the number may be another connection's */
        conn_release(handle->conn, &handle->conn->tx);
        return -ESTALE;
    }
    return sent;
}

/* True: the role is ours again; false: it is not held. */
static bool take_back(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    switch (conn_take_rx(conn)) {
    case LOCK_TAKEN:
    case LOCK_RECOVERED: /* from a reader who died in the kernel: forgotten, as in recv_begin() */
        if (!map_rx(handle))
            return false;
        if (fdtable_current(handle))
            return true;
        break;
    case LOCK_OWNER_DIED:
        error_set(handle, EIO, "a process died while it was reading");
        break;
    case LOCK_BLOCKED:
    case LOCK_REENTERED:
        return false;
    }
    conn_release(conn, &conn->rx);
    return false;
}

/* While something is outstanding, what we wait for may depend on it: another connection's last bytes, say, in
 * a program that has both ends. With `message`, or without it into `buffer`. */
static inline ssize_t receive_driving(int fd, struct msghdr *message, void *buffer, size_t len, int flags)
{
    int waited = sysio_before_read ? sysio_before_read(fd, flags) : 0;
    if (waited < 0) {
        errno = -waited;
        return -1;
    }
    return message ? real()->recvmsg(fd, message, flags) : real()->recv(fd, buffer, len, flags);
}

static inline ssize_t receive_parked(const struct conn_handle *handle, struct msghdr *message, void *buffer,
                                     size_t len, int flags)
{
    struct parking parking
        __attribute__((cleanup(come_back))) = {.handle = handle, .role = &handle->conn->rx};
    handle->conn->reader_frame = (uintptr_t)&parking;
    lock_block(parking.role);
    parking.away = true;
    ssize_t got = receive_driving(handle->fd, message, buffer, len, flags);
    if (got < 0)
        got = -errno;
    parking.away = false;
    /* A signal handler of this thread may have read from the same connection meanwhile, and be done: then
     * what we have got is what follows. */
    if (!lock_unblock(parking.role) && !take_back(handle))
        return -ESTALE;
    return got;
}

ssize_t sysio_recv(const struct conn_handle *handle, void *buffer, size_t len, int flags)
{
    if (flags & MSG_DONTWAIT) /* not a cancellation point: the role is not parked */
        return net_recv(handle->fd, buffer, len, flags);
    return receive_parked(handle, NULL, buffer, len, flags);
}

ssize_t sysio_recvmsg(const struct conn_handle *handle, struct msghdr *message, int flags)
{
    if (flags & MSG_DONTWAIT)
        return net_recvmsg(handle->fd, message, flags);
    return receive_parked(handle, message, NULL, 0, flags);
}

bool sysio_may_block(int fd, int flags)
{
    if (flags & MSG_DONTWAIT)
        return false;
    int status = net_fcntl(fd, F_GETFL, 0);
    return status >= 0 && !(status & O_NONBLOCK);
}

/* The kernel's struct sigaction (rt_sigaction(2)). */
struct kernel_action {
    void *handler;
    unsigned long flags;
    void *restorer;
    unsigned long mask;
};

/* Signals that say what the thread itself has done wrong come to none that is blocked. Their handlers
 * (crash reporters, Python's faulthandler, sanitizers) often have no SA_RESTART. */
static bool is_fault(int signal)
{
    return signal == SIGSEGV || signal == SIGBUS || signal == SIGILL || signal == SIGFPE ||
           signal == SIGTRAP || signal == SIGABRT || signal == SIGSYS;
}

bool sysio_restarts(void)
{
    for (int signal = 1; signal <= 64; signal++) {
        struct kernel_action action = {0};
        if (is_fault(signal) || sys_call(SYS_rt_sigaction, signal, 0, sys_ptr(&action), 8, 0, 0) < 0)
            continue;
        bool handled = action.handler != (void *)SIG_DFL && action.handler != (void *)SIG_IGN;
        if (handled && !(action.flags & SA_RESTART))
            return false;
    }
    return true;
}

int64_t sysio_limit(int fd, int option)
{
    struct timeval limit = {0};
    socklen_t len = sizeof limit;
    if (net_getsockopt(fd, SOL_SOCKET, option, &limit, &len) < 0 || (!limit.tv_sec && !limit.tv_usec))
        return INT64_MAX;
    return net_now_ms() + (int64_t)limit.tv_sec * 1000 + (limit.tv_usec + 999) / 1000;
}
