/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "suite.h"

#include "doors.h"
#include "doors_raw.h"
#include "doors_sets.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <time.h>
#include <unistd.h>

int __poll_chk(struct pollfd *entries, nfds_t count, int timeout, size_t room);
int __ppoll_chk(struct pollfd *entries, nfds_t count, const struct timespec *timeout, const sigset_t *mask,
                size_t room);

int __poll(struct pollfd *entries, nfds_t count, int timeout);
int __select(int count, fd_set *in, fd_set *out, fd_set *except, struct timeval *timeout);

static int bits(int n, short revents)
{
    return n > 0 ? revents : n;
}

static int by_poll(int fd, short events, int timeout_ms)
{
    struct pollfd entry = {.fd = fd, .events = events};
    int n = poll(&entry, 1, timeout_ms);
    return bits(n, entry.revents);
}

static int by_poll_chk(int fd, short events, int timeout_ms)
{
    struct pollfd entry = {.fd = fd, .events = events};
    int n = __poll_chk(&entry, 1, timeout_ms, sizeof entry);
    return bits(n, entry.revents);
}

static int by_ppoll(int fd, short events, int timeout_ms)
{
    struct pollfd entry = {.fd = fd, .events = events};
    struct timespec span = doors_span(timeout_ms);
    int n = ppoll(&entry, 1, timeout_ms < 0 ? NULL : &span, NULL);
    return bits(n, entry.revents);
}

static int by_ppoll_chk(int fd, short events, int timeout_ms)
{
    struct pollfd entry = {.fd = fd, .events = events};
    struct timespec span = doors_span(timeout_ms);
    int n = __ppoll_chk(&entry, 1, timeout_ms < 0 ? NULL : &span, NULL, sizeof entry);
    return bits(n, entry.revents);
}

static int by_select(int fd, short events, int timeout_ms)
{
    fd_set in, out;
    struct timeval span = {timeout_ms / 1000, (timeout_ms % 1000) * 1000};
    doors_fill_sets(fd, events, &in, &out);
    int n = select(fd + 1, &in, &out, NULL, timeout_ms < 0 ? NULL : &span);
    return doors_read_sets(n, fd, &in, &out);
}

static int by_pselect(int fd, short events, int timeout_ms)
{
    fd_set in, out;
    struct timespec span = doors_span(timeout_ms);
    sigset_t mask;
    sigemptyset(&mask);
    doors_fill_sets(fd, events, &in, &out);
    int n = pselect(fd + 1, &in, &out, NULL, timeout_ms < 0 ? NULL : &span, &mask);
    return doors_read_sets(n, fd, &in, &out);
}

enum epoll_form { EPOLL_WAIT, EPOLL_PWAIT, EPOLL_PWAIT2, EPOLL_NESTED };

static int add(int epoll, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

static int wait_on_epoll(int epoll, struct epoll_event *event, int timeout_ms, enum epoll_form form)
{
    struct timespec span = doors_span(timeout_ms);
    switch (form) {
    case EPOLL_PWAIT:
        return epoll_pwait(epoll, event, 1, timeout_ms, NULL);
    case EPOLL_PWAIT2:
        return epoll_pwait2(epoll, event, 1, timeout_ms < 0 ? NULL : &span, NULL);
    default:
        return epoll_wait(epoll, event, 1, timeout_ms);
    }
}

/* Level-triggered. poll's and epoll's bits have the same values. */
static int by_epoll(int fd, short events, int timeout_ms, enum epoll_form form)
{
    struct epoll_event event = {0};
    int inner = epoll_create1(EPOLL_CLOEXEC), outer = epoll_create1(EPOLL_CLOEXEC);
    int n = add(inner, fd, (uint32_t)events);
    if (n == 0 && form == EPOLL_NESTED) {
        n = add(outer, inner, EPOLLIN);
        n = n == 0 ? wait_on_epoll(outer, &event, timeout_ms, EPOLL_WAIT) : n;
        timeout_ms = 0;
        if (n > 0)
            n = wait_on_epoll(inner, &event, timeout_ms, EPOLL_WAIT);
    } else if (n == 0) {
        n = wait_on_epoll(inner, &event, timeout_ms, form);
    }
    close(inner);
    close(outer);
    return n > 0 ? (int)event.events : n;
}

static int by_epoll_wait(int fd, short events, int timeout_ms)
{
    return by_epoll(fd, events, timeout_ms, EPOLL_WAIT);
}

static int by_epoll_pwait(int fd, short events, int timeout_ms)
{
    return by_epoll(fd, events, timeout_ms, EPOLL_PWAIT);
}

static int by_epoll_pwait2(int fd, short events, int timeout_ms)
{
    return by_epoll(fd, events, timeout_ms, EPOLL_PWAIT2);
}

static int by_nested_epoll(int fd, short events, int timeout_ms)
{
    return by_epoll(fd, events, timeout_ms, EPOLL_NESTED);
}

static int by_poll_alias(int fd, short events, int timeout_ms)
{
    struct pollfd one = {.fd = fd, .events = events};
    int n = __poll(&one, 1, timeout_ms);
    return n > 0 ? one.revents : n;
}

static int by_select_alias(int fd, short events, int timeout_ms)
{
    fd_set in, out;
    struct timeval span = {timeout_ms / 1000, (timeout_ms % 1000) * 1000};
    doors_fill_sets(fd, events, &in, &out);
    int n = __select(fd + 1, &in, &out, NULL, timeout_ms < 0 ? NULL : &span);
    return doors_read_sets(n, fd, &in, &out);
}

const struct waiter_door waiter_doors[] = {
    {"poll", by_poll},
    {"__poll_chk", by_poll_chk},
    {"ppoll", by_ppoll},
    {"__ppoll_chk", by_ppoll_chk},
    {"select", by_select},
    {"pselect", by_pselect},
    {"epoll_wait", by_epoll_wait},
    {"epoll_pwait", by_epoll_pwait},
    {"epoll_pwait2", by_epoll_pwait2},
    {"epoll in epoll", by_nested_epoll},
    {"__poll", by_poll_alias},
    {"__select", by_select_alias},
    {"SYS_poll", raw_poll},
    {"SYS_ppoll", raw_ppoll},
    {"SYS_select", raw_select},
    {"SYS_pselect6", raw_pselect6},
    {"SYS_epoll_wait", raw_epoll_wait},
    {"SYS_epoll_pwait", raw_epoll_pwait},
    {"SYS_epoll_pwait2", raw_epoll_pwait2},
};
const size_t waiter_door_count = suite_count(waiter_doors);
