/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "doors_raw.h"
#include "doors_sets.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* Two unequal pieces. */
static void split(struct iovec iov[2], const void *data, size_t len)
{
    char *at = (char *)(uintptr_t)data;
    iov[0] = (struct iovec){at, len / 3};
    iov[1] = (struct iovec){at + len / 3, len - len / 3};
}

ssize_t raw_read(int fd, void *data, size_t len)
{
    return syscall(SYS_read, fd, data, len);
}

ssize_t raw_readv(int fd, void *data, size_t len)
{
    struct iovec iov[2];
    split(iov, data, len);
    return syscall(SYS_readv, fd, iov, 2);
}

ssize_t raw_preadv2(int fd, void *data, size_t len)
{
    struct iovec iov[2];
    split(iov, data, len);
    return syscall(SYS_preadv2, fd, iov, 2, -1L, -1L, 0);
}

ssize_t raw_recvfrom(int fd, void *data, size_t len)
{
    return syscall(SYS_recvfrom, fd, data, len, 0, NULL, NULL);
}

ssize_t raw_recvmsg(int fd, void *data, size_t len)
{
    struct iovec iov[2];
    split(iov, data, len);
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = 2};
    return syscall(SYS_recvmsg, fd, &message, 0);
}

ssize_t raw_recvmmsg(int fd, void *data, size_t len)
{
    struct iovec iov[2];
    split(iov, data, len);
    struct mmsghdr message = {.msg_hdr = {.msg_iov = iov, .msg_iovlen = 2}};
    long n = syscall(SYS_recvmmsg, fd, &message, 1, MSG_WAITFORONE, NULL);
    return n > 0 ? (ssize_t)message.msg_len : n;
}

ssize_t raw_write(int fd, const void *data, size_t len)
{
    return syscall(SYS_write, fd, data, len);
}

ssize_t raw_writev(int fd, const void *data, size_t len)
{
    struct iovec iov[2];
    split(iov, data, len);
    return syscall(SYS_writev, fd, iov, 2);
}

ssize_t raw_pwritev2(int fd, const void *data, size_t len)
{
    struct iovec iov[2];
    split(iov, data, len);
    return syscall(SYS_pwritev2, fd, iov, 2, -1L, -1L, 0);
}

ssize_t raw_sendto(int fd, const void *data, size_t len)
{
    return syscall(SYS_sendto, fd, data, len, 0, NULL, 0);
}

ssize_t raw_sendmsg(int fd, const void *data, size_t len)
{
    struct iovec iov[2];
    split(iov, data, len);
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = 2};
    return syscall(SYS_sendmsg, fd, &message, 0);
}

ssize_t raw_sendmmsg(int fd, const void *data, size_t len)
{
    struct iovec iov[2];
    split(iov, data, len);
    struct mmsghdr message = {.msg_hdr = {.msg_iov = iov, .msg_iovlen = 2}};
    long n = syscall(SYS_sendmmsg, fd, &message, 1, 0);
    return n > 0 ? (ssize_t)message.msg_len : n;
}

int raw_ppoll(int fd, short events, int timeout_ms)
{
    struct pollfd one = {.fd = fd, .events = events};
    struct timespec span = doors_span(timeout_ms);
    sigset_t mask; /* the kernel's has eight bytes */
    sigemptyset(&mask);
    long n = syscall(SYS_ppoll, &one, 1, timeout_ms < 0 ? NULL : &span, &mask, 8);
    return n > 0 ? one.revents : (int)n;
}

int raw_pselect6(int fd, short events, int timeout_ms)
{
    fd_set in, out;
    struct timespec span = doors_span(timeout_ms);
    sigset_t mask;
    struct {
        const sigset_t *mask;
        size_t size;
    } six = {&mask, 8};
    sigemptyset(&mask);
    doors_fill_sets(fd, events, &in, &out);
    long n = syscall(SYS_pselect6, fd + 1, &in, &out, NULL, timeout_ms < 0 ? NULL : &span, &six);
    return doors_read_sets(n, fd, &in, &out);
}

/* Machines that are newer than ppoll(2) have only that. */
int raw_poll(int fd, short events, int timeout_ms)
{
#ifdef SYS_poll
    struct pollfd one = {.fd = fd, .events = events};
    long n = syscall(SYS_poll, &one, 1, timeout_ms);
    return n > 0 ? one.revents : (int)n;
#else
    return raw_ppoll(fd, events, timeout_ms);
#endif
}

int raw_select(int fd, short events, int timeout_ms)
{
#ifdef SYS_select
    fd_set in, out;
    struct timeval span = {timeout_ms / 1000, timeout_ms % 1000 * 1000L};
    doors_fill_sets(fd, events, &in, &out);
    long n = syscall(SYS_select, fd + 1, &in, &out, NULL, timeout_ms < 0 ? NULL : &span);
    return doors_read_sets(n, fd, &in, &out);
#else
    return raw_pselect6(fd, events, timeout_ms);
#endif
}

/* `number` waits on an epoll, made by a raw call too. */
static int wait_on_epoll(long number, int fd, short events, int timeout_ms)
{
    struct epoll_event event = {.events = (uint32_t)events, .data.fd = fd};
    struct timespec span = doors_span(timeout_ms);
    int epoll = (int)syscall(SYS_epoll_create1, EPOLL_CLOEXEC);
    long n = syscall(SYS_epoll_ctl, epoll, EPOLL_CTL_ADD, fd, &event);
    event.events = 0;
    if (n == 0 && number == SYS_epoll_pwait2)
        n = syscall(number, epoll, &event, 1, timeout_ms < 0 ? NULL : &span, NULL, 8);
    else if (n == 0)
        n = syscall(number, epoll, &event, 1, timeout_ms, NULL, 8);
    int error = errno;
    syscall(SYS_close, epoll);
    errno = error;
    return n > 0 ? (int)event.events : (int)n;
}

int raw_epoll_wait(int fd, short events, int timeout_ms)
{
#ifdef SYS_epoll_wait
    return wait_on_epoll(SYS_epoll_wait, fd, events, timeout_ms);
#else
    return wait_on_epoll(SYS_epoll_pwait, fd, events, timeout_ms);
#endif
}

int raw_epoll_pwait(int fd, short events, int timeout_ms)
{
    return wait_on_epoll(SYS_epoll_pwait, fd, events, timeout_ms);
}

int raw_epoll_pwait2(int fd, short events, int timeout_ms)
{
    return wait_on_epoll(SYS_epoll_pwait2, fd, events, timeout_ms);
}
