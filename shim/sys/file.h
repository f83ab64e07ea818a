/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_SYS_FILE_H
#define SOCKSEAL_SYS_FILE_H

/* System calls of sys/sys.h that concern files, memory, the clock and signals: what configuration and
 * diagnostics need. Each gives a result >= 0, or -errno. */

#include <signal.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>

#include "sys/sys.h"

enum { SYS_KERNEL_SIGSET_SIZE = 8 }; /* the kernel's sigset_t; the C library's is longer and starts with it */

_Noreturn static inline void sys_exit_group(int status)
{
    for (;;)
        sys_call3(SYS_exit_group, status, 0, 0);
}

/* stat(2) of a path, following symbolic links. On 64-bit machines the C library's structure is the kernel's.
 */
static inline int sys_stat(const char *path, struct stat *out)
{
    return (int)sys_call(SYS_newfstatat, SYS_AT_FDCWD, sys_ptr(path), sys_ptr(out), 0, 0, 0);
}

static inline int sys_fstat(int fd, struct stat *out)
{
    return (int)sys_call3(SYS_fstat, fd, sys_ptr(out), 0);
}

static inline int sys_fstatfs(int fd, struct statfs *out)
{
    return (int)sys_call3(SYS_fstatfs, fd, sys_ptr(out), 0);
}

/* Gives the length with the terminating NUL. */
static inline long sys_getcwd(char *out, size_t size)
{
    return sys_call3(SYS_getcwd, sys_ptr(out), (long)size, 0);
}

static inline long sys_readlink(const char *path, char *out, size_t size)
{
    return sys_call(SYS_readlinkat, SYS_AT_FDCWD, sys_ptr(path), sys_ptr(out), (long)size, 0, 0);
}

static inline long sys_pread(int fd, void *buffer, size_t len, long offset)
{
    return sys_call(SYS_pread64, fd, sys_ptr(buffer), (long)len, offset, 0, 0);
}

static inline unsigned sys_geteuid(void)
{
    return (unsigned)sys_call3(SYS_geteuid, 0, 0, 0);
}

static inline unsigned sys_getuid(void)
{
    return (unsigned)sys_call3(SYS_getuid, 0, 0, 0);
}

static inline unsigned sys_getegid(void)
{
    return (unsigned)sys_call3(SYS_getegid, 0, 0, 0);
}

static inline unsigned sys_getgid(void)
{
    return (unsigned)sys_call3(SYS_getgid, 0, 0, 0);
}

static inline int sys_clock_gettime(clockid_t clock, struct timespec *out)
{
    return (int)sys_call3(SYS_clock_gettime, clock, sys_ptr(out), 0);
}

static inline int sys_mlock(const void *memory, size_t len)
{
    return (int)sys_call3(SYS_mlock, sys_ptr(memory), (long)len, 0);
}

static inline int sys_sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
    return (int)sys_call(SYS_rt_sigprocmask, how, sys_ptr(set), sys_ptr(old), SYS_KERNEL_SIGSET_SIZE, 0, 0);
}

/* Takes a pending signal of `set`, if there is one, without waiting. */
static inline int sys_sigtake(const sigset_t *set)
{
    struct timespec now = {0, 0};
    return (int)sys_call(SYS_rt_sigtimedwait, sys_ptr(set), 0, sys_ptr(&now), SYS_KERNEL_SIGSET_SIZE, 0, 0);
}

static inline int sys_sigpending(sigset_t *set)
{
    return (int)sys_call3(SYS_rt_sigpending, sys_ptr(set), SYS_KERNEL_SIGSET_SIZE, 0);
}

#endif
