/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "conn/waiting.h"

#include <string.h>

#include "conn/blocking.h"
#include "conn/drive.h"
#include "conn/receive.h"
#include "sys/net.h"
#include "sys/real.h"

enum { SELECT_ON_STACK = 64 };

/* What select(2)'s three sets mean to the kernel's poll. */
static const short READ_BITS = POLLIN | POLLRDNORM | POLLRDBAND | POLLHUP | POLLERR;
static const short WRITE_BITS = POLLOUT | POLLWRNORM | POLLWRBAND | POLLERR;
static const short EXCEPT_BITS = POLLPRI;

bool waiting_concerns_poll(struct pollfd *fds, nfds_t count)
{
    if (drive_outstanding())
        return true;
    if (!atomic_load_explicit(&registry_size, memory_order_relaxed))
        return false;
    for (nfds_t i = 0; i < count; i++) {
        if (registry_has(fds[i].fd))
            return true;
    }
    return false;
}

/* glibc's FD_ISSET checks against FD_SETSIZE when fortified; sets may be larger. */
static bool in_set(const fd_set *set, int fd)
{
    return set && (set->fds_bits[fd / NFDBITS] & (1L << (fd % NFDBITS)));
}

bool waiting_concerns_select(int count, const fd_set *read, const fd_set *write, const fd_set *except)
{
    if (drive_outstanding())
        return true;
    if (!atomic_load_explicit(&registry_size, memory_order_relaxed))
        return false;
    for (int fd = 0; fd < count; fd++) {
        if ((in_set(read, fd) || in_set(write, fd) || in_set(except, fd)) && registry_has(fd))
            return true;
    }
    return false;
}

/* What of the kernel's word does not hold. For non-blocking descriptors too: ncat takes an EAGAIN after
 * select for the end of the stream. */
static short doubt(struct pollfd *polled)
{
    const short in = POLLIN | POLLRDNORM, out = POLLOUT | POLLWRNORM;
    if (!(polled->revents & (in | out)))
        return 0;
    struct sealed sealed = registry_find(polled->fd);
    if (!sealed.conn || conn_failed(sealed.conn))
        return 0;
    short wrong = 0;
    if ((polled->revents & in) && !receive_ready(&sealed))
        wrong |= in;
    if ((polled->revents & out) && !sealed.conn->can_send && sealed.conn->to_send >= CONN_QUEUE_MAX)
        wrong |= out;
    if (sealed.conn
            ->ended) /* the look has found close_notify: the peer's end, whether or not its FIN is here */
        polled->revents |= polled->events & POLLRDHUP;
    return wrong;
}

/* Looks behind what the kernel calls ready; gives how many descriptors still are. */
static int look_behind(struct pollfd *fds, nfds_t count)
{
    int ready = 0;
    for (nfds_t i = 0; i < count; i++) {
        fds[i].revents &= (short)~doubt(&fds[i]);
        ready += fds[i].revents != 0;
    }
    return ready;
}

int waiting_poll(struct pollfd *fds, nfds_t count, int64_t until_ms, const sigset_t *mask)
{
    for (;;) {
        int ready = drive_poll(fds, count, until_ms, mask);
        if (ready <= 0)
            return ready;
        ready = look_behind(fds, count);
        if (ready > 0 || net_now_ms() >= until_ms)
            return ready;
        /* A full queue leaves the descriptor writable for the kernel: do not spin on it. */
        if (drive_outstanding())
            drive_wait(-1, 0, net_now_ms() + 1);
    }
}

static short interest(int fd, const fd_set *read, const fd_set *write, const fd_set *except)
{
    return (short)((in_set(read, fd) ? READ_BITS & ~(POLLHUP | POLLERR) : 0) |
                   (in_set(write, fd) ? WRITE_BITS & ~POLLERR : 0) | (in_set(except, fd) ? EXCEPT_BITS : 0));
}

static int assign(fd_set *set, int fd, bool was, bool is)
{
    long bit = 1L << (fd % NFDBITS);
    if (!was)
        return 0;
    if (is)
        set->fds_bits[fd / NFDBITS] |= bit;
    else
        set->fds_bits[fd / NFDBITS] &= ~bit;
    return is;
}

static int select_through(struct pollfd *fds, nfds_t used, fd_set *sets[static 3], int64_t until_ms,
                          const sigset_t *mask)
{
    int ready = waiting_poll(fds, used, until_ms, mask), bits = 0;
    if (ready < 0)
        return ready;
    for (nfds_t i = 0; i < used; i++) {
        if (fds[i].revents & POLLNVAL)
            return -EBADF;
    }
    for (nfds_t i = 0; i < used; i++) {
        int fd = fds[i].fd;
        bits += assign(sets[0], fd, in_set(sets[0], fd), fds[i].revents & READ_BITS);
        bits += assign(sets[1], fd, in_set(sets[1], fd), fds[i].revents & WRITE_BITS);
        bits += assign(sets[2], fd, in_set(sets[2], fd), fds[i].revents & EXCEPT_BITS);
    }
    return bits;
}

int waiting_select(int count, fd_set *read, fd_set *write, fd_set *except, int64_t until_ms,
                   const sigset_t *mask)
{
    struct pollfd small[SELECT_ON_STACK], *fds = small;
    size_t size = (size_t)count * sizeof *fds;
    if (count < 0)
        return -EINVAL;
    if (count > SELECT_ON_STACK) {
        fds = net_mmap(size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
        if (fds == MAP_FAILED)
            return -ENOMEM;
    }
    nfds_t used = 0;
    for (int fd = 0; fd < count; fd++) {
        short events = interest(fd, read, write, except);
        if (events)
            fds[used++] = (struct pollfd){.fd = fd, .events = events};
    }
    fd_set *sets[3] = {read, write, except};
    int bits = select_through(fds, used, sets, until_ms, mask);
    if (fds != small)
        sys_call3(SYS_munmap, sys_ptr(fds), (long)size, 0);
    return bits;
}

int waiting_epoll(int epoll, struct epoll_event *events, int max, int64_t until_ms, const sigset_t *mask)
{
    for (;;) {
        struct pollfd one = {.fd = epoll, .events = POLLIN};
        int ready = drive_poll(&one, 1, until_ms, mask);
        if (ready < 0)
            return ready;
        int got = real()->epoll_wait(epoll, events, max, 0);
        if (got != 0)
            return got < 0 ? -errno : got;
        if (net_now_ms() >= until_ms)
            return 0;
    }
}

int waiting_sleep(int64_t until_ms)
{
    while (net_now_ms() < until_ms) {
        if (drive_wait(-1, 0, until_ms) == -EINTR)
            return -EINTR;
    }
    return 0;
}

int waiting_before_read(int fd, int flags)
{
    if (!blocking_allowed(fd, flags))
        return 0;
    int64_t limit = blocking_limit(fd, SO_RCVTIMEO);
    for (;;) {
        int ready = drive_wait(fd, POLLIN, limit);
        if (ready >= 0)
            return ready == 0 ? -EAGAIN : 0;
        if (!blocking_restarts())
            return -EINTR;
    }
}
