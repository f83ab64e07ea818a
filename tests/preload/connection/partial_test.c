/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* A write that the kernel takes in part has reported what the kernel has. The peer gets that, whatever the
 * program does next, as it does on plain TCP: here the record must be finished for it (shim/io/partial.h). */

#include "suite.h"

#include "net.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WAIT_MS = 8000, PIECE = 100000, BUFFER = 40000 };

static uint8_t piece[PIECE];

/* Writes until the kernel takes no more; how much it took. */
static uint64_t fill(int fd)
{
    uint64_t done = 0;
    for (;;) {
        net_pattern(piece, sizeof piece, done);
        ssize_t n = write(fd, piece, sizeof piece);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return done;
        if (n <= 0)
            _exit(3);
        done += (uint64_t)n;
        if (n < PIECE)
            return done;
    }
}

static uint64_t write_without_blocking(int fd)
{
    net_set_nonblock(fd, true);
    return fill(fd);
}

static uint64_t write_with_a_limit(int fd)
{
    const struct timeval limit = {.tv_usec = 20000};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    return fill(fd);
}

static void ignore(int signal)
{
    (void)signal;
}

static uint64_t write_until_interrupted(int fd)
{
    const struct sigaction action = {.sa_handler = ignore};
    const struct itimerval soon = {.it_value.tv_usec = 50000, .it_interval.tv_usec = 50000}, never = {0};
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &soon, NULL);
    uint64_t done = fill(fd);
    setitimer(ITIMER_REAL, &never, NULL);
    return done;
}

static uint64_t send_a_file(int fd)
{
    char path[] = "/tmp/partial-XXXXXX";
    int file = mkstemp(path);
    uint64_t done = 0;
    unlink(path);
    for (int i = 0; i < 40; i++) {
        net_pattern(piece, sizeof piece, (uint64_t)i * sizeof piece);
        if (write(file, piece, sizeof piece) != PIECE)
            _exit(3);
    }
    net_set_nonblock(fd, true);
    lseek(file, 0, SEEK_SET);
    for (ssize_t n; (n = sendfile(fd, file, NULL, sizeof piece)) > 0;)
        done += (uint64_t)n;
    return done;
}

static uint64_t send_small(int fd)
{
    uint64_t done = 0;
    net_set_nonblock(fd, true);
    for (;;) {
        net_pattern(piece, 1000, done);
        ssize_t n = send(fd, piece, 1000, 0);
        if (n < 0)
            return done;
        done += (uint64_t)n;
    }
}

/* ---- what the program does next ---- */

static void wait_on_a_lock(void)
{
    sem_t never;
    sem_init(&never, 0, 0);
    for (;;)
        sem_wait(&never);
}

static void compute(void)
{
    for (volatile unsigned long i = 0;; i++) {
    }
}

static void wait_for_a_signal(void)
{
    sigset_t one;
    int signal;
    sigemptyset(&one);
    sigaddset(&one, SIGUSR2);
    sigprocmask(SIG_BLOCK, &one, NULL);
    sigwait(&one, &signal);
}

static void read_a_pipe(void)
{
    int ends[2];
    char byte;
    if (pipe(ends) == 0 && read(ends[0], &byte, 1) != 1)
        _exit(4);
}

static void poll_a_pipe(void)
{
    int ends[2];
    if (pipe(ends) == 0)
        poll(&(struct pollfd){.fd = ends[0], .events = POLLIN}, 1, -1);
}

static void wait_for_an_epoll(void)
{
    int ends[2], epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN};
    if (pipe(ends) == 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event) == 0)
        epoll_wait(epoll, &event, 1, -1);
}

static void sleep_long(void)
{
    sleep(1000);
}

static void wait_behind_a_fork(void)
{
    if (fork() == 0)
        wait_on_a_lock();
    wait_on_a_lock();
}

/* The next program computes. */
static void run_a_program(void)
{
    execl("/bin/sh", "sh", "-c", "while :; do :; done", NULL);
}

static void end(void)
{
    _exit(0);
}

struct writer {
    uint64_t (*write)(int fd);
    void (*next)(void);
    bool by_a_child; /* which has the connection from a parent that waits on a lock */
    bool closes;     /* before `next` */
};

static void write_and_go_on(const struct writer *writer, int fd, int said)
{
    if (writer->by_a_child && fork() > 0)
        wait_on_a_lock();
    const uint64_t done = writer->write(fd);
    fcntl(fd, F_SETFD, 0);
    if (writer->closes)
        close(fd);
    if (write(said, &done, sizeof done) != sizeof done)
        _exit(2);
    writer->next();
}

static void set_buffers(const int pair[2])
{
    const int size = BUFFER;
    setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    setsockopt(pair[1], SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
}

static void expect_pattern(int fd, uint64_t count)
{
    static uint8_t got[PIECE];
    for (uint64_t have = 0; have < count;) {
        if (net_wait(fd, POLLIN, WAIT_MS) == 0)
            fail_msg("%llu bytes of %llu have come", (unsigned long long)have, (unsigned long long)count);
        ssize_t n = read(fd, got, sizeof got);
        assert_true(n > 0);
        assert_true(net_is_pattern(got, (size_t)n, have));
        have += (uint64_t)n;
    }
}

static void delivered(const struct net *net, const struct writer *writer)
{
    int pair[2], said[2];
    uint64_t count;
    net_warm_pair(net, pair);
    set_buffers(pair);
    assert_int_equal(pipe(said), 0);
    pid_t child = suite_fork();
    if (child == 0) {
        close(pair[1]);
        setpgid(0, 0);
        write_and_go_on(writer, pair[0], said[1]);
        _exit(0);
    }
    close(pair[0]), close(said[1]);
    assert_int_equal(read(said[0], &count, sizeof count), sizeof count);
    assert_true(count > 0);
    expect_pattern(pair[1], count);
    kill(-child, SIGKILL);
    suite_wait(child);
    close(pair[1]), close(said[0]);
}

#define CASE(name, ...)                                                                                      \
    static void name(const struct net *net)                                                                  \
    {                                                                                                        \
        delivered(net, &(struct writer){__VA_ARGS__});                                                       \
    }

CASE(then_a_lock, .write = write_without_blocking, .next = wait_on_a_lock)
CASE(then_computing, .write = write_without_blocking, .next = compute)
CASE(then_a_signal, .write = write_without_blocking, .next = wait_for_a_signal)
CASE(then_a_read, .write = write_without_blocking, .next = read_a_pipe)
CASE(then_a_poll, .write = write_without_blocking, .next = poll_a_pipe)
CASE(then_an_epoll, .write = write_without_blocking, .next = wait_for_an_epoll)
CASE(then_a_sleep, .write = write_without_blocking, .next = sleep_long)
CASE(then_a_fork, .write = write_without_blocking, .next = wait_behind_a_fork)
CASE(then_a_program, .write = write_without_blocking, .next = run_a_program)
CASE(then_the_end, .write = write_without_blocking, .next = end, .by_a_child = true)
CASE(then_closed, .write = write_without_blocking, .next = wait_on_a_lock, .by_a_child = true, .closes = true)
CASE(after_a_limit, .write = write_with_a_limit, .next = wait_on_a_lock)
CASE(after_a_signal, .write = write_until_interrupted, .next = wait_on_a_lock)
CASE(of_a_file, .write = send_a_file, .next = wait_on_a_lock)
CASE(of_small_pieces, .write = send_small, .next = wait_on_a_lock)

int main(int argc, char **argv)
{
    static const struct suite_case cases[] = {
        {.name = "taken in part, then a lock", .run = then_a_lock, .limit_s = 30},
        {.name = "taken in part, then computing", .run = then_computing, .limit_s = 30},
        {.name = "taken in part, then a signal", .run = then_a_signal, .limit_s = 30},
        {.name = "taken in part, then a read", .run = then_a_read, .limit_s = 30},
        {.name = "taken in part, then a poll", .run = then_a_poll, .limit_s = 30},
        {.name = "taken in part, then an epoll", .run = then_an_epoll, .limit_s = 30},
        {.name = "taken in part, then a sleep", .run = then_a_sleep, .limit_s = 30},
        {.name = "taken in part, then a fork", .run = then_a_fork, .limit_s = 30},
        {.name = "taken in part, then another program", .run = then_a_program, .limit_s = 30},
        {.name = "taken in part by a child that ends", .run = then_the_end, .limit_s = 30},
        {.name = "taken in part by a child that closes", .run = then_closed, .limit_s = 30},
        {.name = "a time limit, then a lock", .run = after_a_limit, .limit_s = 30},
        {.name = "interrupted, then a lock", .run = after_a_signal, .limit_s = 30},
        {.name = "of a file, then a lock", .run = of_a_file, .limit_s = 30},
        {.name = "of small pieces, then a lock", .run = of_small_pieces, .limit_s = 30},
    };
    suite_cases(cases, suite_count(cases));
    return suite_run(argc, argv);
}
