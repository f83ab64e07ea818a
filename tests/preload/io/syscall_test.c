/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* syscall(2), beside reading, writing and waiting (doors_test.c has those): what concerns a sealed descriptor
 * goes through the door, what is unknown passes with all of its arguments. */

#include "suite.h"

#include "net.h"
#include "sys/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { NO_CALL = 4000, SOON_MS = 3000 };

/* mmap(2) has six arguments, and the last says where in the file: the second page of it. */
static void unknown_calls_pass(const struct net *net)
{
    int pair[2], file = (int)syscall(SYS_memfd_create, "file", MFD_CLOEXEC);
    net_warm_pair(net, pair);
    assert_true(file >= 0);
    assert_int_equal(pwrite(file, "second", 6, 4096), 6);
    errno = 77;
    char *page = (char *)syscall(SYS_mmap, NULL, 4096L, PROT_READ, MAP_PRIVATE, file, 4096L);
    assert_int_equal(errno, 77);
    assert_memory_equal(page, "second", 6);
    assert_int_equal(syscall(SYS_munmap, page, 4096L), 0);
    assert_int_equal(syscall(NO_CALL, pair[0], 2, 3, 4, 5, 6), -1);
    assert_int_equal(errno, ENOSYS);
    assert_int_equal(syscall(SYS_lseek, pair[0], 0L, SEEK_SET), -1);
    assert_int_equal(errno, ESPIPE);
    assert_int_equal(syscall(SYS_gettid), gettid());
    close(file), close(pair[0]), close(pair[1]);
}

static void options_and_copies(const struct net *net)
{
    int pair[2], value = -1;
    socklen_t len = sizeof value;
    net_warm_pair(net, pair);
    assert_int_equal(syscall(SYS_getsockopt, pair[0], SOL_SOCKET, SO_TYPE, &value, &len), 0);
    assert_int_equal(value, SOCK_STREAM);
    value = 5;
    assert_int_equal(syscall(SYS_setsockopt, pair[0], SOL_SOCKET, SO_RCVLOWAT, &value, sizeof value), 0);
    assert_int_equal(syscall(SYS_fcntl, pair[0], F_SETFD, 0), 0);
    assert_int_equal(syscall(SYS_fcntl, pair[0], F_GETFD), 0);
    int first = (int)syscall(SYS_dup, pair[0]), second = (int)syscall(SYS_dup3, pair[0], 70, O_CLOEXEC);
    assert_int_equal(second, 70);
    close(pair[0]);
    assert_int_equal(write(first, "one", 3), 3);
    assert_int_equal(write(second, "two", 3), 3);
    net_expect_text(pair[1], "onetwo");
    assert_int_equal(syscall(SYS_shutdown, first, SHUT_WR), 0);
    assert_int_equal(syscall(SYS_close_range, 70, 70, 0), 0);
    assert_int_equal(read(pair[1], &value, 1), 0);
    close(first), close(pair[1]);
}

/* While a handshake is outstanding, whoever waits drives it, in whichever way it waits: the peer, which is
 * another process, gets what was written. */
static void be_a_raw_waiter(const struct net *net, const struct sockaddr_in *address, int form)
{
    struct timespec long_time = {.tv_sec = 100};
    uint64_t no_signals = 0;
    int pipes[2], fd = net_client(net, SOCK_NONBLOCK);
    char byte;
    net_connect_to(fd, address);
    net_wait(fd, POLLOUT, SOON_MS);
    if (pipe(pipes) < 0 || write(fd, "hello", 5) != 5)
        _exit(1);
    if (form == 0)
        syscall(SYS_nanosleep, &long_time, NULL);
    else if (form == 1)
        syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &long_time, NULL);
    else if (form == 2)
        syscall(SYS_rt_sigsuspend, &no_signals, sizeof no_signals);
    else if (form == 3)
        syscall(SYS_ppoll, NULL, 0, NULL, NULL, 8);
    else if (form == 4)
        syscall(SYS_pselect6, 0, NULL, NULL, NULL, NULL, NULL);
    else if (form == 5)
        syscall(SYS_epoll_pwait, epoll_create1(0), (struct epoll_event[1]){{0}}, 1, -1, NULL, 8);
    else
        syscall(SYS_read, pipes[0], &byte, 1);
    _exit(0);
}

static void raw_waits_drive(const struct net *net)
{
    struct sockaddr_in address;
    int listener = net_listen(net, 4, &address);
    for (int form = 0; form < 7; form++) {
        pid_t child = suite_fork();
        if (child == 0)
            be_a_raw_waiter(net, &address, form);
        int peer = accept(listener, NULL, NULL);
        net_expect_text(peer, "hello");
        kill(child, SIGKILL);
        suite_wait(child);
        close(peer);
    }
    close(listener);
}

/* The kernel leaves the time that was not waited in the program's memory, if it can. */
static void the_time_left(const struct net *net)
{
    static const struct timespec never_written = {.tv_sec = 50};
    int pair[2];
    net_warm_pair(net, pair);
    assert_int_equal(write(pair[0], "x", 1), 1);
    struct pollfd one = {.fd = pair[1], .events = POLLIN};
    struct timespec span = {.tv_sec = 50};
    assert_int_equal(syscall(SYS_ppoll, &one, 1, &span, NULL, 8), 1);
    assert_in_range(span.tv_sec, 30, 49);
    assert_int_equal(syscall(SYS_ppoll, &one, 1, &never_written, NULL, 8), 1);
    span = (struct timespec){.tv_nsec = 20000000};
    one.fd = pair[0];
    assert_int_equal(syscall(SYS_ppoll, &one, 1, &span, NULL, 8), 0);
    assert_int_equal(span.tv_sec + span.tv_nsec, 0);
    close(pair[0]), close(pair[1]);
}

static long new_process(int form)
{
    struct clone_args arguments = {.exit_signal = SIGCHLD};
    if (form == 0)
        return syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
    if (form == 1)
        return syscall(SYS_clone3, &arguments, sizeof arguments);
#ifdef SYS_fork
    return syscall(form == 2 ? SYS_fork : SYS_vfork);
#else
    return syscall(SYS_clone, SIGCHLD | (form == 2 ? 0 : CLONE_VFORK), NULL, NULL, NULL, NULL);
#endif
}

/* A child that was made so uses the connection in turn with its parent, and what it closes, and its end, are
 * its own affair. */
static void raw_forks(const struct net *net)
{
    int pair[2];
    net_warm_pair(net, pair);
    for (int form = 0; form < 4; form++) {
        long child = new_process(form);
        assert_true(child >= 0);
        if (child == 0) {
            long sent = write(pair[0], "child", 5);
            close(pair[0]), close(pair[1]);
            syscall(SYS_exit_group, sent == 5 ? 7 : 8);
        }
        assert_int_equal(suite_wait((pid_t)child), 7);
        net_expect_text(pair[1], "child");
        assert_int_equal(write(pair[0], "parent", 6), 6);
        net_expect_text(pair[1], "parent");
    }
    close(pair[0]), close(pair[1]);
}

/* exit_group(2) with bytes that wait for the handshake: they go out, as after _exit(2). */
static void raw_exit(const struct net *net)
{
    struct sockaddr_in address;
    int listener = net_listen(net, 4, &address);
    pid_t child = suite_fork();
    if (child == 0) {
        int fd = net_client(net, SOCK_NONBLOCK);
        net_connect_to(fd, &address);
        net_wait(fd, POLLOUT, SOON_MS);
        syscall(SYS_exit_group, write(fd, "hello", 5) == 5 ? 0 : 1);
    }
    int peer = accept(listener, NULL, NULL);
    net_expect_text(peer, "hello");
    assert_int_equal(suite_wait(child), 0);
    close(peer), close(listener);
}

static void raw_system_calls(const struct net *net)
{
    int pair[2];
    char text[16] = "";
    net_warm_pair(net, pair);
    assert_int_equal(syscall(SYS_write, pair[0], "raw", 3), 3);
    assert_int_equal(syscall(SYS_read, pair[1], text, sizeof text), 3);
    assert_string_equal(text, "raw");
    struct iovec iov = {(void *)"vec", 3};
    assert_int_equal(syscall(SYS_writev, pair[1], &iov, 1), 3);
    assert_int_equal(syscall(SYS_recvfrom, pair[0], text, 16, MSG_PEEK, NULL, NULL), 3);
    net_expect_text(pair[0], "vec");
    assert_int_equal(syscall(SYS_close, pair[0]), 0);
    assert_int_equal(read(pair[1], text, 1), 0);
    assert_int_equal(syscall(SYS_getpid), getpid());
    close(pair[1]);
}

static void raw_accept_and_connect(const struct net *net)
{
    struct sockaddr_in address;
    int listener = net_listen(net, 4, &address), one = net_client(net, 0);
    assert_int_equal(syscall(SYS_connect, one, &address, sizeof address), 0);
    int two = (int)syscall(SYS_accept4, listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(two >= 0);
    assert_int_equal(write(one, "x", 1), 1);
    net_expect_text(two, "x");
    close(one), close(two), close(listener);
}

static void io_uring_is_not_there(void)
{
    if (!suite_has_library())
        skip();
    char parameters[256] = {0};
    assert_int_equal(syscall(SYS_io_uring_setup, 8, parameters), -1);
    assert_int_equal(errno, ENOSYS);
}

/* A seccomp or version probe asks for calls that are not there; what is there has all its arguments. */
static void complaint_08_unknown_system_calls_pass(const struct net *net)
{
    int pair[2];
    net_warm_pair(net, pair);
    assert_int_equal(syscall(3999, pair[0], 2, 3, 4, 5, 6), -1);
    assert_int_equal(errno, ENOSYS);
    uint8_t random[8] = {0};
    assert_int_equal(syscall(SYS_getrandom, random, sizeof random, 0), sizeof random);
    int file = (int)syscall(SYS_memfd_create, "probe", 0);
    assert_true(file >= 0);
    assert_int_equal(syscall(SYS_fallocate, file, 0, 0L, 100L), 0);
    assert_int_equal(lseek(file, 0, SEEK_END), 100);
    assert_int_equal(syscall(SYS_fchmod, pair[0], 0600), 0);
    close(file), close(pair[0]), close(pair[1]);
}

/* libuv's way: accept4 and epoll without libc's functions. */
static void complaint_09_accept4_and_epoll_by_number(const struct net *net)
{
    struct sockaddr_in address;
    struct epoll_event event = {.events = EPOLLIN};
    char text[8] = "";
    int listener = net_listen(net, 4, &address), one = net_connect(net, &address);
    int epoll = (int)syscall(SYS_epoll_create1, EPOLL_CLOEXEC);
    int two = (int)syscall(SYS_accept4, listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(two >= 0);
    assert_int_equal(syscall(SYS_epoll_ctl, epoll, EPOLL_CTL_ADD, two, &event), 0);
    assert_int_equal(write(one, "served", 6), 6);
    ssize_t n = -1;
    for (int64_t end = net_now_ms() + SOON_MS; n < 0 && net_now_ms() < end;) {
        assert_true(syscall(SYS_epoll_pwait, epoll, &event, 1, SOON_MS, NULL, 8) == 1);
        n = syscall(SYS_read, two, text, sizeof text);
    }
    assert_int_equal(n, 6);
    assert_string_equal(text, "served");
    close(one), close(two), close(listener), close(epoll);
}

/* Past every door: liburing that is linked into the program. */
static int rings_role(int argc, char **argv)
{
    (void)argc, (void)argv;
    return (int)-sys_call3(SYS_io_uring_setup, 0, 0, 0);
}

static void no_rings_past_the_doors_strictly(void)
{
    const char *none[] = {NULL}, *strict[] = {"SOCKSEAL_STRICT=1", NULL};
    if (!suite_has_library() || geteuid() != 0)
        skip();
    assert_int_equal(suite_wait(suite_spawn("rings", none, strict, -1, -1)), ENOSYS);
    assert_int_not_equal(suite_wait(suite_spawn("rings", none, none, -1, -1)), ENOSYS);
}

static void complaint_09_io_uring_is_not_used_silently(void)
{
    char parameters[256] = {0};
    if (!suite_has_library())
        skip();
    assert_int_equal(syscall(SYS_io_uring_setup, 8, parameters), -1);
    assert_int_equal(errno, ENOSYS);
}

static const struct suite_case cases[] = {
    {.name = "unknown calls pass", .run = unknown_calls_pass},
    {.name = "options and copies", .run = options_and_copies},
    {.name = "raw waits drive", .run = raw_waits_drive},
    {.name = "the time left", .run = the_time_left},
    {.name = "raw forks", .run = raw_forks},
    {.name = "raw exit", .run = raw_exit},
    {.name = "raw system calls", .run = raw_system_calls},
    {.name = "raw accept and connect", .run = raw_accept_and_connect},
    {.name = "complaint_08_unknown_system_calls_pass", .run = complaint_08_unknown_system_calls_pass},
    {.name = "complaint_09_accept4_and_epoll_by_number", .run = complaint_09_accept4_and_epoll_by_number},
};

static const struct suite_test tests[] = {
    {.name = "no rings past the doors, strictly", .run = no_rings_past_the_doors_strictly},
    {.name = "io_uring is not there", .run = io_uring_is_not_there},
    {.name = "complaint_09_io_uring_is_not_used_silently", .run = complaint_09_io_uring_is_not_used_silently},
};

static const struct suite_role test_roles[] = {{"rings", rings_role}};

int main(int argc, char **argv)
{
    suite_roles(test_roles, suite_count(test_roles));
    suite_tests(tests, suite_count(tests));
    suite_cases(cases, suite_count(cases));
    return suite_run(argc, argv);
}
