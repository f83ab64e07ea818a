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
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
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
#include "io/worker.h"
#include "libc/raw.h"
#include "process/fork.h"
#include "process/lend.h"
#include "process/privilege.h"
#include "sys/net.h"

int pidfd_getfd(int process, int fd, unsigned flags) __THROW;

enum { ARGUMENTS = 6 };

static void *pointer(long argument)
{
    return (void *)(uintptr_t)argument;
}

/* Calls whose first argument is a sealed descriptor. */
static bool on_sealed(long number, const long a[static ARGUMENTS], long *result)
{
    int fd = (int)a[0];
    switch (number) {
    case SYS_read:
        *result = read(fd, pointer(a[1]), (size_t)a[2]);
        return true;
    case SYS_write:
        *result = write(fd, pointer(a[1]), (size_t)a[2]);
        return true;
    case SYS_readv:
        *result = readv(fd, pointer(a[1]), (int)a[2]);
        return true;
    case SYS_writev:
        *result = writev(fd, pointer(a[1]), (int)a[2]);
        return true;
    case SYS_recvfrom:
        *result = recvfrom(fd, pointer(a[1]), (size_t)a[2], (int)a[3], pointer(a[4]), pointer(a[5]));
        return true;
    case SYS_sendto:
        *result = sendto(fd, pointer(a[1]), (size_t)a[2], (int)a[3], pointer(a[4]), (socklen_t)a[5]);
        return true;
    case SYS_preadv2: /* the offset comes in two halves, of which a 64-bit kernel takes the first */
        *result = preadv2(fd, pointer(a[1]), (int)a[2], a[3], (int)a[5]);
        return true;
    case SYS_pwritev2:
        *result = pwritev2(fd, pointer(a[1]), (int)a[2], a[3], (int)a[5]);
        return true;
    case SYS_recvmsg:
        *result = recvmsg(fd, pointer(a[1]), (int)a[2]);
        return true;
    case SYS_sendmsg:
        *result = sendmsg(fd, pointer(a[1]), (int)a[2]);
        return true;
    case SYS_recvmmsg:
        *result = recvmmsg(fd, pointer(a[1]), (unsigned)a[2], (int)a[3], pointer(a[4]));
        return true;
    case SYS_sendfile:
        *result = sendfile(fd, (int)a[1], pointer(a[2]), (size_t)a[3]);
        return true;
    case SYS_shutdown:
        *result = shutdown(fd, (int)a[1]);
        return true;
    case SYS_getsockopt:
        *result = getsockopt(fd, (int)a[1], (int)a[2], pointer(a[3]), pointer(a[4]));
        return true;
    case SYS_setsockopt:
        *result = setsockopt(fd, (int)a[1], (int)a[2], pointer(a[3]), (socklen_t)a[4]);
        return true;
    case SYS_ioctl:
        *result = ioctl(fd, (unsigned long)a[1], pointer(a[2]));
        return true;
    case SYS_fcntl:
        *result = fcntl(fd, (int)a[1], pointer(a[2]));
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

/* Calls that make, close, replace or pass on descriptors, sealed or not. */
static bool on_any(long number, const long a[static ARGUMENTS], long *result)
{
    switch (number) {
    case SYS_connect:
        *result = connect((int)a[0], pointer(a[1]), (socklen_t)a[2]);
        return true;
    case SYS_accept:
        *result = accept((int)a[0], pointer(a[1]), pointer(a[2]));
        return true;
    case SYS_accept4:
        *result = accept4((int)a[0], pointer(a[1]), pointer(a[2]), (int)a[3]);
        return true;
    case SYS_sendto: /* MSG_FASTOPEN */
        *result = sendto((int)a[0], pointer(a[1]), (size_t)a[2], (int)a[3], pointer(a[4]), (socklen_t)a[5]);
        return true;
    case SYS_sendmsg: /* MSG_FASTOPEN, SCM_RIGHTS */
        *result = sendmsg((int)a[0], pointer(a[1]), (int)a[2]);
        return true;
    case SYS_recvmsg: /* SCM_RIGHTS */
        *result = recvmsg((int)a[0], pointer(a[1]), (int)a[2]);
        return true;
    case SYS_prctl: /* seccomp */
        *result = prctl((int)a[0], a[1], a[2], a[3], a[4]);
        return true;
    case SYS_seccomp:
        *result = raw_seccomp((unsigned long)a[0], (unsigned long)a[1], pointer(a[2]));
        return true;
    case SYS_execve:
        *result = execve(pointer(a[0]), pointer(a[1]), pointer(a[2]));
        return true;
    case SYS_execveat:
        *result = execveat((int)a[0], pointer(a[1]), pointer(a[2]), pointer(a[3]), (int)a[4]);
        return true;
    case SYS_sendmmsg:
        *result = sendmmsg((int)a[0], pointer(a[1]), (unsigned)a[2], (int)a[3]);
        return true;
    case SYS_listen:
        *result = listen((int)a[0], (int)a[1]);
        return true;
    case SYS_pidfd_getfd:
        *result = pidfd_getfd((int)a[0], (int)a[1], (unsigned)a[2]);
        return true;
    case SYS_close:
        *result = close((int)a[0]);
        return true;
    case SYS_close_range:
        *result = close_range((unsigned)a[0], (unsigned)a[1], (int)a[2]);
        return true;
#ifdef SYS_dup2
    case SYS_dup2:
        *result = dup2((int)a[0], (int)a[1]);
        return true;
#endif
    case SYS_dup3:
        *result = dup3((int)a[0], (int)a[1], (int)a[2]);
        return true;
    case SYS_tee:
        *result = tee((int)a[0], (int)a[1], (size_t)a[2], (unsigned)a[3]);
        return true;
    case SYS_vmsplice:
        *result = vmsplice((int)a[0], pointer(a[1]), (size_t)a[2], (unsigned)a[3]);
        return true;
    case SYS_splice:
        *result = splice((int)a[0], pointer(a[1]), (int)a[2], pointer(a[3]), (size_t)a[4], (unsigned)a[5]);
        return true;
    case SYS_sendfile: /* from a sealed connection */
        *result = sendfile((int)a[0], (int)a[1], pointer(a[2]), (size_t)a[3]);
        return true;
    case SYS_ioctl: /* a sealed descriptor may be its argument */
        *result = ioctl((int)a[0], (unsigned long)a[1], pointer(a[2]));
        return true;
    case SYS_mount:
        *result = mount(pointer(a[0]), pointer(a[1]), pointer(a[2]), (unsigned long)a[3], pointer(a[4]));
        return true;
    case SYS_fsconfig:
        *result = fsconfig((int)a[0], (unsigned)a[1], pointer(a[2]), pointer(a[3]), (int)a[4]);
        return true;
    case SYS_bpf:
        if (!lend_by_bpf(a[0], pointer(a[1])))
            return false;
        *result = door_result(-EOPNOTSUPP, errno);
        return true;
    case SYS_write:
        *result = write((int)a[0], pointer(a[1]), (size_t)a[2]);
        return true;
    case SYS_exit_group:
        _exit((int)a[0]);
    case SYS_io_submit:
        if (!submits_sealed((int)a[1], pointer(a[2])))
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
static bool on_timed_wait(long number, const long a[static ARGUMENTS], struct timespec *timeout, long *result)
{
    struct {
        const sigset_t *mask;
        size_t size;
    } *six = pointer(a[5]); /* pselect6(2)'s sixth argument */
    struct timespec before = timeout ? *timeout : (struct timespec){0};
    int64_t start_ns = now_ns();
    if (number == SYS_ppoll)
        *result = ppoll(pointer(a[0]), (nfds_t)a[1], timeout, pointer(a[3]));
    else
        *result =
            pselect((int)a[0], pointer(a[1]), pointer(a[2]), pointer(a[3]), timeout, six ? six->mask : NULL);
    int saved = errno;
    if (*result >= 0 || saved == EINTR)
        write_left(timeout, &before, start_ns);
    errno = saved;
    return true;
}

/* The rest of them. */
static bool on_wait(long number, const long a[static ARGUMENTS], long *result)
{
    switch (number) {
    case SYS_epoll_ctl:
        *result = epoll_ctl((int)a[0], (int)a[1], (int)a[2], pointer(a[3]));
        return true;
#ifdef SYS_poll
    case SYS_poll:
        *result = poll(pointer(a[0]), (nfds_t)a[1], (int)a[2]);
        return true;
    case SYS_select:
        *result = select((int)a[0], pointer(a[1]), pointer(a[2]), pointer(a[3]), pointer(a[4]));
        return true;
    case SYS_epoll_wait:
        *result = epoll_wait((int)a[0], pointer(a[1]), (int)a[2], (int)a[3]);
        return true;
    case SYS_pause:
        *result = pause();
        return true;
#endif
    case SYS_ppoll:
        return wait_concerns_poll(pointer(a[0]), (nfds_t)a[1]) &&
               on_timed_wait(number, a, pointer(a[2]), result);
    case SYS_pselect6:
        return wait_concerns_select(wait_select_bound((int)a[0]), pointer(a[1]), pointer(a[2]),
                                    pointer(a[3])) &&
               on_timed_wait(number, a, pointer(a[4]), result);
    case SYS_epoll_pwait:
        *result = epoll_pwait((int)a[0], pointer(a[1]), (int)a[2], (int)a[3], pointer(a[4]));
        return true;
    case SYS_epoll_pwait2:
        *result = epoll_pwait2((int)a[0], pointer(a[1]), (int)a[2], pointer(a[3]), pointer(a[4]));
        return true;
    case SYS_nanosleep:
        *result = nanosleep(pointer(a[0]), pointer(a[1]));
        return true;
    case SYS_clock_nanosleep:
        *result = clock_nanosleep((clockid_t)a[0], (int)a[1], pointer(a[2]), pointer(a[3]));
        *result = door_result(-*result, errno); /* clock_nanosleep(3) returns its error */
        return true;
    case SYS_rt_sigsuspend:
        *result = sigsuspend(pointer(a[0]));
        return true;
    default:
        return false;
    }
}

/* ---- new processes ---- */

/* fork(2) by its other names: a new process without our memory. vfork(2) too, since its child would return
 * over its parent's frames: it gets memory of its own, and its parent waits all the same. */
static bool forks(long number, long a[static ARGUMENTS])
{
    const unsigned long *flags = pointer(a[0]); /* of struct clone_args, clone(2) */
    if (number == SYS_clone3)
        return flags && a[1] >= (long)sizeof *flags && !(*flags & (CLONE_VM | CLONE_THREAD));
#ifdef SYS_fork
    if (number == SYS_fork || number == SYS_vfork) {
        memset(a, 0, ARGUMENTS * sizeof *a);
        a[0] = SIGCHLD | (number == SYS_vfork ? CLONE_VFORK : 0);
        return true;
    }
#endif
    return number == SYS_clone && !(a[0] & (CLONE_VM | CLONE_THREAD));
}

static long fork_raw(long number, const long a[static ARGUMENTS])
{
    fork_prepare();
    long child =
        real()->syscall(number == SYS_clone3 ? SYS_clone3 : SYS_clone, a[0], a[1], a[2], a[3], a[4], a[5]);
    door_forked(child);
    return child;
}

/* Waits for what the library knows nothing of: a child, a signal, a lock. */
static bool waits_elsewhere(long number, const long a[static ARGUMENTS])
{
    if (number == SYS_futex) {
        const long operation = a[1] & FUTEX_CMD_MASK;
        return operation == FUTEX_WAIT || operation == FUTEX_WAIT_BITSET || operation == FUTEX_LOCK_PI;
    }
    return number == SYS_wait4 || number == SYS_waitid || number == SYS_rt_sigtimedwait;
}

/* ---- rights ---- */

/* Calls by which a process gives up the right to read files. libc has no function for some of them. */
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

/* Other calls that change what the kernel keeps for each thread. */
static bool changes_thread(long number)
{
    return number == SYS_unshare || number == SYS_setns || number == SYS_prctl || number == SYS_seccomp;
}

/* For __attribute__((cleanup)). */
static void end_change(const bool *changes)
{
    int saved = errno;
    if (*changes)
        privilege_after_change();
    errno = saved;
}

static bool begin_change(long number)
{
    const bool drops = gives_up_rights(number), changes = drops || changes_thread(number);
    int saved = errno;
    if (drops)
        privilege_before_drop();
    else if (changes)
        privilege_before_change();
    errno = saved;
    return changes;
}

/* ---- the door ---- */

static bool through_doors(long number, long a[static ARGUMENTS], long *result)
{
    if (forks(number, a)) {
        *result = fork_raw(number, a);
        return true;
    }
    if (pending_any() && waits_elsewhere(number, a))
        worker_carry();
    if (pending_any() || fdtable_size) {
        if (on_wait(number, a, result))
            return true;
        if ((pending_any() || fdtable_has((int)a[0])) && on_sealed(number, a, result))
            return true;
    }
    return on_any(number, a, result);
}

DOOR long syscall(long number, ...)
{
    long a[ARGUMENTS], result;
    va_list list;
    va_start(list, number);
    for (int i = 0; i < ARGUMENTS; i++)
        a[i] = va_arg(list, long);
    va_end(list);
    config_load();
    if (config_get()->active) {
        /* What goes through a ring passes no door: programs fall back to epoll. */
        if (number == SYS_io_uring_setup) {
            log_line(LOG_INFO, "io_uring is refused, so that the program uses calls that can be sealed");
            errno = ENOSYS;
            return -1;
        }
        const bool changes __attribute__((cleanup(end_change), unused)) = begin_change(number);
        if (through_doors(number, a, &result))
            return result;
        return real()->syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    }
    return real()->syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
