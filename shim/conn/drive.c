/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "conn/drive.h"

#include <stdatomic.h>
#include <string.h>

#include "conn/blocking.h"
#include "conn/closing.h"
#include "conn/handshake.h"
#include "conn/outbox.h"
#include "conn/own.h"
#include "sys/net.h"
#include "sys/real.h"

enum {
    EVENTS = 64,
    POLL_ON_STACK = 128,
    SPIN_LIMIT = 3, /* rounds without progress before a short sleep: another thread is at it */
};

_Atomic uint32_t drive_count;

static _Atomic uint32_t unwatched; /* outstanding, but not in the epoll yet, about */
static _Atomic int64_t next_deadline = INT64_MAX;

static void lower_deadline(int64_t deadline)
{
    int64_t seen = atomic_load(&next_deadline);
    while (deadline < seen && !atomic_compare_exchange_weak(&next_deadline, &seen, deadline)) {
    }
}

static uint8_t wanted(const struct conn *conn)
{
    if (conn->connecting)
        return REGISTRY_WATCH_OUT;
    uint8_t watch = conn->established ? 0 : REGISTRY_WATCH_IN;
    if (conn->to_send > 0 && (conn->can_send || conn->cipher_left > 0 || conn->plaintext))
        watch |= REGISTRY_WATCH_OUT;
    /* Nothing to wait for but the kernel's sending: an orphan hears what comes, for it must not stand in the
     * kernel's queue. */
    return watch ? watch : REGISTRY_WATCH_IN;
}

static void watch(int epoll, const struct sealed *sealed)
{
    uint8_t now = registry_marks(sealed->fd) & (REGISTRY_WATCH_IN | REGISTRY_WATCH_OUT),
            want = wanted(sealed->conn);
    if (now == want)
        return;
    struct epoll_event event = {
        .events = (want & REGISTRY_WATCH_IN ? EPOLLIN : 0u) | (want & REGISTRY_WATCH_OUT ? EPOLLOUT : 0u),
        .data.fd = sealed->fd,
    };
    if (net_epoll_ctl(epoll, now ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, sealed->fd, &event) == -EEXIST)
        net_epoll_ctl(epoll, EPOLL_CTL_MOD, sealed->fd, &event);
    registry_unmark(sealed->fd, (uint8_t)~want & (REGISTRY_WATCH_IN | REGISTRY_WATCH_OUT));
    registry_mark(sealed->fd, want);
}

void drive_add(int fd)
{
    struct sealed sealed = registry_find(fd);
    if (!sealed.conn || (registry_mark(fd, REGISTRY_OUTSTANDING) & REGISTRY_OUTSTANDING))
        return;
    atomic_fetch_add(&drive_count, 1);
    lower_deadline(sealed.conn->deadline_ms);
    int epoll = own_get(OWN_EPOLL);
    if (epoll >= 0)
        watch(epoll, &sealed); /* another thread may be waiting on it already */
    else
        atomic_fetch_add(&unwatched, 1);
}

void drive_drop(int fd)
{
    if (!(registry_marks(fd) & REGISTRY_OUTSTANDING))
        return;
    uint8_t before = registry_unmark(fd, REGISTRY_OUTSTANDING | REGISTRY_WATCH_IN | REGISTRY_WATCH_OUT);
    if (before & REGISTRY_OUTSTANDING)
        atomic_fetch_sub(&drive_count, 1);
    int epoll = own_get(OWN_EPOLL);
    if ((before & (REGISTRY_WATCH_IN | REGISTRY_WATCH_OUT)) && epoll >= 0)
        net_epoll_ctl(epoll, EPOLL_CTL_DEL, fd,
                      NULL); /* another process may hold the same socket: it would stay */
}

/* Whether nothing is left to be done for a connection of the program's. */
static bool settled(const struct conn *conn)
{
    return conn_failed(conn) || (conn->established && conn->to_send == 0 && !conn->fin_due);
}

void drive_settle(const struct sealed *sealed)
{
    if ((registry_marks(sealed->fd) & REGISTRY_ORPHAN) || !settled(sealed->conn))
        return;
    drive_drop(sealed->fd);
    if (!settled(sealed->conn)) /* a writer came between, and found it marked still */
        drive_add(sealed->fd);
}

void drive_review(const struct sealed *sealed)
{
    if (!(registry_marks(sealed->fd) & REGISTRY_OUTSTANDING))
        return;
    if (sealed->conn->fin_due)
        closing_finish_step(sealed);
    drive_settle(sealed);
    int epoll = own_get(OWN_EPOLL);
    if (epoll >= 0 && (registry_marks(sealed->fd) & REGISTRY_OUTSTANDING))
        watch(epoll, sealed);
}

/* Calls drive_step() or watch() for each outstanding descriptor. */
static void each_outstanding(void (*visit)(const struct sealed *sealed))
{
    for (int fd = 0; fd < registry_bound(); fd++) {
        if (!(registry_marks(fd) & REGISTRY_OUTSTANDING))
            continue;
        struct sealed sealed = registry_find(fd);
        if (sealed.conn && conn_pin(sealed.conn, sealed.generation)) {
            visit(&sealed);
            conn_unpin(sealed.conn);
        } else if (!sealed.conn) {
            drive_drop(fd);
        }
    }
}

static void enroll(const struct sealed *sealed)
{
    watch(own_get(OWN_EPOLL), sealed);
}

int drive_descriptor(void)
{
    if (!drive_outstanding())
        return -1;
    int epoll = own_get(OWN_EPOLL);
    if (epoll < 0) {
        int made = net_epoll_create();
        epoll = made < 0 ? -1 : own_keep(OWN_EPOLL, made);
        if (epoll < 0)
            return -1;
    }
    if (atomic_exchange(&unwatched, 0) > 0)
        each_outstanding(enroll);
    return epoll;
}

int64_t drive_deadline(void)
{
    return drive_outstanding() ? atomic_load(&next_deadline) : INT64_MAX;
}

void drive_step(const struct sealed *sealed)
{
    struct conn *conn = sealed->conn;
    bool parked;
    if (role_mine(&conn->tx, &parked)) /* this thread is sending on it, and drives meanwhile */
        return;
    handshake_expire(sealed);
    if (handshake_progress(sealed) < 0 &&
        conn->connecting) { /* TCP could not connect: that is the program's to see */
        drive_drop(sealed->fd);
        return;
    }
    if (conn->to_send > 0 && !conn->connecting)
        outbox_flush(sealed);
    if (conn->fin_due)
        closing_finish_step(sealed);
    bool over = settled(conn);
    if (registry_marks(sealed->fd) & REGISTRY_ORPHAN) {
        if (closing_orphan_step(sealed, over))
            return;
        lower_deadline(over && conn->look_ms ? conn->look_ms : conn->deadline_ms);
    }
    drive_settle(sealed);
    if (!(registry_marks(sealed->fd) & REGISTRY_OUTSTANDING))
        return;
    if (!conn->established && !conn->connecting)
        lower_deadline(conn->deadline_ms);
    int epoll = own_get(OWN_EPOLL);
    if (epoll >= 0)
        watch(epoll, sealed);
}

static void progress_deadlines(void)
{
    int64_t due = atomic_load(&next_deadline);
    if (due > net_now_ms() || !atomic_compare_exchange_strong(&next_deadline, &due, INT64_MAX))
        return;
    each_outstanding(drive_step);
    /* What is due and could not be ended now (its role is taken, or TCP itself is not connected) is looked at
     * again soon. */
    int64_t soon = net_now_ms() + 20;
    if (atomic_load(&next_deadline) < soon)
        atomic_store(&next_deadline, soon);
}

bool drive_progress(void)
{
    struct epoll_event events[EVENTS];
    int epoll = drive_descriptor();
    int count = epoll < 0 ? 0 : net_epoll_collect(epoll, events, EVENTS);
    for (int i = 0; i < count; i++) {
        struct sealed sealed = registry_find(events[i].data.fd);
        if (sealed.conn && (registry_marks(sealed.fd) & REGISTRY_OUTSTANDING)) {
            if (conn_pin(sealed.conn, sealed.generation)) {
                drive_step(&sealed);
                conn_unpin(sealed.conn);
            }
        } else
            net_epoll_ctl(epoll, EPOLL_CTL_DEL, events[i].data.fd, NULL);
    }
    progress_deadlines();
    return count > 0;
}

static struct timespec until(int64_t end_ms)
{
    int64_t left = end_ms - net_now_ms();
    if (left < 0)
        left = 0;
    return (struct timespec){.tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000};
}

static int plain_poll(struct pollfd *fds, nfds_t count, int64_t until_ms, const sigset_t *mask)
{
    struct timespec left = until(until_ms);
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
    if (*progress || drive_deadline() <= net_now_ms()) {
        drive_progress();
        /* What looked ready may have been a handshake message, which is gone now. */
        return plain_poll(both, count, 0, NULL);
    }
    return ready;
}

static int poll_beside(struct pollfd *both, nfds_t count, int64_t until_ms, const sigset_t *mask)
{
    for (int idle = 0;;) {
        bool progress = false;
        both[count] = (struct pollfd){.fd = drive_descriptor(), .events = POLLIN};
        if (both[count].fd < 0)
            return plain_poll(both, count, until_ms, mask);
        int64_t deadline = drive_deadline();
        int ready = poll_round(both, count, deadline < until_ms ? deadline : until_ms, mask, &progress);
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

int drive_poll(struct pollfd *fds, nfds_t count, int64_t until_ms, const sigset_t *mask)
{
    struct pollfd small[POLL_ON_STACK + 1], *both = small;
    size_t size = (count + 1) * sizeof *both;
    if (count > POLL_ON_STACK) {
        both = net_mmap(size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
        if (both == MAP_FAILED)
            return -ENOMEM;
    }
    if (count)
        memcpy(both, fds, count * sizeof *fds);
    drive_progress();
    int ready = poll_beside(both, count, until_ms, mask);
    for (nfds_t i = 0; i < count; i++)
        fds[i].revents = ready > 0 ? both[i].revents : 0;
    if (both != small)
        net_munmap(both, size);
    return ready;
}

int drive_wait(int fd, short events, int64_t until_ms)
{
    struct pollfd one = {.fd = fd, .events = events};
    int ready = drive_poll(&one, fd < 0 ? 0 : 1, until_ms, NULL);
    return ready < 0 ? (ready == -EINTR ? -EINTR : 1) : ready;
}

int drive_wait_for(int fd, short events, int64_t until_ms)
{
    struct pollfd one = {.fd = fd, .events = events};
    if (atomic_load(&drive_count) != 1 || !(registry_marks(fd) & REGISTRY_OUTSTANDING))
        return drive_wait(fd, events, until_ms);
    int ready = plain_poll(&one, 1, until_ms, NULL); /* nothing else is outstanding */
    return ready < 0 ? (ready == -EINTR ? -EINTR : 1) : ready;
}

void drive_after_fork(void)
{
    own_drop(OWN_EPOLL);
    for (int fd = 0; fd < registry_bound(); fd++)
        registry_unmark(fd, REGISTRY_WATCH_IN | REGISTRY_WATCH_OUT);
    atomic_store(&unwatched, atomic_load(&drive_count));
}
