/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "io/progress.h"

#include <stdatomic.h>
#include <string.h>

#include "conn/pending.h"
#include "diag/limit.h"
#include "io/ending.h"
#include "io/orphan.h"
#include "io/partial.h"
#include "record/handshake.h"
#include "record/handshake_timeout.h"
#include "record/tx_flush.h"
#include "sys/net.h"
#include "sys/real.h"
#include "sys/signals.h"

enum {
    EVENTS = 64,
    RECHECK_MS = 20,
    POLL_ON_STACK = 128,
    /* Another thread may finish the handshake that this one waits for, so this one checks it so often. */
    SLICE_MS = 10,
    /* After so many rounds without progress a thread sleeps a moment: another one is making the progress. */
    SPIN_LIMIT = 3,
};

void progress_review(const struct conn_handle *handle)
{
    if (!(fdtable_flags(handle->fd) & FDTABLE_PENDING))
        return;
    if (handle->conn->status.close_pending)
        ending_step(handle);
    pending_settle(handle);
    pending_watch(handle);
}

void progress_step(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    bool blocked;
    if (lock_is_held(&conn->tx_lock,
                     &blocked)) /* this thread is sending on it, and makes progress as it waits */
        return;
    handshake_timeout_apply(handle);
    /* If TCP could not connect, the program's next call is to find that out. */
    if (handshake_progress(handle) < 0 && conn_is_connecting(conn)) {
        pending_drop(handle);
        return;
    }
    if (conn->tx.to_send > 0 && !conn_is_connecting(conn))
        tx_flush(handle);
    partial_step(handle);
    if (conn->status.close_pending)
        ending_step(handle);
    bool over = pending_is_settled(conn);
    if (fdtable_flags(handle->fd) & FDTABLE_ORPHAN) {
        if (orphan_step(handle, over))
            return;
        pending_lower_deadline(over && conn->status.recheck_ms ? conn->status.recheck_ms
                                                               : conn->status.deadline_ms);
    }
    pending_settle(handle);
    if (!(fdtable_flags(handle->fd) & FDTABLE_PENDING))
        return;
    if (conn_is_connecting(conn)) /* at its deadline the ClientHello goes out (handshake_hold()) */
        pending_lower_deadline(conn->status.deadline_ms);
    else if (!conn_is_established(conn))
        pending_lower_deadline(conn->status.read_shut ? net_now_ms() + RECHECK_MS : conn->status.deadline_ms);
    pending_watch(handle);
}

static void progress_deadlines(void)
{
    if (!pending_take_deadline())
        return;
    pending_each(progress_step);
    /* Some may be past their deadline and could not be ended now: a lock is taken, or TCP is not connected.
     * They are checked again soon. */
    pending_not_before(net_now_ms() + RECHECK_MS);
}

bool progress_run(void)
{
    struct epoll_event events[EVENTS];
    int epoll = pending_epoll();
    int count = epoll < 0 ? 0 : net_epoll_collect(epoll, events, EVENTS);
    for (int i = 0; i < count; i++) {
        struct conn_handle handle = fdtable_find(events[i].data.fd);
        if (handle.conn && (fdtable_flags(handle.fd) & FDTABLE_PENDING)) {
            if (conn_pin(handle.conn, handle.generation)) {
                progress_step(&handle);
                conn_unpin(handle.conn);
            }
        } else {
            net_epoll_ctl(epoll, EPOLL_CTL_DEL, events[i].data.fd, NULL);
        }
    }
    progress_deadlines();
    return count > 0;
}

static int plain_poll(struct pollfd *fds, nfds_t count, int64_t until_ms, const sigset_t *mask)
{
    struct timespec left = net_span_until(until_ms);
    int ready = real()->ppoll(fds, count, until_ms == INT64_MAX ? NULL : &left, mask);
    return ready < 0 ? -errno : ready;
}

/* Polls the program's descriptors and the private epoll until something happens. -errno, or how many of the
 * program's are ready after progress was made; *progress: the private epoll was ready. */
static int poll_round(struct pollfd *both, nfds_t count, int64_t until_ms, const sigset_t *mask,
                      bool *progress)
{
    int ready = plain_poll(both, count + 1, until_ms, mask);
    if (ready < 0)
        return ready;
    *progress = both[count].revents != 0;
    if (*progress || pending_deadline() <= net_now_ms()) {
        progress_run();
        /* A descriptor may have been ready for a handshake message, which is taken now. */
        return plain_poll(both, count, 0, NULL);
    }
    return ready;
}

/* The same while another thread polls the private epoll. */
static int poll_alone(struct pollfd *fds, nfds_t count, int64_t until_ms, const sigset_t *mask)
{
    const int64_t ask = net_now_ms() + PENDING_ASK_MS;
    return plain_poll(fds, count, ask < until_ms ? ask : until_ms, mask);
}

static int poll_with_epoll(struct pollfd *both, nfds_t count, int64_t until_ms, const sigset_t *mask,
                           bool *progress)
{
    const int64_t deadline = pending_deadline();
    const bool watches = pending_begin_watch();
    if (!watches)
        return poll_alone(both, count, until_ms, mask);
    int ready = poll_round(both, count, deadline < until_ms ? deadline : until_ms, mask, progress);
    pending_end_watch();
    return ready;
}

static int poll_beside(struct pollfd *both, nfds_t count, int64_t until_ms, const sigset_t *mask)
{
    for (int idle = 0;;) {
        bool progress = false;
        both[count] = (struct pollfd){.fd = pending_epoll(), .events = POLLIN};
        if (both[count].fd < 0)
            return plain_poll(both, count, until_ms, mask);
        int ready = poll_with_epoll(both, count, until_ms, mask, &progress);
        if (ready != 0)
            return ready;
        if (net_now_ms() >= until_ms)
            return 0;
        idle = progress ? idle + 1 : 0;
        /* With the mask: a poll that finds something ready delivers no signal. */
        if (idle > SPIN_LIMIT && plain_poll(NULL, 0, net_now_ms() + 1, mask) == -EINTR)
            return -EINTR;
    }
}

int progress_no_memory(void)
{
    limit_line(LOG_ERROR,
               "no memory for a wait for many descriptors: the kernel refuses it; check the limit on this "
               "process's address space (RLIMIT_AS, ulimit -v)");
    return -ENOMEM;
}

int progress_poll(struct pollfd *fds, nfds_t count, int64_t until_ms, const sigset_t *mask)
{
    struct pollfd small[POLL_ON_STACK + 1], *both = small;
    size_t size = (count + 1) * sizeof *both;
    if (count > POLL_ON_STACK) {
        both = net_mmap(size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
        if (both == MAP_FAILED)
            return progress_no_memory();
    }
    if (count)
        memcpy(both, fds, count * sizeof *fds);
    if (!pending_is_carried())
        progress_run();
    int ready = poll_beside(both, count, until_ms, mask);
    for (nfds_t i = 0; i < count; i++)
        fds[i].revents = ready > 0 ? both[i].revents : 0;
    if (both != small)
        net_munmap(both, size);
    return ready;
}

int progress_wait(int fd, short events, int64_t until_ms, const sigset_t *mask)
{
    struct pollfd one = {.fd = fd, .events = events};
    int ready = progress_poll(&one, fd < 0 ? 0 : 1, until_ms, mask);
    return ready < 0 ? (ready == -EINTR ? -EINTR : 1) : ready;
}

int progress_wait_for(int fd, short events, int64_t until_ms, const sigset_t *mask)
{
    struct pollfd one = {.fd = fd, .events = events};
    if (atomic_load(&pending_count) != 1 || !(fdtable_flags(fd) & FDTABLE_PENDING))
        return progress_wait(fd, events, until_ms, mask);
    int ready = plain_poll(&one, 1, until_ms, mask); /* nothing else is pending */
    return ready < 0 ? (ready == -EINTR ? -EINTR : 1) : ready;
}

int progress_handshake(const struct conn_handle *handle, bool sending, int64_t until_ms)
{
    struct conn *conn = handle->conn;
    SIGNALS_HELD_IN_SCOPE(held);
    signals_hold(&held);
    for (;;) {
        handshake_timeout_apply(handle);
        if (conn_failed(conn))
            return -conn->status.error;
        if (conn_is_established(conn) || (sending && conn->tx.can_send))
            return 1;
        int64_t now = net_now_ms(), slice = now + SLICE_MS;
        if (now >= until_ms)
            return 0;
        short events = conn->tx.cipher_left ? POLLIN | POLLOUT : POLLIN;
        if (conn_is_connecting(conn))
            events = POLLOUT;
        const int64_t end = slice < until_ms ? slice : until_ms;
        /* A socket whose reading side is shut is readable for ever. */
        const sigset_t *mask = signals_mask(&held, NULL);
        int ready = conn->status.read_shut ? progress_wait(-1, 0, end, mask)
                                           : progress_wait_for(handle->fd, events, end, mask);
        if (ready == -EINTR)
            return -EINTR;
        int result = handshake_progress(handle);
        if (result < 0 && result != -EBUSY)
            return result;
    }
}
