/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* syscall(2): calls that concern sealed descriptors go through the doors of the same name; all others pass.
 * The table at the end says which calls are looked at, and when. */

#include "libc/door.h"

#include <fcntl.h>
#include <linux/aio_abi.h>
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

/* io_submit(2): asynchronous work on a sealed descriptor would pass the doors by. */
static bool submits_sealed(int count, struct iocb **list)
{
    for (int i = 0; i < count && list && list[i]; i++) {
        if (fdtable_concerns((int)list[i]->aio_fildes))
            return true;
    }
    return false;
}

static long raw_io_submit(const long a[static RAW_ARGUMENTS])
{
    return submits_sealed((int)a[1], raw_pointer(a[2])) ? door_result(-EINVAL, errno)
                                                        : raw_pass(SYS_io_submit, a);
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

static long raw_clone(const long a[static RAW_ARGUMENTS])
{
    return a[0] & (CLONE_VM | CLONE_THREAD) ? raw_pass(SYS_clone, a) : fork_raw(SYS_clone, a);
}

static long raw_clone3(const long a[static RAW_ARGUMENTS])
{
    const unsigned long *flags = raw_pointer(a[0]); /* of struct clone_args, clone(2) */
    const bool forks = flags && a[1] >= (long)sizeof *flags && !(*flags & (CLONE_VM | CLONE_THREAD));
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

/* What a call changes of what the kernel keeps for each thread. */
enum change {
    NOTHING = 0,
    THREAD, /* a namespace, a filter, a property */
    RIGHTS, /* the right to read files */
};

struct raw_call {
    raw_stand_in *call; /* NULL: passes */
    enum when when;
    enum change change;
};

static const struct raw_call raw_calls[] = {
    [SYS_read] = {raw_read, SEALED},
    [SYS_readv] = {raw_readv, SEALED},
    [SYS_writev] = {raw_writev, SEALED},
    [SYS_preadv2] = {raw_preadv2, SEALED},
    [SYS_pwritev2] = {raw_pwritev2, SEALED},
    [SYS_recvfrom] = {raw_recvfrom, SEALED},
    [SYS_recvmmsg] = {raw_recvmmsg, SEALED},
    [SYS_shutdown] = {raw_shutdown, SEALED},
    [SYS_getsockopt] = {raw_getsockopt, SEALED},
    [SYS_setsockopt] = {raw_setsockopt, SEALED},
    [SYS_fcntl] = {raw_fcntl, SEALED},
    [SYS_dup] = {raw_dup, SEALED},
    /* These make, close, replace or pass on descriptors, or have a sealed one in another argument. */
    [SYS_write] = {raw_write, ALWAYS},
    [SYS_sendto] = {raw_sendto, ALWAYS},
    [SYS_sendmsg] = {raw_sendmsg, ALWAYS},
    [SYS_recvmsg] = {raw_recvmsg, ALWAYS},
    [SYS_sendmmsg] = {raw_sendmmsg, ALWAYS},
    [SYS_sendfile] = {raw_sendfile, ALWAYS},
    [SYS_splice] = {raw_splice, ALWAYS},
    [SYS_tee] = {raw_tee, ALWAYS},
    [SYS_vmsplice] = {raw_vmsplice, ALWAYS},
    [SYS_io_submit] = {raw_io_submit, ALWAYS},
    [SYS_io_uring_setup] = {raw_io_uring_setup, ALWAYS},
    [SYS_socket] = {raw_socket, ALWAYS},
    [SYS_connect] = {raw_connect, ALWAYS},
    [SYS_accept] = {raw_accept, ALWAYS},
    [SYS_accept4] = {raw_accept4, ALWAYS},
    [SYS_listen] = {raw_listen, ALWAYS},
    [SYS_ioctl] = {raw_ioctl, ALWAYS},
#ifdef SYS_dup2
    [SYS_dup2] = {raw_dup2, ALWAYS},
#endif
    [SYS_dup3] = {raw_dup3, ALWAYS},
    [SYS_close] = {raw_close, ALWAYS},
    [SYS_close_range] = {raw_close_range, ALWAYS},
    [SYS_pidfd_getfd] = {raw_pidfd_getfd, ALWAYS},
    [SYS_mount] = {raw_mount, ALWAYS},
    [SYS_fsconfig] = {raw_fsconfig, ALWAYS},
    [SYS_bpf] = {raw_bpf, ALWAYS},
    [SYS_execve] = {raw_execve, ALWAYS},
    [SYS_execveat] = {raw_execveat, ALWAYS},
    [SYS_exit_group] = {raw_exit_group, ALWAYS},
    [SYS_clone] = {raw_clone, ALWAYS},
    [SYS_clone3] = {raw_clone3, ALWAYS},
#ifdef SYS_fork
    [SYS_fork] = {raw_fork, ALWAYS},
    [SYS_vfork] = {raw_vfork, ALWAYS},
#endif
    [SYS_prctl] = {raw_prctl, ALWAYS, THREAD},
    [SYS_seccomp] = {raw_seccomp_in, ALWAYS, THREAD},
    [SYS_futex] = {raw_futex, WAITING},
    [SYS_wait4] = {raw_wait4, WAITING},
    [SYS_waitid] = {raw_waitid, WAITING},
    [SYS_rt_sigtimedwait] = {raw_rt_sigtimedwait, WAITING},
#ifdef SYS_poll
    [SYS_poll] = {raw_poll, WAITING},
    [SYS_select] = {raw_select, WAITING},
    [SYS_epoll_wait] = {raw_epoll_wait, WAITING},
    [SYS_pause] = {raw_pause, WAITING},
#endif
    [SYS_ppoll] = {raw_ppoll, WAITING},
    [SYS_pselect6] = {raw_pselect6, WAITING},
    [SYS_epoll_ctl] = {raw_epoll_ctl, WAITING},
    [SYS_epoll_pwait] = {raw_epoll_pwait, WAITING},
    [SYS_epoll_pwait2] = {raw_epoll_pwait2, WAITING},
    [SYS_nanosleep] = {raw_nanosleep, WAITING},
    [SYS_clock_nanosleep] = {raw_clock_nanosleep, WAITING},
    [SYS_rt_sigsuspend] = {raw_rt_sigsuspend, WAITING},
    /* libc has no function for some of these. */
    [SYS_unshare] = {.change = THREAD},
    [SYS_setns] = {.change = THREAD},
    [SYS_setuid] = {.change = RIGHTS},
    [SYS_setreuid] = {.change = RIGHTS},
    [SYS_setresuid] = {.change = RIGHTS},
    [SYS_setfsuid] = {.change = RIGHTS},
    [SYS_setgid] = {.change = RIGHTS},
    [SYS_setregid] = {.change = RIGHTS},
    [SYS_setresgid] = {.change = RIGHTS},
    [SYS_setfsgid] = {.change = RIGHTS},
    [SYS_setgroups] = {.change = RIGHTS},
    [SYS_chroot] = {.change = RIGHTS},
    [SYS_capset] = {.change = RIGHTS},
#ifdef SYS_landlock_restrict_self
    [SYS_landlock_restrict_self] = {.change = RIGHTS},
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

static void begin_change(enum change change)
{
    int saved = errno;
    if (change == RIGHTS)
        privilege_before_drop();
    else if (change == THREAD)
        privilege_before_change();
    errno = saved;
}

static void end_change(enum change change)
{
    int saved = errno;
    if (change != NOTHING)
        privilege_after_change();
    errno = saved;
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
    begin_change(entry.change);
    long result = is_looked_at(&entry, a[0]) ? entry.call(a) : raw_pass(number, a);
    end_change(entry.change);
    return result;
}
