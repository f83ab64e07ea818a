/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Doors of waiting. */

#include "libc/door.h"

#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/wait.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

#include "conn/pending.h"
#include "io/wait.h"
#include "io/worker.h"
#include "sys/net.h"

int __poll(struct pollfd *fds, nfds_t count, int timeout);
int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t size);
int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask,
                size_t size);
int __select(int count, fd_set *read, fd_set *write, fd_set *except, struct timeval *timeout);
int __nanosleep(const struct timespec *time, struct timespec *left);
int __sigsuspend(const sigset_t *mask);
pid_t __waitpid(pid_t child, int *status, int options);
pid_t __wait(int *status);
void __chk_fail(void) __attribute__((noreturn));

static int64_t after_ms(int timeout)
{
    return timeout < 0 ? INT64_MAX : net_now_ms() + timeout;
}

/* poll(2)'s time-out as a span; NULL for none. */
static const struct timespec *span_ms(int timeout, struct timespec *span)
{
    *span = (struct timespec){timeout / 1000, timeout % 1000 * 1000000};
    return timeout < 0 ? NULL : span;
}

/* Rounds up: a wait must not end early. */
static int64_t after_timespec(const struct timespec *timeout)
{
    if (!timeout || timeout->tv_sec > INT32_MAX)
        return INT64_MAX;
    return net_now_ms() + (int64_t)timeout->tv_sec * 1000 + (timeout->tv_nsec + 999999) / 1000000;
}

static bool valid(const struct timespec *time)
{
    return !time || (time->tv_sec >= 0 && time->tv_nsec >= 0 && time->tv_nsec < 1000000000);
}

DOOR int poll(struct pollfd *fds, nfds_t count, int timeout)
{
    int saved = errno;
    struct timespec span;
    if (!wait_concerns_poll(fds, count))
        return real()->poll(fds, count, timeout);
    return (int)door_result(wait_poll(fds, count, span_ms(timeout, &span), NULL), saved);
}

DOOR_ALIAS("poll") int __poll(struct pollfd *fds, nfds_t count, int timeout);

DOOR int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t size)
{
    if (size / sizeof *fds < count)
        __chk_fail();
    return poll(fds, count, timeout);
}

DOOR int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
    int saved = errno;
    if (!valid(timeout) || !wait_concerns_poll(fds, count))
        return real()->ppoll(fds, count, timeout, mask);
    return (int)door_result(wait_poll(fds, count, timeout, mask), saved);
}

DOOR int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask,
                     size_t size)
{
    if (size / sizeof *fds < count)
        __chk_fail();
    return ppoll(fds, count, timeout, mask);
}

static struct timeval time_left(const struct timespec *span, const struct timespec *start,
                                const struct timespec *end)
{
    int64_t slept = (int64_t)(end->tv_sec - start->tv_sec) * 1000000 + (end->tv_nsec - start->tv_nsec) / 1000;
    int64_t left = (span->tv_sec > INT32_MAX ? INT32_MAX : (int64_t)span->tv_sec) * 1000000 +
                   span->tv_nsec / 1000 - slept;
    return left > 0 ? (struct timeval){left / 1000000, left % 1000000} : (struct timeval){0};
}

DOOR int select(int count, fd_set *restrict read, fd_set *restrict write, fd_set *restrict except,
                struct timeval *restrict timeout)
{
    int saved = errno;
    if ((timeout && (timeout->tv_sec < 0 || timeout->tv_usec < 0)) ||
        !wait_concerns_select(wait_select_bound(count), read, write, except))
        return real()->select(count, read, write, except, timeout);
    struct timespec span, start, end;
    if (timeout)
        span = (struct timespec){timeout->tv_sec + timeout->tv_usec / 1000000,
                                 timeout->tv_usec % 1000000 * 1000};
    clock_gettime(CLOCK_MONOTONIC, &start);
    int result = wait_select(count, read, write, except, timeout ? &span : NULL, NULL);
    clock_gettime(CLOCK_MONOTONIC, &end);
    if (timeout) /* select(2): Linux leaves the time that was not slept */
        *timeout = time_left(&span, &start, &end);
    return (int)door_result(result, saved);
}

DOOR_ALIAS("select")
int __select(int count, fd_set *read, fd_set *write, fd_set *except, struct timeval *timeout);

DOOR int pselect(int count, fd_set *restrict read, fd_set *restrict write, fd_set *restrict except,
                 const struct timespec *restrict timeout, const sigset_t *restrict mask)
{
    int saved = errno;
    if (!valid(timeout) || !wait_concerns_select(wait_select_bound(count), read, write, except))
        return real()->pselect(count, read, write, except, timeout, mask);
    return (int)door_result(wait_select(count, read, write, except, timeout, mask), saved);
}

/* The pointer is looked at when the kernel has found it good. */
DOOR int epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    int result = real()->epoll_ctl(epoll, operation, fd, event);
    if (result == 0 && operation != EPOLL_CTL_DEL && (event->events & (EPOLLET | EPOLLONESHOT)))
        atomic_store_explicit(&wait_edges, true, memory_order_relaxed);
    return result;
}

DOOR int epoll_wait(int epoll, struct epoll_event *events, int max, int timeout)
{
    int saved = errno;
    if (!pending_any())
        return real()->epoll_wait(epoll, events, max, timeout);
    return (int)door_result(wait_epoll(epoll, events, max, after_ms(timeout), NULL), saved);
}

DOOR int epoll_pwait(int epoll, struct epoll_event *events, int max, int timeout, const sigset_t *mask)
{
    int saved = errno;
    if (!pending_any())
        return real()->epoll_pwait(epoll, events, max, timeout, mask);
    return (int)door_result(wait_epoll(epoll, events, max, after_ms(timeout), mask), saved);
}

DOOR int epoll_pwait2(int epoll, struct epoll_event *events, int max, const struct timespec *timeout,
                      const sigset_t *mask)
{
    int saved = errno;
    if (!valid(timeout) || !pending_any())
        return real()->epoll_pwait2(epoll, events, max, timeout, mask);
    return (int)door_result(wait_epoll(epoll, events, max, after_timespec(timeout), mask), saved);
}

/* Sleeps while something is outstanding; gives what was left, in milliseconds, when a signal came. */
static int64_t sleep_driving(int64_t until)
{
    return wait_sleep(until) == 0 ? 0 : until - net_now_ms();
}

DOOR unsigned sleep(unsigned seconds)
{
    int saved = errno;
    if (!pending_any())
        return real()->sleep(seconds);
    int64_t left = sleep_driving(net_now_ms() + (int64_t)seconds * 1000);
    errno = saved;
    return left > 0 ? (unsigned)((left + 999) / 1000) : 0;
}

DOOR int usleep(useconds_t time)
{
    int saved = errno;
    if (!pending_any())
        return real()->usleep(time);
    return (int)door_result(sleep_driving(net_now_ms() + (time + 999) / 1000) > 0 ? -EINTR : 0, saved);
}

DOOR int nanosleep(const struct timespec *time, struct timespec *left)
{
    int saved = errno;
    if (!time || !valid(time) || !pending_any())
        return real()->nanosleep(time, left);
    int64_t rest = sleep_driving(after_timespec(time));
    if (rest > 0 && left)
        *left = (struct timespec){rest / 1000, rest % 1000 * 1000000};
    return (int)door_result(rest > 0 ? -EINTR : 0, saved);
}

DOOR_ALIAS("nanosleep") int __nanosleep(const struct timespec *time, struct timespec *left);

/* Absolute times, which Python's sleep uses, are turned into a span. */
static bool span_of(clockid_t clock, int flags, const struct timespec *time, struct timespec *span)
{
    struct timespec now;
    *span = *time;
    if (!(flags & TIMER_ABSTIME))
        return true;
    if (clock_gettime(clock, &now) < 0)
        return false;
    span->tv_sec -= now.tv_sec;
    span->tv_nsec -= now.tv_nsec;
    if (span->tv_nsec < 0) {
        span->tv_sec--;
        span->tv_nsec += 1000000000;
    }
    return span->tv_sec >= 0;
}

DOOR int clock_nanosleep(clockid_t clock, int flags, const struct timespec *time, struct timespec *left)
{
    struct timespec span;
    if (!time || !valid(time) || !pending_any() || (clock != CLOCK_MONOTONIC && clock != CLOCK_REALTIME) ||
        !span_of(clock, flags, time, &span))
        return real()->clock_nanosleep(clock, flags, time, left);
    int saved = errno, result = nanosleep(&span, flags & TIMER_ABSTIME ? NULL : left) < 0 ? errno : 0;
    errno = saved;
    return result; /* it returns the error */
}

/* C11, 7.26.5.7: -1 when a signal came. */
DOOR int thrd_sleep(const struct timespec *time, struct timespec *left)
{
    if (!time || !valid(time) || !pending_any())
        return real()->thrd_sleep(time, left);
    int saved = errno, result = nanosleep(time, left);
    errno = saved;
    return result;
}

DOOR int pause(void)
{
    if (!pending_any())
        return real()->pause();
    while (wait_sleep(INT64_MAX) == 0)
        ;
    return (int)door_result(-EINTR, 0);
}

DOOR int sigsuspend(const sigset_t *mask)
{
    if (!pending_any())
        return real()->sigsuspend(mask);
    while (wait_poll(NULL, 0, NULL, mask) >= 0)
        ;
    return (int)door_result(-EINTR, 0);
}

DOOR int __sigsuspend(const sigset_t *mask)
{
    return sigsuspend(mask);
}

/* Waits for what the library knows nothing of: a child, a signal. Nobody makes progress meanwhile but the
 * worker. */
static void before_other_wait(void)
{
    if (pending_any())
        worker_carry();
}

DOOR pid_t wait4(pid_t child, int *status, int options, struct rusage *usage)
{
    before_other_wait();
    return real()->wait4(child, status, options, usage);
}

DOOR pid_t waitpid(pid_t child, int *status, int options)
{
    return wait4(child, status, options, NULL);
}

DOOR_ALIAS("waitpid") pid_t __waitpid(pid_t child, int *status, int options);

DOOR pid_t wait(int *status)
{
    return wait4(-1, status, 0, NULL);
}

DOOR_ALIAS("wait") pid_t __wait(int *status);

DOOR pid_t wait3(int *status, int options, struct rusage *usage)
{
    return wait4(-1, status, options, usage);
}

DOOR int waitid(idtype_t type, id_t id, siginfo_t *info, int options)
{
    before_other_wait();
    return real()->waitid(type, id, info, options);
}

DOOR int sigtimedwait(const sigset_t *restrict set, siginfo_t *restrict info,
                      const struct timespec *restrict timeout)
{
    before_other_wait();
    return real()->sigtimedwait(set, info, timeout);
}

DOOR int sigwaitinfo(const sigset_t *restrict set, siginfo_t *restrict info)
{
    before_other_wait();
    return real()->sigwaitinfo(set, info);
}

DOOR int sigwait(const sigset_t *restrict set, int *restrict signal)
{
    before_other_wait();
    return real()->sigwait(set, signal);
}
