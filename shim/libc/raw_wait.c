/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* syscall(2): the calls that wait. */

#include "libc/door.h"

#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "conn/pending.h"
#include "io/wait.h"
#include "io/worker.h"
#include "libc/raw_wait.h"
#include "sys/net.h"

long raw_wait_epoll_ctl(const long a[static RAW_ARGUMENTS])
{
    return epoll_ctl((int)a[0], (int)a[1], (int)a[2], raw_pointer(a[3]));
}

#ifdef SYS_poll
long raw_wait_poll(const long a[static RAW_ARGUMENTS])
{
    return poll(raw_pointer(a[0]), (nfds_t)a[1], (int)a[2]);
}

long raw_wait_select(const long a[static RAW_ARGUMENTS])
{
    return select((int)a[0], raw_pointer(a[1]), raw_pointer(a[2]), raw_pointer(a[3]), raw_pointer(a[4]));
}

long raw_wait_epoll_wait(const long a[static RAW_ARGUMENTS])
{
    return epoll_wait((int)a[0], raw_pointer(a[1]), (int)a[2], (int)a[3]);
}

long raw_wait_pause(const long a[static RAW_ARGUMENTS])
{
    (void)a;
    return pause();
}
#endif

long raw_wait_epoll_pwait(const long a[static RAW_ARGUMENTS])
{
    return epoll_pwait((int)a[0], raw_pointer(a[1]), (int)a[2], (int)a[3], raw_pointer(a[4]));
}

long raw_wait_epoll_pwait2(const long a[static RAW_ARGUMENTS])
{
    return epoll_pwait2((int)a[0], raw_pointer(a[1]), (int)a[2], raw_pointer(a[3]), raw_pointer(a[4]));
}

long raw_wait_nanosleep(const long a[static RAW_ARGUMENTS])
{
    return nanosleep(raw_pointer(a[0]), raw_pointer(a[1]));
}

long raw_wait_rt_sigsuspend(const long a[static RAW_ARGUMENTS])
{
    return sigsuspend(raw_pointer(a[0]));
}

long raw_wait_clock_nanosleep(const long a[static RAW_ARGUMENTS])
{
    /* clock_nanosleep(3) returns its error. */
    const int error = clock_nanosleep((clockid_t)a[0], (int)a[1], raw_pointer(a[2]), raw_pointer(a[3]));
    return door_result(-error, errno);
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* A wait's time-out, as the kernel treats it: it writes the time that is left back, where libc's functions do
 * not, and it does not mind when it cannot. */
struct left {
    struct timespec *timeout, before; /* the program's, or NULL; its content at the start */
    int64_t start_ns;
};

static struct left left_begin(struct timespec *timeout)
{
    return (struct left){timeout, timeout ? *timeout : (struct timespec){0}, now_ns()};
}

/* Gives the wait's result on, with errno. */
static long left_end(const struct left *left, long result)
{
    int saved = errno;
    if (left->timeout && left->before.tv_sec <= INT32_MAX && (result >= 0 || saved == EINTR)) {
        int64_t ns =
            (int64_t)left->before.tv_sec * 1000000000 + left->before.tv_nsec - (now_ns() - left->start_ns);
        struct timespec value = {ns > 0 ? ns / 1000000000 : 0, ns > 0 ? ns % 1000000000 : 0};
        struct iovec from = {&value, sizeof value}, to = {left->timeout, sizeof value};
        sys_call(SYS_process_vm_writev, getpid(), sys_ptr(&from), 1, sys_ptr(&to), 1, 0);
    }
    errno = saved;
    return result;
}

long raw_wait_ppoll(const long a[static RAW_ARGUMENTS])
{
    if (!wait_concerns_poll(raw_pointer(a[0]), (nfds_t)a[1]))
        return raw_pass(SYS_ppoll, a);
    const struct left left = left_begin(raw_pointer(a[2]));
    return left_end(&left, ppoll(raw_pointer(a[0]), (nfds_t)a[1], left.timeout, raw_pointer(a[3])));
}

long raw_wait_pselect6(const long a[static RAW_ARGUMENTS])
{
    if (!wait_concerns_select(wait_select_bound((int)a[0]), raw_pointer(a[1]), raw_pointer(a[2]),
                              raw_pointer(a[3])))
        return raw_pass(SYS_pselect6, a);
    const struct {
        const sigset_t *mask;
        size_t size;
    } *six = raw_pointer(a[5]); /* the sixth argument, pselect6(2) */
    const struct left left = left_begin(raw_pointer(a[4]));
    return left_end(&left, pselect((int)a[0], raw_pointer(a[1]), raw_pointer(a[2]), raw_pointer(a[3]),
                                   left.timeout, six ? six->mask : NULL));
}

/* Waits for what the library knows nothing of: a child, a signal. */
static long wait_elsewhere(long number, const long a[static RAW_ARGUMENTS])
{
    if (pending_any())
        worker_carry();
    return raw_pass(number, a);
}

long raw_wait_child(const long a[static RAW_ARGUMENTS])
{
    return wait_elsewhere(SYS_wait4, a);
}

long raw_wait_id(const long a[static RAW_ARGUMENTS])
{
    return wait_elsewhere(SYS_waitid, a);
}

long raw_wait_rt_sigtimedwait(const long a[static RAW_ARGUMENTS])
{
    return wait_elsewhere(SYS_rt_sigtimedwait, a);
}

long raw_wait_futex(const long a[static RAW_ARGUMENTS])
{
    const long operation = a[1] & FUTEX_CMD_MASK;
    const bool waits =
        operation == FUTEX_WAIT || operation == FUTEX_WAIT_BITSET || operation == FUTEX_LOCK_PI;
    return waits ? wait_elsewhere(SYS_futex, a) : raw_pass(SYS_futex, a);
}
