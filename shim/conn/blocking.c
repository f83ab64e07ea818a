/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "conn/blocking.h"

#include <signal.h>
#include <sys/time.h>

#include "conn/drive.h"
#include "conn/failure.h"
#include "conn/reach.h"
#include "conn/waiting.h"
#include "sys/net.h"
#include "sys/real.h"

/* What the unwinder finds when a thread is cancelled inside the call. */
struct parking {
    const struct sealed *sealed;
    struct role *role;
    bool away;
};

static void come_back(struct parking *parking)
{
    if (!parking->away)
        return;
    struct conn *conn = parking->sealed->conn;
    /* How much of the ciphertext left is unknown, so nothing can follow it; a reader has taken nothing. */
    if (parking->role == &conn->tx)
        failure_set(parking->sealed, EIO, "a thread was cancelled while it was sending");
    if (role_unpark(parking->role))
        conn_release(conn, parking->role);
}

/* Whether another connection than this, which is in our hands, has something outstanding. */
static bool others_outstanding(int fd)
{
    if (!drive_outstanding())
        return false;
    uint32_t own = registry_marks(fd) & REGISTRY_OUTSTANDING ? 1 : 0;
    return atomic_load_explicit(&drive_count, memory_order_relaxed) > own;
}

/* While something is outstanding, the peer's reading may depend on it: what it waits for is a connection that
 * the program has closed, say. */
static ssize_t send_driving(int fd, const uint8_t *data, size_t len, int flags)
{
    size_t done = 0;
    while (done < len) {
        const bool drives = others_outstanding(fd) && blocking_allowed(fd, flags);
        int waited = drives ? waiting_before_write(fd, flags) : 0;
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

ssize_t blocking_send(const struct sealed *sealed, const void *data, size_t len, int flags)
{
    struct parking parking
        __attribute__((cleanup(come_back))) = {.sealed = sealed, .role = &sealed->conn->tx};
    if (flags & MSG_DONTWAIT) /* not a cancellation point: the role is not parked */
        return net_send_with(sealed->fd, data, len, flags);
    sealed->conn->writer_frame = (uintptr_t)&parking;
    role_park(parking.role);
    parking.away = true;
    ssize_t sent = send_driving(sealed->fd, data, len, flags);
    if (sent < 0)
        sent = -errno;
    parking.away = false;
    if (!role_unpark(parking.role))
        return -ESTALE;
    if (!registry_current(sealed)) { /* closed meanwhile, and the number may be another connection's */
        conn_release(sealed->conn, &sealed->conn->tx);
        return -ESTALE;
    }
    return sent;
}

/* True: the role is ours again; false: it is not held. */
static bool take_back(const struct sealed *sealed)
{
    struct conn *conn = sealed->conn;
    switch (conn_take_rx(conn)) {
    case ROLE_TAKEN:
    case ROLE_RESUMED: /* from a reader who died in the kernel: forgotten, as in receive_begin() */
        if (!reach_rx(sealed))
            return false;
        if (registry_current(sealed))
            return true;
        break;
    case ROLE_ABANDONED:
        failure_set(sealed, EIO, "a process died while it was reading");
        break;
    case ROLE_PARKED:
    case ROLE_REENTERED:
        return false;
    }
    conn_release(conn, &conn->rx);
    return false;
}

/* While something is outstanding, what we wait for may depend on it: another connection's last bytes, say, in
 * a program that has both ends. With `message`, or without it into `buffer`. */
static inline ssize_t receive_driving(int fd, struct msghdr *message, void *buffer, size_t len, int flags)
{
    int waited = drive_outstanding() ? waiting_before_read(fd, flags) : 0;
    if (waited < 0) {
        errno = -waited;
        return -1;
    }
    return message ? real()->recvmsg(fd, message, flags) : real()->recv(fd, buffer, len, flags);
}

static inline ssize_t receive_parked(const struct sealed *sealed, struct msghdr *message, void *buffer,
                                     size_t len, int flags)
{
    struct parking parking
        __attribute__((cleanup(come_back))) = {.sealed = sealed, .role = &sealed->conn->rx};
    sealed->conn->reader_frame = (uintptr_t)&parking;
    role_park(parking.role);
    parking.away = true;
    ssize_t got = receive_driving(sealed->fd, message, buffer, len, flags);
    if (got < 0)
        got = -errno;
    parking.away = false;
    /* A signal handler of this thread may have read from the same connection meanwhile, and be done: then
     * what we have got is what follows. */
    if (!role_unpark(parking.role) && !take_back(sealed))
        return -ESTALE;
    return got;
}

ssize_t blocking_receive(const struct sealed *sealed, void *buffer, size_t len, int flags)
{
    if (flags & MSG_DONTWAIT) /* not a cancellation point: the role is not parked */
        return net_recv(sealed->fd, buffer, len, flags);
    return receive_parked(sealed, NULL, buffer, len, flags);
}

ssize_t blocking_receive_message(const struct sealed *sealed, struct msghdr *message, int flags)
{
    if (flags & MSG_DONTWAIT)
        return net_recvmsg(sealed->fd, message, flags);
    return receive_parked(sealed, message, NULL, 0, flags);
}

bool blocking_allowed(int fd, int flags)
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

bool blocking_restarts(void)
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

int64_t blocking_limit(int fd, int option)
{
    struct timeval limit = {0};
    socklen_t len = sizeof limit;
    if (net_getsockopt(fd, SOL_SOCKET, option, &limit, &len) < 0 || (!limit.tv_sec && !limit.tv_usec))
        return INT64_MAX;
    return net_now_ms() + (int64_t)limit.tv_sec * 1000 + (limit.tv_usec + 999) / 1000;
}
