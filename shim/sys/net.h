/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_NET_H
#define SOCKSEAL_NET_H

/* System calls of sys/sys.h that concern descriptors, sockets, memory and time. Each gives a result >= 0, or
 * -errno. */

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

#include "sys/sys.h"

static inline long net_recv(int fd, void *buffer, size_t len, int flags)
{
    return sys_call(SYS_recvfrom, fd, sys_ptr(buffer), (long)len, flags, 0, 0);
}

static inline long net_recvmsg(int fd, struct msghdr *message, int flags)
{
    return sys_call3(SYS_recvmsg, fd, sys_ptr(message), flags);
}

static inline long net_send_with(int fd, const void *buffer, size_t len, int flags)
{
    return sys_call(SYS_sendto, fd, sys_ptr(buffer), (long)len, flags, 0, 0);
}

/* Never raises SIGPIPE, never blocks. */
static inline long net_send(int fd, const void *buffer, size_t len)
{
    return sys_call(SYS_sendto, fd, sys_ptr(buffer), (long)len, MSG_NOSIGNAL | MSG_DONTWAIT, 0, 0);
}

/* A counter that does not block (eventfd(2)). */
static inline int net_eventfd(void)
{
    return (int)sys_call3(SYS_eventfd2, 0, O_CLOEXEC | O_NONBLOCK, 0);
}

static inline int net_pipe(int ends[static 2], int flags)
{
    return (int)sys_call3(SYS_pipe2, sys_ptr(ends), flags, 0);
}

/* Without offsets. */
static inline long net_splice(int in, int out, size_t len, unsigned flags)
{
    return sys_call(SYS_splice, in, 0, out, 0, (long)len, (long)flags);
}

static inline long net_tee(int in, int out, size_t len, unsigned flags)
{
    return sys_call(SYS_tee, in, out, (long)len, (long)flags, 0, 0);
}

static inline long net_writev(int fd, const struct iovec *iov, int count)
{
    return sys_call3(SYS_writev, fd, sys_ptr(iov), count);
}

static inline int net_shutdown(int fd, int how)
{
    return (int)sys_call3(SYS_shutdown, fd, how, 0);
}

static inline int net_fcntl(int fd, int command, long argument)
{
    return (int)sys_call3(SYS_fcntl, fd, command, argument);
}

static inline int net_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
    return (int)sys_call(SYS_getsockopt, fd, level, name, sys_ptr(value), sys_ptr(len), 0);
}

static inline int net_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    return (int)sys_call(SYS_setsockopt, fd, level, name, sys_ptr(value), (long)len, 0);
}

static inline int net_getsockname(int fd, void *address, socklen_t *len)
{
    return (int)sys_call3(SYS_getsockname, fd, sys_ptr(address), sys_ptr(len));
}

static inline int net_getpeername(int fd, void *address, socklen_t *len)
{
    return (int)sys_call3(SYS_getpeername, fd, sys_ptr(address), sys_ptr(len));
}

static inline int net_ioctl(int fd, unsigned long request, void *argument)
{
    return (int)sys_call3(SYS_ioctl, fd, (long)request, sys_ptr(argument));
}

static inline int net_epoll_create(void)
{
    return (int)sys_call3(SYS_epoll_create1, EPOLL_CLOEXEC, 0, 0);
}

static inline int net_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    return (int)sys_call(SYS_epoll_ctl, epoll, operation, fd, sys_ptr(event), 0, 0);
}

/* Does not wait. */
static inline int net_epoll_collect(int epoll, struct epoll_event *events, int max)
{
    return (int)sys_call(SYS_epoll_pwait, epoll, sys_ptr(events), max, 0, 0, 0);
}

static inline int net_ppoll(struct pollfd *fds, unsigned long count, const struct timespec *timeout)
{
    struct timespec copy;
    if (timeout)
        copy = *timeout; /* the kernel writes the remaining time back */
    return (int)sys_call(SYS_ppoll, sys_ptr(fds), (long)count, sys_ptr(timeout ? &copy : NULL), 0, 8, 0);
}

static inline long net_futex_wait(_Atomic uint32_t *word, uint32_t value, const struct timespec *timeout)
{
    return sys_call(SYS_futex, sys_ptr((const void *)word), FUTEX_WAIT, (long)value, sys_ptr(timeout), 0, 0);
}

static inline long net_futex_wake(_Atomic uint32_t *word, int count)
{
    return sys_call(SYS_futex, sys_ptr((const void *)word), FUTEX_WAKE, count, 0, 0, 0);
}

static inline int net_kill(int pid, int signal)
{
    return (int)sys_call3(SYS_kill, pid, signal, 0);
}

static inline int net_tgkill(int pid, int tid, int signal)
{
    return (int)sys_call3(SYS_tgkill, pid, tid, signal);
}

/* The kernel orders a munmap(2) before the mmap(2) that gives its addresses out again. ThreadSanitizer sees
 * the order of libc's functions only; these two announce it for ours. */
#ifdef __SANITIZE_THREAD__
void __tsan_acquire(void *address);
void __tsan_release(void *address);
__attribute__((weak)) char net_mappings;
#define NET_MAPPED() __tsan_acquire(&net_mappings)
#define NET_UNMAPS() __tsan_release(&net_mappings)
#else
#define NET_MAPPED() (void)0
#define NET_UNMAPS() (void)0
#endif

static inline int net_munmap(void *memory, size_t len)
{
    NET_UNMAPS();
    return (int)sys_call3(SYS_munmap, sys_ptr(memory), (long)len, 0);
}

/* Gives MAP_FAILED on error, like mmap(2). With MAP_FIXED, `over` is where. */
static inline void *net_mmap_over(void *over, size_t len, int protection, int flags, int fd, int64_t offset)
{
    long result = sys_call(SYS_mmap, sys_ptr(over), (long)len, protection, flags, fd, (long)offset);
    NET_MAPPED();
    return result < 0 && result > -4096 ? MAP_FAILED : (void *)(intptr_t)result;
}

static inline void *net_mmap(size_t len, int protection, int flags, int fd)
{
    return net_mmap_over(NULL, len, protection, flags, fd, 0);
}

static inline int net_madvise(void *memory, size_t len, int advice)
{
    return (int)sys_call3(SYS_madvise, sys_ptr(memory), (long)len, advice);
}

/* Nanoseconds of the monotonic clock; goes through the vDSO, which is no door and async-signal-safe. */
static inline int64_t net_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Seconds of the monotonic clock as of its last tick: the cheapest there is. */
static inline uint32_t net_coarse_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint32_t)now.tv_sec;
}

static inline int64_t net_now_ms(void)
{
    return net_now_ns() / 1000000;
}

/* The time from now until `end_ms`, on net_now_ms()'s clock; 0 if that is past. */
static inline struct timespec net_span_until(int64_t end_ms)
{
    int64_t left = end_ms - net_now_ms();
    if (left < 0)
        left = 0;
    return (struct timespec){.tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000};
}

#endif
