/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "conn/pending.h"

#include <stdatomic.h>

#include "shm/ownfd.h"
#include "sys/net.h"
#include "sys/ro_after_init.h"

_Atomic uint32_t pending_count;
RO_AFTER_INIT bool (*pending_carry)(void);

static _Atomic uint32_t unwatched; /* approximate number of those pending that are not in the epoll yet */
static _Atomic int64_t next_deadline = INT64_MAX;

static _Atomic bool carried;     /* pending_set_carried() */
static _Atomic bool asleep;      /* pending_set_asleep() */
static _Atomic uint32_t watcher; /* the thread that polls the private epoll for the others; 0: none */

void pending_wake_worker(void)
{
    const uint64_t one = 1;
    int wake = atomic_load(&asleep) ? ownfd_get_checked(OWNFD_WAKE) : -1;
    if (wake >= 0)
        sys_write(wake, &one, sizeof one);
}

void pending_set_carried(bool by_worker)
{
    atomic_store(&carried, by_worker);
}

void pending_set_asleep(bool worker)
{
    atomic_store(&asleep, worker);
}

bool pending_is_carried(void)
{
    return atomic_load(&carried);
}

/* A thread may leave its wait by siglongjmp(3) or be cancelled in it. So a mark of its own is not in its way,
 * and one of a thread that is gone costs no more than a worker. */
bool pending_begin_watch(void)
{
    uint32_t other = 0;
    if (atomic_load(&carried))
        return false;
    if (atomic_compare_exchange_strong(&watcher, &other, self_tid()) || other == self_tid())
        return true;
    if (pending_carry)
        pending_carry();
    return !atomic_load(&carried);
}

void pending_end_watch(void)
{
    uint32_t own = self_tid();
    atomic_compare_exchange_strong(&watcher, &own, 0);
}

void pending_lower_deadline(int64_t deadline)
{
    int64_t seen = atomic_load(&next_deadline);
    while (deadline < seen) {
        if (atomic_compare_exchange_weak(&next_deadline, &seen, deadline)) {
            pending_wake_worker();
            return;
        }
    }
}

/* Which events to wait for. */
static uint8_t wanted(const struct conn *conn)
{
    if (conn_is_connecting(conn) && conn->tx.holds_hello && conn->status.deadline_ms != INT64_MAX)
        return 0; /* it is writable, and waits for its deadline */
    if (conn_partial_is_left(conn) && conn->tx.to_send == 0)
        return conn->tx.partial_left == PARTIAL_LEFT ? FDTABLE_WATCH_OUT : 0;
    if (conn_is_connecting(conn))
        return FDTABLE_WATCH_OUT;
    if (conn->status.close_pending && lock_blocked_here(&conn->tx_lock))
        return 0; /* that thread goes on with it */
    uint8_t watch = conn_is_established(conn) ? 0 : FDTABLE_WATCH_IN;
    if (conn->tx.to_send > 0 && (conn->tx.can_send || conn->tx.cipher_left > 0 || conn_is_plaintext(conn)))
        watch |= FDTABLE_WATCH_OUT;
    /* Only the kernel's sending is waited for. An orphan is told what comes, since it must take that out of
     * the kernel (rx_probe_discard()). */
    return watch ? watch : FDTABLE_WATCH_IN;
}

static void watch_in(int epoll, const struct conn_handle *handle)
{
    uint8_t now = fdtable_flags(handle->fd) & (FDTABLE_WATCH_IN | FDTABLE_WATCH_OUT),
            want = wanted(handle->conn);
    if (now == want)
        return;
    /* A socket whose reading side is shut is readable for ever: only what comes is an event then. */
    const bool shut = handle->conn->status.read_shut;
    struct epoll_event event = {
        .events = (want & FDTABLE_WATCH_IN ? EPOLLIN : 0u) | (want & FDTABLE_WATCH_OUT ? EPOLLOUT : 0u) |
                  (shut ? EPOLLET : 0u),
        .data.fd = handle->fd,
    };
    if (!want)
        net_epoll_ctl(epoll, EPOLL_CTL_DEL, handle->fd, NULL);
    else if (net_epoll_ctl(epoll, now ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, handle->fd, &event) == -EEXIST)
        net_epoll_ctl(epoll, EPOLL_CTL_MOD, handle->fd, &event);
    fdtable_clear_flags(handle->fd, (uint8_t)~want & (FDTABLE_WATCH_IN | FDTABLE_WATCH_OUT));
    fdtable_set_flags(handle->fd, want);
}

void pending_add(int fd)
{
    struct conn_handle handle = fdtable_find_now(fd);
    if (!handle.conn || (fdtable_set_flags(fd, FDTABLE_PENDING) & FDTABLE_PENDING))
        return;
    if (atomic_fetch_add(&pending_count, 1) == 0)
        pending_wake_worker(); /* it may wait for something else, without the epoll */
    /* Of an established connection it is past, and is the handshake's. */
    if (!conn_is_established(handle.conn) || (fdtable_flags(fd) & FDTABLE_ORPHAN))
        pending_lower_deadline(handle.conn->status.deadline_ms);
    int epoll = ownfd_get(OWNFD_EPOLL);
    if (epoll >= 0)
        watch_in(epoll, &handle); /* another thread may be waiting on it already */
    else
        atomic_fetch_add(&unwatched, 1);
}

void pending_remove(int fd)
{
    if (!(fdtable_flags(fd) & FDTABLE_PENDING))
        return;
    uint8_t before = fdtable_clear_flags(fd, FDTABLE_PENDING | FDTABLE_WATCH_IN | FDTABLE_WATCH_OUT);
    if (before & FDTABLE_PENDING)
        atomic_fetch_sub(&pending_count, 1);
    int epoll = ownfd_get(OWNFD_EPOLL);
    /* Closing would not remove it, if another process has the same socket. */
    if ((before & (FDTABLE_WATCH_IN | FDTABLE_WATCH_OUT)) && epoll >= 0)
        net_epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL);
}

static _Atomic bool any_owing;

void pending_owe(int fd)
{
    fdtable_set_flags(fd, FDTABLE_OWES);
    atomic_store(&any_owing, true);
}

void pending_share(void)
{
    if (!atomic_exchange(&any_owing, false))
        return;
    for (int fd = 0; fd < fdtable_bound(); fd++)
        fdtable_clear_flags(fd, FDTABLE_OWES);
}

bool pending_is_settled(const struct conn *conn)
{
    return conn_failed(conn) || (conn_is_established(conn) && conn->tx.to_send == 0 &&
                                 !conn->status.close_pending && !conn_partial_is_left(conn));
}

/* If the handle's descriptor was closed meanwhile, and its number is another connection's: what was done to
 * the number's mark, and in the epoll, was done to that connection, and is undone. (It may come to the table
 * later than this looks, but then it is marked later, too.) */
static void put_back(const struct conn_handle *handle)
{
    if (fdtable_current(handle))
        return;
    const struct conn_handle now = fdtable_find_now(handle->fd);
    if (!now.conn || (pending_is_settled(now.conn) && !(fdtable_flags(now.fd) & FDTABLE_ORPHAN)))
        return;
    pending_add(now.fd);
    pending_rewatch(&now);
}

void pending_drop(const struct conn_handle *handle)
{
    pending_remove(handle->fd);
    put_back(handle);
}

void pending_settle(const struct conn_handle *handle)
{
    if ((fdtable_flags(handle->fd) & FDTABLE_ORPHAN) || !pending_is_settled(handle->conn))
        return;
    pending_drop(handle);
    if (!pending_is_settled(handle->conn)) /* a writer came in between, and found it marked */
        pending_add(handle->fd);
}

void pending_each(void (*visit)(const struct conn_handle *handle))
{
    for (int fd = 0; fd < fdtable_bound(); fd++) {
        if (!(fdtable_flags(fd) & FDTABLE_PENDING))
            continue;
        struct conn_handle handle = fdtable_find(fd);
        if (handle.conn && conn_pin(handle.conn, handle.generation)) {
            visit(&handle);
            conn_unpin(handle.conn);
        } else if (!handle.conn) {
            pending_remove(fd);
        }
    }
}

static void enroll(const struct conn_handle *handle)
{
    watch_in(ownfd_get(OWNFD_EPOLL), handle);
}

/* With the descriptor that wakes the worker (io/worker.h): so what the library has open does not change when
 * there is one. */
static int make_epoll(void)
{
    int made = net_epoll_create(), wake = made < 0 ? -1 : net_eventfd();
    if (wake >= 0)
        ownfd_keep(OWNFD_WAKE, wake);
    return made < 0 ? -1 : ownfd_keep(OWNFD_EPOLL, made);
}

int pending_epoll(void)
{
    if (!pending_any())
        return -1;
    int epoll = ownfd_get(OWNFD_EPOLL);
    if (epoll < 0) {
        epoll = make_epoll();
        if (epoll < 0)
            return -1;
    }
    if (atomic_exchange(&unwatched, 0) > 0)
        pending_each(enroll);
    return epoll;
}

int64_t pending_deadline(void)
{
    return pending_any() ? atomic_load(&next_deadline) : INT64_MAX;
}

void pending_after_fork(void)
{
    if (ownfd_get_checked(OWNFD_EPOLL) >= 0)
        ownfd_drop(OWNFD_EPOLL);
    if (ownfd_get_checked(OWNFD_WAKE) >= 0)
        ownfd_drop(OWNFD_WAKE);
    for (int fd = 0; fd < fdtable_bound(); fd++)
        fdtable_clear_flags(fd, FDTABLE_WATCH_IN | FDTABLE_WATCH_OUT);
    pending_share();
    atomic_store(&unwatched, atomic_load(&pending_count));
    atomic_store(&watcher, 0);
    atomic_store(&carried, false);
    atomic_store(&asleep, false);
}

static void watch(const struct conn_handle *handle)
{
    int epoll = ownfd_get(OWNFD_EPOLL);
    if (epoll >= 0 && (fdtable_flags(handle->fd) & FDTABLE_PENDING))
        watch_in(epoll, handle);
}

void pending_rewatch(const struct conn_handle *handle)
{
    fdtable_clear_flags(handle->fd, FDTABLE_WATCH_IN | FDTABLE_WATCH_OUT);
    watch(handle);
}

void pending_watch(const struct conn_handle *handle)
{
    watch(handle);
    put_back(handle);
}

bool pending_take_deadline(void)
{
    int64_t due = atomic_load(&next_deadline);
    return due <= net_now_ms() && atomic_compare_exchange_strong(&next_deadline, &due, INT64_MAX);
}

void pending_not_before(int64_t soon_ms)
{
    if (atomic_load(&next_deadline) < soon_ms)
        atomic_store(&next_deadline, soon_ms);
}
