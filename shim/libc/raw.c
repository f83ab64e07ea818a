/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* syscall(2): calls that concern sealed descriptors go through the doors of the same name; all others pass.
 */

#include "libc/door.h"

#include <fcntl.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "config/config.h"
#include "conn/pending.h"
#include "diag/log.h"
#include "io/wait.h"
#include "libc/raw.h"
#include "process/fork.h"
#include "process/privilege.h"
#include "sys/net.h"

int pidfd_getfd(int process, int fd, unsigned flags) __THROW;

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
    case SYS_preadv2: /* the offset comes in two halves, of which a 64-bit kernel takes the first */
        *result = preadv2(fd, POINTER(1), NUMBER(2), arguments->a[3], NUMBER(5));
        return true;
    case SYS_pwritev2:
        *result = pwritev2(fd, POINTER(1), NUMBER(2), arguments->a[3], NUMBER(5));
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
        if (fdtable_has((int)list[i]->aio_fildes))
            return true;
    }
    return false;
}

/* Calls that make, close or replace descriptors, or pass them on, whatever stands there now. */
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
    case SYS_sendmmsg:
        *result = sendmmsg(NUMBER(0), POINTER(1), (unsigned)NUMBER(2), NUMBER(3));
        return true;
    case SYS_listen:
        *result = listen(NUMBER(0), NUMBER(1));
        return true;
    case SYS_pidfd_getfd:
        *result = pidfd_getfd(NUMBER(0), NUMBER(1), (unsigned)NUMBER(2));
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
    case SYS_tee:
        *result = tee(NUMBER(0), NUMBER(1), SIZE(2), (unsigned)NUMBER(3));
        return true;
    case SYS_vmsplice:
        *result = vmsplice(NUMBER(0), POINTER(1), SIZE(2), (unsigned)NUMBER(3));
        return true;
    case SYS_splice:
        *result = splice(NUMBER(0), POINTER(1), NUMBER(2), POINTER(3), SIZE(4), (unsigned)NUMBER(5));
        return true;
    case SYS_sendfile: /* from a sealed connection */
        *result = sendfile(NUMBER(0), NUMBER(1), POINTER(2), SIZE(3));
        return true;
    case SYS_exit_group:
        _exit(NUMBER(0));
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

/* ---- waits ---- */

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* The kernel writes the time that is left back, where libc's functions do not; and it does not mind when it
 * cannot. */
static void write_left(struct timespec *timeout, const struct timespec *before, int64_t start_ns)
{
    if (!timeout || before->tv_sec > INT32_MAX)
        return;
    int64_t left = (int64_t)before->tv_sec * 1000000000 + before->tv_nsec - (now_ns() - start_ns);
    struct timespec value = {left > 0 ? left / 1000000000 : 0, left > 0 ? left % 1000000000 : 0};
    struct iovec from = {&value, sizeof value}, to = {timeout, sizeof value};
    sys_call(SYS_process_vm_writev, getpid(), sys_ptr(&from), 1, sys_ptr(&to), 1, 0);
}

/* Waits whose time-out is a struct timespec, at `timeout`. */
static bool on_timed_wait(long number, const struct arguments *arguments, struct timespec *timeout,
                          long *result)
{
    struct {
        const sigset_t *mask;
        size_t size;
    } *six = POINTER(5); /* pselect6(2)'s sixth argument */
    struct timespec before = timeout ? *timeout : (struct timespec){0};
    int64_t start_ns = now_ns();
    if (number == SYS_ppoll)
        *result = ppoll(POINTER(0), (nfds_t)arguments->a[1], timeout, POINTER(3));
    else
        *result = pselect(NUMBER(0), POINTER(1), POINTER(2), POINTER(3), timeout, six ? six->mask : NULL);
    int saved = errno;
    if (*result >= 0 || saved == EINTR)
        write_left(timeout, &before, start_ns);
    errno = saved;
    return true;
}

/* The rest of them. */
static bool on_wait(long number, const struct arguments *arguments, long *result)
{
    switch (number) {
    case SYS_epoll_ctl:
        *result = epoll_ctl(NUMBER(0), NUMBER(1), NUMBER(2), POINTER(3));
        return true;
#ifdef SYS_poll
    case SYS_poll:
        *result = poll(POINTER(0), (nfds_t)arguments->a[1], NUMBER(2));
        return true;
    case SYS_select:
        *result = select(NUMBER(0), POINTER(1), POINTER(2), POINTER(3), POINTER(4));
        return true;
    case SYS_epoll_wait:
        *result = epoll_wait(NUMBER(0), POINTER(1), NUMBER(2), NUMBER(3));
        return true;
    case SYS_pause:
        *result = pause();
        return true;
#endif
    case SYS_ppoll:
        return wait_concerns_poll(POINTER(0), (nfds_t)arguments->a[1]) &&
               on_timed_wait(number, arguments, POINTER(2), result);
    case SYS_pselect6:
        return wait_concerns_select(wait_select_bound(NUMBER(0)), POINTER(1), POINTER(2), POINTER(3)) &&
               on_timed_wait(number, arguments, POINTER(4), result);
    case SYS_epoll_pwait:
        *result = epoll_pwait(NUMBER(0), POINTER(1), NUMBER(2), NUMBER(3), POINTER(4));
        return true;
    case SYS_epoll_pwait2:
        *result = epoll_pwait2(NUMBER(0), POINTER(1), NUMBER(2), POINTER(3), POINTER(4));
        return true;
    case SYS_nanosleep:
        *result = nanosleep(POINTER(0), POINTER(1));
        return true;
    case SYS_clock_nanosleep:
        *result = clock_nanosleep((clockid_t)NUMBER(0), NUMBER(1), POINTER(2), POINTER(3));
        *result = door_result(-*result, errno); /* clock_nanosleep(3) returns its error */
        return true;
    case SYS_rt_sigsuspend:
        *result = sigsuspend(POINTER(0));
        return true;
    default:
        return false;
    }
}

/* ---- new processes ---- */

/* fork(2) by its other names: a new process without our memory. vfork(2) too, since its child would return
 * over its parent's frames: it gets memory of its own, and its parent waits all the same. */
static bool forks(long number, struct arguments *arguments)
{
    const unsigned long *flags = POINTER(0); /* of struct clone_args, clone(2) */
    if (number == SYS_clone3)
        return flags && arguments->a[1] >= (long)sizeof *flags && !(*flags & (CLONE_VM | CLONE_THREAD));
#ifdef SYS_fork
    if (number == SYS_fork || number == SYS_vfork) {
        *arguments = (struct arguments){{SIGCHLD | (number == SYS_vfork ? CLONE_VFORK : 0)}};
        return true;
    }
#endif
    return number == SYS_clone && !(arguments->a[0] & (CLONE_VM | CLONE_THREAD));
}

static long fork_raw(long number, const struct arguments *arguments)
{
    const long *a = arguments->a;
    fork_prepare();
    long child =
        real()->syscall(number == SYS_clone3 ? SYS_clone3 : SYS_clone, a[0], a[1], a[2], a[3], a[4], a[5]);
    door_forked(child);
    return child;
}

/* ---- rights ---- */

/* What libc's functions of the same names, or those of no name there, take the right to read files away with.
 */
static bool gives_up_rights(long number)
{
    switch (number) {
    case SYS_setuid:
    case SYS_setreuid:
    case SYS_setresuid:
    case SYS_setfsuid:
    case SYS_setgid:
    case SYS_setregid:
    case SYS_setresgid:
    case SYS_setfsgid:
    case SYS_setgroups:
    case SYS_chroot:
    case SYS_capset:
#ifdef SYS_landlock_restrict_self
    case SYS_landlock_restrict_self:
#endif
        return true;
    default:
        return false;
    }
}

/* ---- the door ---- */

static bool through_doors(long number, struct arguments *arguments, long *result)
{
    if (forks(number, arguments)) {
        *result = fork_raw(number, arguments);
        return true;
    }
    if (pending_any() || fdtable_size) {
        if (on_wait(number, arguments, result))
            return true;
        if ((pending_any() || fdtable_has(NUMBER(0))) && on_sealed(number, arguments, result))
            return true;
    }
    if (gives_up_rights(number))
        privilege_before_drop();
    return on_any(number, arguments, result);
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
        if (through_doors(number, &arguments, &result))
            return result;
    }
    return real()->syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
