/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* syscall(2): calls that concern sealed descriptors go through the doors of the same name; all others pass.
 * The table at the end says which calls are looked at, and when. */

#include "libc/door.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "config/config.h"
#include "conn/pending.h"
#include "diag/log.h"
#include "libc/aio.h"
#include "libc/clone.h"
#include "libc/raw_wait.h"
#include "process/fork.h"
#include "process/lend.h"
#include "process/privilege.h"

int pidfd_getfd(int process, int fd, unsigned flags) __THROW;

/* ---- bytes ---- */

static long raw_read(const long a[static RAW_ARGUMENTS])
{
    return read((int)a[0], raw_pointer(a[1]), (size_t)a[2]);
}

static long raw_write(const long a[static RAW_ARGUMENTS])
{
    return write((int)a[0], raw_pointer(a[1]), (size_t)a[2]);
}

static long raw_readv(const long a[static RAW_ARGUMENTS])
{
    return readv((int)a[0], raw_pointer(a[1]), (int)a[2]);
}

static long raw_writev(const long a[static RAW_ARGUMENTS])
{
    return writev((int)a[0], raw_pointer(a[1]), (int)a[2]);
}

/* The offset comes in two halves, of which a 64-bit kernel takes the first. */
static long raw_preadv2(const long a[static RAW_ARGUMENTS])
{
    return preadv2((int)a[0], raw_pointer(a[1]), (int)a[2], a[3], (int)a[5]);
}

static long raw_pwritev2(const long a[static RAW_ARGUMENTS])
{
    return pwritev2((int)a[0], raw_pointer(a[1]), (int)a[2], a[3], (int)a[5]);
}

static long raw_recvfrom(const long a[static RAW_ARGUMENTS])
{
    return recvfrom((int)a[0], raw_pointer(a[1]), (size_t)a[2], (int)a[3], raw_pointer(a[4]),
                    raw_pointer(a[5]));
}

static long raw_sendto(const long a[static RAW_ARGUMENTS])
{
    return sendto((int)a[0], raw_pointer(a[1]), (size_t)a[2], (int)a[3], raw_pointer(a[4]), (socklen_t)a[5]);
}

static long raw_recvmsg(const long a[static RAW_ARGUMENTS])
{
    return recvmsg((int)a[0], raw_pointer(a[1]), (int)a[2]);
}

static long raw_sendmsg(const long a[static RAW_ARGUMENTS])
{
    return sendmsg((int)a[0], raw_pointer(a[1]), (int)a[2]);
}

static long raw_recvmmsg(const long a[static RAW_ARGUMENTS])
{
    return recvmmsg((int)a[0], raw_pointer(a[1]), (unsigned)a[2], (int)a[3], raw_pointer(a[4]));
}

static long raw_sendmmsg(const long a[static RAW_ARGUMENTS])
{
    return sendmmsg((int)a[0], raw_pointer(a[1]), (unsigned)a[2], (int)a[3]);
}

static long raw_sendfile(const long a[static RAW_ARGUMENTS])
{
    return sendfile((int)a[0], (int)a[1], raw_pointer(a[2]), (size_t)a[3]);
}

static long raw_splice(const long a[static RAW_ARGUMENTS])
{
    return splice((int)a[0], raw_pointer(a[1]), (int)a[2], raw_pointer(a[3]), (size_t)a[4], (unsigned)a[5]);
}

static long raw_tee(const long a[static RAW_ARGUMENTS])
{
    return tee((int)a[0], (int)a[1], (size_t)a[2], (unsigned)a[3]);
}

static long raw_vmsplice(const long a[static RAW_ARGUMENTS])
{
    return vmsplice((int)a[0], raw_pointer(a[1]), (size_t)a[2], (unsigned)a[3]);
}

static long raw_io_submit(const long a[static RAW_ARGUMENTS])
{
    return door_result(io_submit(raw_pointer(a[0]), a[1], raw_pointer(a[2])), errno);
}

/* What goes through a ring passes no door: programs fall back to epoll. */
static long raw_io_uring_setup(const long a[static RAW_ARGUMENTS])
{
    (void)a;
    log_line(LOG_INFO, "io_uring is refused, so that the program uses calls that can be sealed");
    errno = ENOSYS;
    return -1;
}

/* ---- sockets and descriptors ---- */

static long raw_socket(const long a[static RAW_ARGUMENTS])
{
    return socket((int)a[0], (int)a[1], (int)a[2]);
}

static long raw_connect(const long a[static RAW_ARGUMENTS])
{
    return connect((int)a[0], raw_pointer(a[1]), (socklen_t)a[2]);
}

static long raw_accept(const long a[static RAW_ARGUMENTS])
{
    return accept((int)a[0], raw_pointer(a[1]), raw_pointer(a[2]));
}

static long raw_accept4(const long a[static RAW_ARGUMENTS])
{
    return accept4((int)a[0], raw_pointer(a[1]), raw_pointer(a[2]), (int)a[3]);
}

static long raw_listen(const long a[static RAW_ARGUMENTS])
{
    return listen((int)a[0], (int)a[1]);
}

static long raw_shutdown(const long a[static RAW_ARGUMENTS])
{
    return shutdown((int)a[0], (int)a[1]);
}

static long raw_getsockopt(const long a[static RAW_ARGUMENTS])
{
    return getsockopt((int)a[0], (int)a[1], (int)a[2], raw_pointer(a[3]), raw_pointer(a[4]));
}

static long raw_setsockopt(const long a[static RAW_ARGUMENTS])
{
    return setsockopt((int)a[0], (int)a[1], (int)a[2], raw_pointer(a[3]), (socklen_t)a[4]);
}

static long raw_ioctl(const long a[static RAW_ARGUMENTS])
{
    return ioctl((int)a[0], (unsigned long)a[1], raw_pointer(a[2]));
}

static long raw_fcntl(const long a[static RAW_ARGUMENTS])
{
    return fcntl((int)a[0], (int)a[1], raw_pointer(a[2]));
}

static long raw_dup(const long a[static RAW_ARGUMENTS])
{
    return dup((int)a[0]);
}

#ifdef SYS_dup2
static long raw_dup2(const long a[static RAW_ARGUMENTS])
{
    return dup2((int)a[0], (int)a[1]);
}
#endif

static long raw_dup3(const long a[static RAW_ARGUMENTS])
{
    return dup3((int)a[0], (int)a[1], (int)a[2]);
}

static long raw_close(const long a[static RAW_ARGUMENTS])
{
    return close((int)a[0]);
}

static long raw_close_range(const long a[static RAW_ARGUMENTS])
{
    return close_range((unsigned)a[0], (unsigned)a[1], (int)a[2]);
}

static long raw_pidfd_getfd(const long a[static RAW_ARGUMENTS])
{
    return pidfd_getfd((int)a[0], (int)a[1], (unsigned)a[2]);
}

static long raw_mount(const long a[static RAW_ARGUMENTS])
{
    return mount(raw_pointer(a[0]), raw_pointer(a[1]), raw_pointer(a[2]), (unsigned long)a[3],
                 raw_pointer(a[4]));
}

static long raw_fsconfig(const long a[static RAW_ARGUMENTS])
{
    return fsconfig((int)a[0], (unsigned)a[1], raw_pointer(a[2]), raw_pointer(a[3]), (int)a[4]);
}

static long raw_bpf(const long a[static RAW_ARGUMENTS])
{
    return lend_by_bpf(a[0], raw_pointer(a[1])) ? door_result(-EOPNOTSUPP, errno) : raw_pass(SYS_bpf, a);
}

/* ---- processes ---- */

static long raw_prctl(const long a[static RAW_ARGUMENTS])
{
    return prctl((int)a[0], a[1], a[2], a[3], a[4]);
}

static long raw_seccomp_in(const long a[static RAW_ARGUMENTS])
{
    return raw_seccomp((unsigned long)a[0], (unsigned long)a[1], raw_pointer(a[2]));
}

static long raw_execve(const long a[static RAW_ARGUMENTS])
{
    return execve(raw_pointer(a[0]), raw_pointer(a[1]), raw_pointer(a[2]));
}

static long raw_execveat(const long a[static RAW_ARGUMENTS])
{
    return execveat((int)a[0], raw_pointer(a[1]), raw_pointer(a[2]), raw_pointer(a[3]), (int)a[4]);
}

static long raw_exit_group(const long a[static RAW_ARGUMENTS])
{
    _exit((int)a[0]);
}

/* A new process without our memory. */
static long fork_raw(long number, const long a[static RAW_ARGUMENTS])
{
    fork_prepare();
    long child = raw_pass(number, a);
    door_forked(child);
    return child;
}

static long raw_unshare(const long a[static RAW_ARGUMENTS])
{
    return unshare((int)a[0]);
}

static long raw_clone(const long a[static RAW_ARGUMENTS])
{
    if (clone_is_refused((uint64_t)a[0]))
        return -1;
    return a[0] & (CLONE_VM | CLONE_THREAD) ? raw_pass(SYS_clone, a) : fork_raw(SYS_clone, a);
}

static long raw_clone3(const long a[static RAW_ARGUMENTS])
{
    const unsigned long *flags = raw_pointer(a[0]); /* of struct clone_args, clone(2) */
    const bool forks = flags && a[1] >= (long)sizeof *flags && !(*flags & (CLONE_VM | CLONE_THREAD));
    if (flags && a[1] >= (long)sizeof *flags && clone_is_refused(*flags))
        return -1;
    return forks ? fork_raw(SYS_clone3, a) : raw_pass(SYS_clone3, a);
}

#ifdef SYS_fork
static long raw_fork(const long a[static RAW_ARGUMENTS])
{
    (void)a;
    return fork_raw(SYS_clone, (const long[RAW_ARGUMENTS]){SIGCHLD});
}

/* vfork(2)'s child would return over its parent's frames: it gets memory of its own, and its parent waits all
 * the same. */
static long raw_vfork(const long a[static RAW_ARGUMENTS])
{
    (void)a;
    return fork_raw(SYS_clone, (const long[RAW_ARGUMENTS]){SIGCHLD | CLONE_VFORK});
}
#endif

/* ---- the table ---- */

/* When a call is looked at. */
enum when {
    NEVER = 0, /* a number that is not in the table */
    SEALED,    /* the first argument is a sealed descriptor, or a socket that may become one */
    WAITING,   /* there is a sealed descriptor, or something pending */
    ALWAYS,
};

struct raw_call {
    raw_stand_in *call; /* NULL: passes */
    enum when when;
    enum privilege_change change; /* where the door does not see to it */
};

static const struct raw_call raw_calls[] = {
    [SYS_read] = {.call = raw_read, .when = SEALED},
    [SYS_readv] = {.call = raw_readv, .when = SEALED},
    [SYS_writev] = {.call = raw_writev, .when = SEALED},
    [SYS_preadv2] = {.call = raw_preadv2, .when = SEALED},
    [SYS_pwritev2] = {.call = raw_pwritev2, .when = SEALED},
    [SYS_recvfrom] = {.call = raw_recvfrom, .when = SEALED},
    [SYS_shutdown] = {.call = raw_shutdown, .when = SEALED},
    [SYS_getsockopt] = {.call = raw_getsockopt, .when = SEALED},
    [SYS_setsockopt] = {.call = raw_setsockopt, .when = SEALED},
    [SYS_fcntl] = {.call = raw_fcntl, .when = SEALED},
    [SYS_dup] = {.call = raw_dup, .when = SEALED},
    /* These make, close, replace or pass on descriptors, or have a sealed one in another argument. */
    [SYS_write] = {.call = raw_write, .when = ALWAYS},
    [SYS_sendto] = {.call = raw_sendto, .when = ALWAYS},
    [SYS_sendmsg] = {.call = raw_sendmsg, .when = ALWAYS},
    [SYS_recvmsg] = {.call = raw_recvmsg, .when = ALWAYS},
    [SYS_recvmmsg] = {.call = raw_recvmmsg, .when = ALWAYS},
    [SYS_sendmmsg] = {.call = raw_sendmmsg, .when = ALWAYS},
    [SYS_sendfile] = {.call = raw_sendfile, .when = ALWAYS},
    [SYS_splice] = {.call = raw_splice, .when = ALWAYS},
    [SYS_tee] = {.call = raw_tee, .when = ALWAYS},
    [SYS_vmsplice] = {.call = raw_vmsplice, .when = ALWAYS},
    [SYS_io_submit] = {.call = raw_io_submit, .when = ALWAYS},
    [SYS_io_uring_setup] = {.call = raw_io_uring_setup, .when = ALWAYS},
    [SYS_socket] = {.call = raw_socket, .when = ALWAYS},
    [SYS_connect] = {.call = raw_connect, .when = ALWAYS},
    [SYS_accept] = {.call = raw_accept, .when = ALWAYS},
    [SYS_accept4] = {.call = raw_accept4, .when = ALWAYS},
    [SYS_listen] = {.call = raw_listen, .when = ALWAYS},
    [SYS_ioctl] = {.call = raw_ioctl, .when = ALWAYS},
#ifdef SYS_dup2
    [SYS_dup2] = {.call = raw_dup2, .when = ALWAYS},
#endif
    [SYS_dup3] = {.call = raw_dup3, .when = ALWAYS},
    [SYS_close] = {.call = raw_close, .when = ALWAYS},
    [SYS_close_range] = {.call = raw_close_range, .when = ALWAYS},
    [SYS_pidfd_getfd] = {.call = raw_pidfd_getfd, .when = ALWAYS},
    [SYS_mount] = {.call = raw_mount, .when = ALWAYS},
    [SYS_fsconfig] = {.call = raw_fsconfig, .when = ALWAYS},
    [SYS_bpf] = {.call = raw_bpf, .when = ALWAYS},
    [SYS_execve] = {.call = raw_execve, .when = ALWAYS},
    [SYS_execveat] = {.call = raw_execveat, .when = ALWAYS},
    [SYS_exit_group] = {.call = raw_exit_group, .when = ALWAYS},
    [SYS_clone] = {.call = raw_clone, .when = ALWAYS},
    [SYS_clone3] = {.call = raw_clone3, .when = ALWAYS},
#ifdef SYS_fork
    [SYS_fork] = {.call = raw_fork, .when = ALWAYS},
    [SYS_vfork] = {.call = raw_vfork, .when = ALWAYS},
#endif
    [SYS_prctl] = {.call = raw_prctl, .when = ALWAYS},
    [SYS_seccomp] = {.call = raw_seccomp_in, .when = ALWAYS},
    [SYS_futex] = {.call = raw_wait_futex, .when = WAITING},
    [SYS_wait4] = {.call = raw_wait_child, .when = WAITING},
    [SYS_waitid] = {.call = raw_wait_id, .when = WAITING},
    [SYS_rt_sigtimedwait] = {.call = raw_wait_rt_sigtimedwait, .when = WAITING},
#ifdef SYS_poll
    [SYS_poll] = {.call = raw_wait_poll, .when = WAITING},
    [SYS_select] = {.call = raw_wait_select, .when = WAITING},
    [SYS_epoll_wait] = {.call = raw_wait_epoll_wait, .when = WAITING},
    [SYS_pause] = {.call = raw_wait_pause, .when = WAITING},
#endif
    [SYS_ppoll] = {.call = raw_wait_ppoll, .when = WAITING},
    [SYS_pselect6] = {.call = raw_wait_pselect6, .when = WAITING},
    [SYS_epoll_ctl] = {.call = raw_wait_epoll_ctl, .when = WAITING},
    [SYS_epoll_pwait] = {.call = raw_wait_epoll_pwait, .when = WAITING},
    [SYS_epoll_pwait2] = {.call = raw_wait_epoll_pwait2, .when = WAITING},
    [SYS_nanosleep] = {.call = raw_wait_nanosleep, .when = WAITING},
    [SYS_clock_nanosleep] = {.call = raw_wait_clock_nanosleep, .when = WAITING},
    [SYS_rt_sigsuspend] = {.call = raw_wait_rt_sigsuspend, .when = WAITING},
    /* libc has no function for some of these. */
    [SYS_unshare] = {.call = raw_unshare, .when = ALWAYS},
    [SYS_setns] = {.change = PRIVILEGE_NAMESPACE},
    [SYS_setuid] = {.change = PRIVILEGE_RIGHTS},
    [SYS_setreuid] = {.change = PRIVILEGE_RIGHTS},
    [SYS_setresuid] = {.change = PRIVILEGE_RIGHTS},
    [SYS_setfsuid] = {.change = PRIVILEGE_RIGHTS},
    [SYS_setgid] = {.change = PRIVILEGE_RIGHTS},
    [SYS_setregid] = {.change = PRIVILEGE_RIGHTS},
    [SYS_setresgid] = {.change = PRIVILEGE_RIGHTS},
    [SYS_setfsgid] = {.change = PRIVILEGE_RIGHTS},
    [SYS_setgroups] = {.change = PRIVILEGE_RIGHTS},
    [SYS_chroot] = {.change = PRIVILEGE_RIGHTS},
    [SYS_capset] = {.change = PRIVILEGE_RIGHTS},
#ifdef SYS_landlock_restrict_self
    [SYS_landlock_restrict_self] = {.change = PRIVILEGE_RIGHTS},
#endif
};

/* The call's entry; an empty one if it always passes. */
static struct raw_call raw_call_of(long number)
{
    const size_t count = sizeof raw_calls / sizeof raw_calls[0];
    return number >= 0 && (size_t)number < count ? raw_calls[number] : (struct raw_call){0};
}

static bool is_looked_at(const struct raw_call *entry, long first)
{
    switch (entry->when) {
    case SEALED:
        return pending_any() || (fdtable_size && fdtable_concerns((int)first));
    case WAITING:
        return pending_any() || fdtable_size;
    case ALWAYS:
        return true;
    case NEVER:
        break;
    }
    return false;
}

DOOR long syscall(long number, ...)
{
    long a[RAW_ARGUMENTS];
    va_list list;
    va_start(list, number);
    for (int i = 0; i < RAW_ARGUMENTS; i++)
        a[i] = va_arg(list, long);
    va_end(list);
    config_load();
    if (!config_get()->active)
        return raw_pass(number, a);
    const struct raw_call entry = raw_call_of(number);
    const enum privilege_change change = privilege_before(entry.change);
    long result = is_looked_at(&entry, a[0]) ? entry.call(a) : raw_pass(number, a);
    privilege_after(change);
    return result;
}
