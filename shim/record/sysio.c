/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "record/sysio.h"

#include <signal.h>
#include <sys/time.h>

#include "conn/error.h"
#include "conn/hold.h"
#include "sys/net.h"
#include "sys/real.h"
#include "sys/ro_after_init.h"
#include "sys/signals.h"

RO_AFTER_INIT bool (*sysio_others_pending)(int fd);
RO_AFTER_INIT int (*sysio_before_read)(const struct conn_handle *handle, int flags, int64_t since_ms);
RO_AFTER_INIT int (*sysio_before_write)(const struct conn_handle *handle, int flags, int64_t since_ms);
_Atomic bool sysio_limits_used;

/* What cancelled() needs when a thread is cancelled inside the system call. */
struct blocked_call {
    const struct conn_handle *handle;
    struct lock *lock;
    bool in_kernel;
    bool lost; /* the lock was taken over meanwhile */
};

/*
 * A blocked call may be left by siglongjmp(3) from a signal handler. A later call of the thread must not be
 * taken for one in a signal handler that interrupts the blocked call (is_above_own() in conn/hold.c). It may
 * be a few stack frames deeper than the blocked call was, by less than this. A signal handler is deeper than
 * this: the frame in which the kernel saves the registers is larger.
 */
enum { SIGNAL_FRAME = 1024 };

static uintptr_t frame_of(const struct blocked_call *call)
{
    return (uintptr_t)call - SIGNAL_FRAME;
}

static void release(struct conn *conn, const struct lock *lock)
{
    if (lock == &conn->tx_lock)
        conn_release_tx(conn);
    else
        conn_release_rx(conn);
}

/* Runs when the thread is cancelled in the system call. It is not known how much ciphertext was sent, so
 * nothing can follow it. A reader has taken nothing. */
static void cancelled(struct blocked_call *call)
{
    if (!call->in_kernel)
        return;
    struct conn *conn = call->handle->conn;
    if (call->lock == &conn->tx_lock)
        error_set(call->handle, EIO, "a thread was cancelled while it was sending");
    if (lock_unblock(call->lock))
        release(conn, call->lock);
}

/* If another thread has closed the descriptor while this one was blocked: goes on with another one of the
 * connection, an orphan for example, since the kernel goes on with a call that is in it. tx_lock held, so the
 * descriptor stays what it is. False: there is none. */
static bool follow(const struct conn_handle *handle)
{
    if (fdtable_current(handle))
        return true;
    const bool same = atomic_load(&handle->conn->generation) == handle->generation;
    const int fd = same ? fdtable_any(handle->conn, handle->fd) : -1;
    if (fd >= 0) /* what the caller has looked up is its own, and is changed in this case alone */
        ((struct conn_handle *)(uintptr_t)handle)->fd = fd;
    return fd >= 0;
}

/* Whether a send is to be made by waiting for room and then not blocking, since there is something to make
 * progress with meanwhile. */
static bool waits_for_others(int fd, int flags, int64_t since_ms)
{
    return sysio_before_write && (since_ms || sysio_others_pending(fd)) && sysio_may_block(fd, flags);
}

static ssize_t send_in_kernel(struct blocked_call *call, const uint8_t *data, size_t len, int flags)
{
    lock_block(call->lock);
    call->in_kernel = true;
    const ssize_t sent = real()->send(call->handle->fd, data, len, flags);
    const int error = errno;
    call->in_kernel = false;
    call->lost = !lock_unblock(call->lock);
    return sent < 0 ? -error : sent;
}

/* One round of such a send. The lock is blocked while it waits, and not while it sends, so that the
 * descriptor is not closed in between. */
static ssize_t send_after_wait(struct blocked_call *call, const uint8_t *data, size_t len, int flags,
                               int64_t since_ms)
{
    lock_block(call->lock);
    call->in_kernel = true;
    const int waited = sysio_before_write(call->handle, flags, since_ms);
    call->in_kernel = false;
    call->lost = !lock_unblock(call->lock);
    if (waited < 0 || call->lost)
        return waited;
    return follow(call->handle) ? net_send_with(call->handle->fd, data, len, flags | MSG_DONTWAIT) : -EBADF;
}

/* send(2), which blocks if the program's call would. While another connection has something pending, this one
 * makes progress with it as it waits: the peer may read nothing until then. It may wait, say, for the end of
 * a connection that the program has closed. */
static ssize_t send_waiting(struct blocked_call *call, const uint8_t *data, size_t len, int flags,
                            int64_t since_ms)
{
    size_t done = 0;
    while (done < len && !call->lost) {
        const int fd = call->handle->fd;
        const bool waits = waits_for_others(fd, flags, since_ms);
        if (waits && !since_ms)
            since_ms = net_now_ms();
        const ssize_t sent = waits ? send_after_wait(call, data + done, len - done, flags, since_ms)
                                   : send_in_kernel(call, data + done, len - done, flags);
        if (waits && sent == -EAGAIN &&
            net_now_ms() < sysio_limit_since(call->handle->fd, SO_SNDTIMEO, since_ms))
            continue;
        if (sent < 0)
            return done ? (ssize_t)done : sent;
        done += (size_t)sent;
        if (!waits)
            break;
    }
    return (ssize_t)done;
}

struct io_result sysio_send(const struct conn_handle *handle, const void *data, size_t len, int flags)
{
    struct conn *conn = handle->conn;
    struct blocked_call call __attribute__((cleanup(cancelled))) = {.handle = handle, .lock = &conn->tx_lock};
    /* A raw system call: no cancellation point, and the lock is not marked as blocked. */
    if (flags & MSG_DONTWAIT)
        return io_done(net_send_with(handle->fd, data, len, flags));
    const int64_t since_ms = conn->tx.since_ms;
    conn->tx.since_ms = 0;
    conn->tx.frame = frame_of(&call);
    const ssize_t sent = send_waiting(&call, data, len, flags, since_ms);
    if (call.lost)
        return io_is(IO_LOCK_LOST);
    if (follow(handle))
        return io_done(sent);
    /* The descriptor was closed meanwhile, and its number may be another connection's. */
    conn_release_tx(conn);
    return io_is(IO_LOCK_LOST);
}

/* The kernel had no room for all: it has the first `done` bytes. As with a call that it had to wait in for
 * the others, an error comes with the next call, and SIGPIPE too. */
static struct io_result send_rest(const struct conn_handle *handle, const uint8_t *data, size_t len,
                                  size_t done, int flags)
{
    struct io_result rest = sysio_send(handle, data + done, len - done, done ? flags | MSG_NOSIGNAL : flags);
    if (rest.status == IO_LOCK_LOST || done == 0)
        return rest;
    if (!io_ok(rest) && !io_is_error(rest, EAGAIN) && !io_is_error(rest, EINTR))
        conn_save_so_error(handle->conn, (int)-rest.value);
    return io_done((ssize_t)done + (rest.value > 0 ? rest.value : 0));
}

struct io_result sysio_send_small(const struct conn_handle *handle, const void *data, size_t len, int flags)
{
    const ssize_t sent = net_send_with(handle->fd, data, len, flags | MSG_DONTWAIT);
    if (sent == (ssize_t)len || (flags & MSG_DONTWAIT) || (sent < 0 && sent != -EAGAIN))
        return io_done(sent);
    return send_rest(handle, data, len, sent > 0 ? (size_t)sent : 0, flags);
}

/* recvmsg(2), or recv(2) if `message` is NULL. While something is pending, it makes progress with that first,
 * since what it waits for may depend on it: in a program that has both ends, say. */
static inline ssize_t receive_waiting(const struct conn_handle *handle, struct msghdr *message, void *buffer,
                                      size_t len, int flags, int64_t since_ms)
{
    int waited = sysio_before_read ? sysio_before_read(handle, flags, since_ms) : 0;
    if (waited < 0) {
        errno = -waited;
        return -1;
    }
    return message ? real()->recvmsg(handle->fd, message, flags)
                   : real()->recv(handle->fd, buffer, len, flags);
}

static inline struct io_result receive_blocked(const struct conn_handle *handle, struct msghdr *message,
                                               void *buffer, size_t len, int flags)
{
    struct conn *conn = handle->conn;
    struct blocked_call call __attribute__((cleanup(cancelled))) = {.handle = handle, .lock = &conn->rx_lock};
    const int64_t since_ms = conn->rx.since_ms;
    conn->rx.since_ms = 0;
    conn->rx.frame = frame_of(&call);
    lock_block(call.lock);
    call.in_kernel = true;
    ssize_t got = receive_waiting(handle, message, buffer, len, flags, since_ms);
    if (got < 0)
        got = -errno;
    call.in_kernel = false;
    /* A signal handler of this thread may have taken the lock over meanwhile, read and released it. Then what
     * was received here is what follows, and the lock is taken again. */
    if (!lock_unblock(call.lock) && hold_rx(handle, HOLD_WAIT) != HOLD_TAKEN)
        return io_is(IO_LOCK_LOST);
    return io_done(got);
}

struct io_result sysio_recv(const struct conn_handle *handle, void *buffer, size_t len, int flags)
{
    if (flags & MSG_DONTWAIT)
        return io_done(net_recv(handle->fd, buffer, len, flags));
    return receive_blocked(handle, NULL, buffer, len, flags);
}

struct io_result sysio_recvmsg(const struct conn_handle *handle, struct msghdr *message, int flags)
{
    if (flags & MSG_DONTWAIT)
        return io_done(net_recvmsg(handle->fd, message, flags));
    return receive_blocked(handle, message, NULL, 0, flags);
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

bool sysio_restarts(void)
{
    for (int signal = 1; signal <= 64; signal++) {
        struct kernel_action action = {0};
        if (signals_is_fault(signal) || sys_call(SYS_rt_sigaction, signal, 0, sys_ptr(&action), 8, 0, 0) < 0)
            continue;
        bool handled = action.handler != (void *)SIG_DFL && action.handler != (void *)SIG_IGN;
        if (handled && !(action.flags & SA_RESTART))
            return false;
    }
    return true;
}

int64_t sysio_limit(int fd, int option)
{
    return sysio_limit_since(fd, option, 0);
}

int64_t sysio_limit_since(int fd, int option, int64_t since_ms)
{
    struct timeval limit = {0};
    socklen_t len = sizeof limit;
    if (net_getsockopt(fd, SOL_SOCKET, option, &limit, &len) < 0 || (!limit.tv_sec && !limit.tv_usec))
        return INT64_MAX;
    return (since_ms ? since_ms : net_now_ms()) + (int64_t)limit.tv_sec * 1000 + (limit.tv_usec + 999) / 1000;
}

bool sysio_yield(unsigned *yields)
{
    enum { YIELDS_MAX = 100, IN_VAIN_MS = 5 };
    static _Atomic int64_t in_vain_until_ms;
    sys_call3(SYS_sched_yield, 0, 0, 0);
    if (++*yields == 1)
        return net_now_ms() >= atomic_load(&in_vain_until_ms);
    if (*yields < YIELDS_MAX)
        return true;
    if (*yields == YIELDS_MAX)
        atomic_store(&in_vain_until_ms, net_now_ms() + IN_VAIN_MS);
    return false;
}

/* The kernel writes nothing there; valgrind wants to see memory. */
void sysio_drop(int fd, size_t len)
{
    static char nowhere[1 << 18];
    net_recv(fd, len <= sizeof nowhere ? nowhere : NULL, len, MSG_TRUNC | MSG_DONTWAIT);
}
