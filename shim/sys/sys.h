/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_SYS_H
#define SOCKSEAL_SYS_H

/*
 * System calls that go straight to the kernel: through no door, through no libc, without touching
 * errno and without being a cancellation point. Each gives what the kernel gives: a result >= 0, or -errno.
 * Everything in the shim outside shim/libc that needs the kernel uses these, or sys/real.h where the call may
 * block on behalf of the program.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
static inline long sys_call(long number, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}
#elif defined(__aarch64__)
static inline long sys_call(long number, long a, long b, long c, long d, long e, long f)
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
}
#else
#error "sockseal knows the system call convention of x86-64 and of aarch64 only"
#endif

static inline long sys_call3(long number, long a, long b, long c)
{
    return sys_call(number, a, b, c, 0, 0, 0);
}

static inline long sys_ptr(const void *pointer)
{
    return (long)(intptr_t)pointer;
}

#define SYS_AT_FDCWD (-100L)

static inline int sys_open(const char *path, int flags, unsigned mode)
{
    return (int)sys_call(SYS_openat, SYS_AT_FDCWD, sys_ptr(path), flags, (long)mode, 0, 0);
}

static inline int sys_close(int fd)
{
    return (int)sys_call3(SYS_close, fd, 0, 0);
}

static inline long sys_read(int fd, void *buffer, size_t len)
{
    return sys_call3(SYS_read, fd, sys_ptr(buffer), (long)len);
}

static inline long sys_write(int fd, const void *buffer, size_t len)
{
    return sys_call3(SYS_write, fd, sys_ptr(buffer), (long)len);
}

static inline int sys_getpid(void)
{
    return (int)sys_call3(SYS_getpid, 0, 0, 0);
}

static inline int sys_getppid(void)
{
    return (int)sys_call3(SYS_getppid, 0, 0, 0);
}

static inline int sys_gettid(void)
{
    return (int)sys_call3(SYS_gettid, 0, 0, 0);
}

#endif
