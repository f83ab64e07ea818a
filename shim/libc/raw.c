/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* syscall(2): calls that concern sealed descriptors go through the doors of the same name; all others pass.
 */

#include "libc/door.h"

#include <fcntl.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "config/config.h"
#include "diag/log.h"
#include "libc/raw.h"

/* A system call's six arguments. */
struct arguments {
    long a[6];
};

#define POINTER(n) ((void *)(uintptr_t)arguments->a[n])
#define NUMBER(n)  ((int)arguments->a[n])
#define SIZE(n)    ((size_t)arguments->a[n])

/* Calls whose first argument is the descriptor, when that is sealed. */
static bool on_sealed(long number, const struct arguments *arguments, long *result)
{
    int fd = NUMBER(0);
    switch (number) {
    case SYS_read:
        *result = read(fd, POINTER(1), SIZE(2));
        return true;
    case SYS_write:
        *result = write(fd, POINTER(1), SIZE(2));
        return true;
    case SYS_readv:
        *result = readv(fd, POINTER(1), NUMBER(2));
        return true;
    case SYS_writev:
        *result = writev(fd, POINTER(1), NUMBER(2));
        return true;
    case SYS_recvfrom:
        *result = recvfrom(fd, POINTER(1), SIZE(2), NUMBER(3), POINTER(4), POINTER(5));
        return true;
    case SYS_sendto:
        *result = sendto(fd, POINTER(1), SIZE(2), NUMBER(3), POINTER(4), (socklen_t)NUMBER(5));
        return true;
    case SYS_recvmsg:
        *result = recvmsg(fd, POINTER(1), NUMBER(2));
        return true;
    case SYS_sendmsg:
        *result = sendmsg(fd, POINTER(1), NUMBER(2));
        return true;
    case SYS_recvmmsg:
        *result = recvmmsg(fd, POINTER(1), (unsigned)NUMBER(2), NUMBER(3), POINTER(4));
        return true;
    case SYS_sendmmsg:
        *result = sendmmsg(fd, POINTER(1), (unsigned)NUMBER(2), NUMBER(3));
        return true;
    case SYS_sendfile:
        *result = sendfile(fd, NUMBER(1), POINTER(2), SIZE(3));
        return true;
    case SYS_shutdown:
        *result = shutdown(fd, NUMBER(1));
        return true;
    case SYS_getsockopt:
        *result = getsockopt(fd, NUMBER(1), NUMBER(2), POINTER(3), POINTER(4));
        return true;
    case SYS_setsockopt:
        *result = setsockopt(fd, NUMBER(1), NUMBER(2), POINTER(3), (socklen_t)NUMBER(4));
        return true;
    case SYS_ioctl:
        *result = ioctl(fd, (unsigned long)arguments->a[1], POINTER(2));
        return true;
    case SYS_fcntl:
        *result = fcntl(fd, NUMBER(1), POINTER(2));
        return true;
    case SYS_dup:
        *result = dup(fd);
        return true;
    default:
        return false;
    }
}

/* io_submit(2): asynchronous work on a sealed descriptor would pass the doors by. */
static bool submits_sealed(int count, struct iocb **list)
{
    for (int i = 0; i < count && list && list[i]; i++) {
        if (registry_has((int)list[i]->aio_fildes))
            return true;
    }
    return false;
}

/* Calls that make, close or replace descriptors, or wait, whatever stands there now. */
static bool on_any(long number, const struct arguments *arguments, long *result)
{
    switch (number) {
    case SYS_connect:
        *result = connect(NUMBER(0), POINTER(1), (socklen_t)NUMBER(2));
        return true;
    case SYS_accept:
        *result = accept(NUMBER(0), POINTER(1), POINTER(2));
        return true;
    case SYS_accept4:
        *result = accept4(NUMBER(0), POINTER(1), POINTER(2), NUMBER(3));
        return true;
    case SYS_sendto: /* MSG_FASTOPEN */
        *result = sendto(NUMBER(0), POINTER(1), SIZE(2), NUMBER(3), POINTER(4), (socklen_t)NUMBER(5));
        return true;
    case SYS_sendmsg: /* MSG_FASTOPEN, SCM_RIGHTS */
        *result = sendmsg(NUMBER(0), POINTER(1), NUMBER(2));
        return true;
    case SYS_recvmsg: /* SCM_RIGHTS */
        *result = recvmsg(NUMBER(0), POINTER(1), NUMBER(2));
        return true;
    case SYS_prctl: /* seccomp */
        *result = prctl(NUMBER(0), arguments->a[1], arguments->a[2], arguments->a[3], arguments->a[4]);
        return true;
    case SYS_seccomp:
        *result = raw_seccomp((unsigned long)arguments->a[0], (unsigned long)arguments->a[1], POINTER(2));
        return true;
    case SYS_execve:
        *result = execve(POINTER(0), POINTER(1), POINTER(2));
        return true;
    case SYS_execveat:
        *result = execveat(NUMBER(0), POINTER(1), POINTER(2), POINTER(3), NUMBER(4));
        return true;
    case SYS_close:
        *result = close(NUMBER(0));
        return true;
    case SYS_close_range:
        *result = close_range((unsigned)NUMBER(0), (unsigned)NUMBER(1), NUMBER(2));
        return true;
#ifdef SYS_dup2
    case SYS_dup2:
        *result = dup2(NUMBER(0), NUMBER(1));
        return true;
#endif
    case SYS_dup3:
        *result = dup3(NUMBER(0), NUMBER(1), NUMBER(2));
        return true;
#ifdef SYS_poll
    case SYS_poll:
        *result = poll(POINTER(0), (nfds_t)arguments->a[1], NUMBER(2));
        return true;
#endif
#ifdef SYS_epoll_wait
    case SYS_epoll_wait:
        *result = epoll_wait(NUMBER(0), POINTER(1), NUMBER(2), NUMBER(3));
        return true;
#endif
    case SYS_splice:
        *result = splice(NUMBER(0), POINTER(1), NUMBER(2), POINTER(3), SIZE(4), (unsigned)NUMBER(5));
        return true;
    case SYS_sendfile: /* from a sealed connection */
        *result = sendfile(NUMBER(0), NUMBER(1), POINTER(2), SIZE(3));
        return true;
#ifdef SYS_fork
    case SYS_fork:
        *result = fork();
        return true;
#endif
    case SYS_io_submit:
        if (!submits_sealed(NUMBER(1), POINTER(2)))
            return false;
        errno = EINVAL;
        *result = -1;
        return true;
    default:
        return false;
    }
}

/* fork(2) by its other name: a new process without our memory. */
static bool forks(long number, const struct arguments *arguments)
{
    return number == SYS_clone && !(arguments->a[0] & (CLONE_VM | CLONE_THREAD));
}

static long fork_raw(const struct arguments *arguments)
{
    const long *a = arguments->a;
    registry_before_fork();
    long child = real()->syscall(SYS_clone, a[0], a[1], a[2], a[3], a[4], a[5]);
    door_forked(child);
    return child;
}

DOOR long syscall(long number, ...)
{
    struct arguments arguments;
    long result;
    va_list list;
    va_start(list, number);
    for (int i = 0; i < 6; i++)
        arguments.a[i] = va_arg(list, long);
    va_end(list);
    const long *a = arguments.a;
    config_load();
    if (config_get()->active) {
        if (number ==
            SYS_io_uring_setup) { /* what goes through a ring passes no door: programs fall back to epoll */
            log_line(LOG_INFO, "io_uring is refused, so that the program uses calls that can be sealed");
            errno = ENOSYS;
            return -1;
        }
        if (forks(number, &arguments))
            return fork_raw(&arguments);
        if (registry_has((int)a[0]) && on_sealed(number, &arguments, &result))
            return result;
        if (on_any(number, &arguments, &result))
            return result;
    }
    return real()->syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
