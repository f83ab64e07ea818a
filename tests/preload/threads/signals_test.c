/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Signals while a call is blocked: restarted, interrupted, jumped out of, or busy with the connection
 * themselves. */

#include "suite.h"

#include "alarms.h"
#include "net.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <threads.h>
#include <unistd.h>

int __sigsuspend(const sigset_t *mask);

static int handler_fd = -1;
static sigjmp_buf escape;

static void jump_out(int number)
{
    (void)number;
    siglongjmp(escape, 1);
}

enum { LOOKED_AT = 20 << 20 };
static volatile sig_atomic_t looked_at; /* by the handler */

static void write_in_handler(int number)
{
    int kept = errno;
    (void)number;
    alarms = alarms + (write(handler_fd, "sig", 3) == 3);
    errno = kept;
}

static void read_in_handler(int number)
{
    int kept = errno;
    char text[4];
    (void)number;
    alarms = alarms + (recv(handler_fd, text, sizeof text, MSG_DONTWAIT) > 0);
    errno = kept;
}

/* Counts in pieces of 16 KiB, about: what a short write took counts in full. */
static void write_much_in_handler(int number)
{
    static const char much[16384];
    int kept = errno;
    (void)number;
    alarms = alarms + (send(handler_fd, much, sizeof much, MSG_DONTWAIT) > 0);
    errno = kept;
}

struct delayed {
    int fd;
    unsigned ms;
};

static void *write_later(void *context)
{
    struct delayed *delayed = context;
    net_sleep_ms(delayed->ms);
    return write(delayed->fd, "data", 4) == 4 ? context : NULL;
}

static pthread_t start_writer(struct delayed *delayed)
{
    return alarms_thread_without(write_later, delayed);
}

static void a_read_is_restarted(const struct net *net)
{
    for (int warm = 0; warm < 2; warm++) {
        int pair[2];
        char text[8];
        warm ? net_warm_pair(net, pair) : net_pair(net, pair);
        struct delayed delayed = {pair[0], 150};
        pthread_t thread = start_writer(&delayed);
        alarms_start(alarms_count, SA_RESTART, 20, 20);
        assert_int_equal(read(pair[1], text, sizeof text), 4);
        alarms_stop();
        assert_true(alarms >= 3);
        pthread_join(thread, NULL);
        close(pair[0]), close(pair[1]);
    }
}

static void a_read_is_interrupted(const struct net *net)
{
    for (int warm = 0; warm < 2; warm++) {
        int pair[2];
        char text[8];
        warm ? net_warm_pair(net, pair) : net_pair(net, pair);
        alarms_start(alarms_count, 0, 100, 0);
        assert_int_equal(read(pair[1], text, sizeof text), -1);
        assert_int_equal(errno, EINTR);
        assert_int_equal(alarms, 1);
        assert_int_equal(write(pair[0], "data", 4), 4);
        assert_int_equal(net_read_all(pair[1], text, 4), 4);
        close(pair[0]), close(pair[1]);
    }
}

/* signal(7): not restarted, SA_RESTART or not, when a time limit is set on the socket. */
static void a_read_with_a_time_limit_is_interrupted(const struct net *net)
{
    int pair[2];
    char text[8];
    struct timeval limit = {.tv_sec = 5};
    net_warm_pair(net, pair);
    assert_int_equal(setsockopt(pair[1], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
    alarms_start(alarms_count, SA_RESTART, 100, 0);
    assert_int_equal(read(pair[1], text, sizeof text), -1);
    assert_int_equal(errno, EINTR);
    close(pair[0]), close(pair[1]);
}

/* MSG_WAITALL that is interrupted gives what it has. */
static void waitall_gives_what_it_has(const struct net *net)
{
    int pair[2];
    char text[16];
    net_warm_pair(net, pair);
    assert_int_equal(write(pair[0], "part", 4), 4);
    alarms_start(alarms_count, 0, 100, 0);
    assert_int_equal(recv(pair[1], text, sizeof text, MSG_WAITALL), 4);
    assert_int_equal(alarms, 1);
    close(pair[0]), close(pair[1]);
}

static void accept_is_restarted_or_interrupted(const struct net *net)
{
    struct sockaddr_in address;
    int listener = net_listen(net, 4, &address);
    alarms_start(alarms_count, 0, 50, 0);
    assert_int_equal(accept(listener, NULL, NULL), -1);
    assert_int_equal(errno, EINTR);
    pid_t child = suite_fork();
    if (child == 0) {
        net_sleep_ms(100);
        int fd = net_connect(net, &address);
        char byte;
        _exit(read(fd, &byte, 1) == 1 ? 0 : 1);
    }
    alarms_start(alarms_count, SA_RESTART, 20, 20);
    int fd = accept(listener, NULL, NULL);
    alarms_stop();
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "x", 1), 1);
    assert_int_equal(suite_wait(child), 0);
    close(fd), close(listener);
}

/* Never restarted (signal(7)). */
static void waits_are_interrupted(const struct net *net)
{
    int pair[2];
    net_pair(net, pair);
    struct pollfd entry = {.fd = pair[1], .events = POLLIN};
    alarms_start(alarms_count, SA_RESTART, 50, 0);
    assert_int_equal(poll(&entry, 1, 2000), -1);
    assert_int_equal(errno, EINTR);
    fd_set set;
    FD_ZERO(&set);
    FD_SET(pair[1], &set);
    struct timeval span = {.tv_sec = 2};
    alarms_start(alarms_count, SA_RESTART, 50, 0);
    assert_int_equal(select(pair[1] + 1, &set, NULL, NULL, &span), -1);
    assert_int_equal(errno, EINTR);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, pair[1], &event), 0);
    alarms_start(alarms_count, SA_RESTART, 50, 0);
    assert_int_equal(epoll_wait(epoll, &event, 1, 2000), -1);
    assert_int_equal(errno, EINTR);
    close(epoll), close(pair[0]), close(pair[1]);
}

static void until_pending(int signal)
{
    sigset_t pending;
    do
        sigpending(&pending);
    while (!sigismember(&pending, signal));
}

/* The signal is blocked except during the wait: what pselect, ppoll and epoll_pwait are for. */
static void a_mask_for_the_wait(const struct net *net)
{
    int pair[2];
    sigset_t blocked, kept;
    net_pair(net, pair);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGALRM);
    sigprocmask(SIG_BLOCK, &blocked, &kept);
    struct pollfd entry = {.fd = pair[1], .events = POLLIN};
    struct timespec span = {.tv_sec = 2};
    alarms_start(alarms_count, 0, 1, 0);
    until_pending(SIGALRM);
    assert_int_equal(alarms, 0);
    assert_int_equal(ppoll(&entry, 1, &span, &kept), -1);
    assert_int_equal(errno, EINTR);
    assert_int_equal(alarms, 1);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, pair[1], &event), 0);
    alarms_start(alarms_count, 0, 1, 0);
    until_pending(SIGALRM);
    assert_int_equal(epoll_pwait(epoll, &event, 1, 2000, &kept), -1);
    assert_int_equal(alarms, 1);
    sigset_t now;
    sigprocmask(SIG_SETMASK, NULL, &now);
    assert_true(sigismember(&now, SIGALRM));
    close(epoll), close(pair[0]), close(pair[1]);
}

/* The time-out idiom of old programs: siglongjmp out of a blocked read. The connection goes on. */
static void jump_and_go_on(const int pair[2])
{
    char text[8];
    if (sigsetjmp(escape, 1) == 0) {
        alarms_start(jump_out, SA_RESTART, 30, 0);
        ssize_t n = read(pair[1], text, sizeof text);
        fail_msg("read gave %zd", n);
    }
    assert_int_equal(write(pair[0], "alive", 5), 5);
    assert_int_equal(net_read_all(pair[1], text, 5), 5);
    assert_int_equal(write(pair[1], "well", 4), 4);
    assert_int_equal(net_read_all(pair[0], text, 4), 4);
}

static void jumping_out_of_a_read(const struct net *net)
{
    for (int warm = 0; warm < 2; warm++) {
        int pair[2];
        warm ? net_warm_pair(net, pair) : net_pair(net, pair);
        for (int i = 0; i < 5; i++)
            jump_and_go_on(pair);
        close(pair[0]), close(pair[1]);
    }
}

/* A handler that writes to the connection that the interrupted code is reading from. */
static void a_handler_writes(const struct net *net)
{
    int pair[2];
    char text[256];
    net_warm_pair(net, pair);
    handler_fd = pair[1];
    struct delayed delayed = {pair[0], 200};
    pthread_t thread = start_writer(&delayed);
    alarms_start(write_in_handler, SA_RESTART, 20, 20);
    assert_int_equal(read(pair[1], text, sizeof text), 4);
    alarms_stop();
    pthread_join(thread, NULL);
    assert_true(alarms >= 3);
    assert_int_equal(net_read_all(pair[0], text, (size_t)alarms * 3), (size_t)alarms * 3);
    for (int i = 0; i < alarms; i++)
        assert_memory_equal(text + 3 * i, "sig", 3);
    close(pair[0]), close(pair[1]);
}

/* Handlers that hit code in the midst of writing and of reading, at any instruction. On plain TCP each call
 * is whole. */
static void a_handler_in_the_thick_of_it(const struct net *net)
{
    int pair[2];
    char text[4];
    unsigned mine = 0, theirs = 0;
    net_warm_pair(net, pair);
    handler_fd = pair[0];
    struct itimerval timer = {{0, 300}, {0, 300}};
    alarms_start(write_in_handler, SA_RESTART, 0, 0);
    assert_int_equal(setitimer(ITIMER_REAL, &timer, NULL), 0);
    for (int i = 0; i < 20000; i++) {
        assert_int_equal(write(pair[0], "bgn", 3), 3);
        while (mine + theirs < (unsigned)i + 1 + (unsigned)alarms) {
            assert_int_equal(net_read_all(pair[1], text, 3), 3);
            if (memcmp(text, "bgn", 3) == 0)
                mine++;
            else if (memcmp(text, "sig", 3) == 0)
                theirs++;
            else
                fail_msg("torn: %.3s", text);
        }
    }
    alarms_stop();
    assert_int_equal(mine, 20000);
    close(pair[0]), close(pair[1]);
}

/* A thread whose alternate stack lies above its ordinary one. */
struct stacks {
    _Alignas(4096) uint8_t ordinary[1 << 18], alternate[1 << 16];
};

struct low_writer {
    int fd;
    _Atomic pid_t thread;
    struct stacks *stacks;
};

enum { LOW_BYTES = 8 << 20 };
static uint8_t low_data[LOW_BYTES];

static void *write_below(void *context)
{
    struct low_writer *writer = context;
    const stack_t alternate = {.ss_sp = writer->stacks->alternate,
                               .ss_size = sizeof writer->stacks->alternate};
    bool good = sigaltstack(&alternate, NULL) == 0;
    writer->thread = (pid_t)syscall(SYS_gettid);
    return good && net_write_all(writer->fd, low_data, sizeof low_data) == sizeof low_data ? context : NULL;
}

static void send_in_handler(int number)
{
    int kept = errno;
    (void)number;
    const ssize_t sent = send(handler_fd, "s", 1, MSG_DONTWAIT);
    alarms = alarms + (sent == 1);
    looked_at = sent < 0 && errno != EAGAIN ? errno : -1;
    errno = kept;
}

static void a_handler_on_an_alternate_stack(const struct net *net)
{
    int pair[2];
    pthread_t thread;
    pthread_attr_t attributes;
    void *done;
    struct low_writer writer = {.stacks = mmap(NULL, sizeof *writer.stacks, PROT_READ | PROT_WRITE,
                                               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)};
    struct sigaction action = {.sa_handler = send_in_handler, .sa_flags = SA_ONSTACK | SA_RESTART};
    net_warm_pair(net, pair);
    handler_fd = writer.fd = pair[0];
    alarms = 0;
    sigaction(SIGUSR1, &action, NULL);
    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, writer.stacks->ordinary, sizeof writer.stacks->ordinary);
    assert_int_equal(pthread_create(&thread, &attributes, write_below, &writer), 0);
    for (int i = 0; i < 2; i++) {
        while (!writer.thread)
            net_sleep_ms(1);
        suite_until_blocked(writer.thread);
        looked_at = 0;
        pthread_kill(thread, SIGUSR1);
        while (!looked_at)
            net_sleep_ms(1);
        assert_int_equal(looked_at, -1);
    }
    assert_int_equal(net_read_all(pair[1], low_data, sizeof low_data), sizeof low_data);
    pthread_join(thread, &done);
    assert_non_null(done);
    close(pair[0]);
    assert_int_equal(net_read_all(pair[1], low_data, sizeof low_data), (size_t)alarms);
    close(pair[1]);
    pthread_attr_destroy(&attributes);
    munmap(writer.stacks, sizeof *writer.stacks);
}

/* What a handler may leave behind an interrupted write is bounded, however often that is interrupted. */
static void a_handler_that_nobody_reads(const struct net *net)
{
    enum { SOME = 400 }; /* 6.4 MB: more than any kernel's buffers */
    static const char data[100000];
    int pair[2];
    const int small = 10000;
    net_warm_pair(net, pair);
    handler_fd = pair[0];
    assert_int_equal(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
    alarms_start(write_much_in_handler, SA_RESTART, 1, 1);
    const int64_t end = net_now_ms() + 1500;
    while (net_now_ms() < end && alarms < SOME)
        (void)!send(pair[0], data, sizeof data, MSG_DONTWAIT);
    alarms_stop();
    assert_in_range(alarms, 0, SOME - 1);
    close(pair[1]), close(pair[0]);
}

static void a_handler_reads(const struct net *net)
{
    int pair[2];
    char text[8];
    net_warm_pair(net, pair);
    handler_fd = pair[1];
    assert_int_equal(write(pair[0], "for it", 6), 6);
    assert_true(net_wait(pair[1], POLLIN, 2000) & POLLIN);
    alarms_start(read_in_handler, SA_RESTART, 20, 0);
    while (alarms == 0)
        pause();
    assert_int_equal(net_read_all(pair[1], text, 2), 2);
    assert_memory_equal(text, "it", 2);
    close(pair[0]), close(pair[1]);
}

static bool about(int64_t start_ms, int64_t expected_ms)
{
    int64_t took = net_now_ms() - start_ms;
    return took >= expected_ms - 2 && took <= expected_ms + 500;
}

/* Whoever waits drives handshakes, sleepers too: they must sleep as long as they were told all the same. */
static void sleeping_beside_a_handshake(const struct net *net)
{
    struct sockaddr_in address;
    int listener = net_listen(net, 4, &address), fd = net_connect(net, &address);
    struct timespec span = {.tv_nsec = 60000000}, rest = {0};
    struct timeval interval = {.tv_usec = 60000};
    assert_int_equal(write(fd, "queued", 6), 6);
    int64_t start = net_now_ms();
    assert_int_equal(nanosleep(&span, NULL), 0);
    assert_true(about(start, 60));
    start = net_now_ms();
    assert_int_equal(usleep(60000), 0);
    assert_true(about(start, 60));
    start = net_now_ms();
    assert_int_equal(select(0, NULL, NULL, NULL, &interval), 0);
    assert_true(about(start, 60));
    start = net_now_ms();
    assert_int_equal(poll(NULL, 0, 60), 0);
    assert_true(about(start, 60));
    alarms_start(alarms_count, SA_RESTART, 50, 0);
    span = (struct timespec){.tv_sec = 2};
    start = net_now_ms();
    assert_int_equal(nanosleep(&span, &rest), -1);
    assert_int_equal(errno, EINTR);
    assert_true(about(start, 50));
    assert_int_equal(rest.tv_sec, 1);
    close(fd), close(listener);
}

/* Sleeps that are told as waits of other kinds; each is interrupted after 50 ms. */
static void waiting_for_signals_beside_a_handshake(const struct net *net)
{
    struct sockaddr_in address;
    int listener = net_listen(net, 4, &address), fd = net_connect(net, &address);
    struct timespec span = {.tv_nsec = 60000000}, rest = {0};
    sigset_t none, only_alarm;
    char text[8];
    sigemptyset(&none);
    sigemptyset(&only_alarm);
    sigaddset(&only_alarm, SIGALRM);
    assert_int_equal(write(fd, "queued", 6), 6);
    int64_t start = net_now_ms();
    assert_int_equal(thrd_sleep(&span, NULL), 0);
    assert_true(about(start, 60));
    alarms_start(alarms_count, SA_RESTART, 50, 50);
    span = (struct timespec){.tv_sec = 2};
    assert_int_equal(thrd_sleep(&span, &rest), -1);
    assert_in_range(rest.tv_sec, 0, 1);
    assert_int_equal(pause(), -1);
    assert_int_equal(errno, EINTR);
    assert_int_equal(sigprocmask(SIG_BLOCK, &only_alarm, NULL), 0);
    for (int form = 0; form < 2; form++) {
        assert_int_equal(form == 0 ? sigsuspend(&none) : __sigsuspend(&none), -1);
        assert_int_equal(errno, EINTR);
    }
    alarms_stop();
    int peer = accept(listener, NULL, NULL);
    assert_int_equal(net_read_all(peer, text, 6), 6);
    close(fd), close(peer), close(listener);
}

/* A program that has written, and then waits for nothing but a signal: its bytes go out all the same. */
static void a_wait_for_signals_drives(const struct net *net)
{
    struct sockaddr_in address;
    char text[8];
    int listener = net_listen(net, 4, &address);
    for (int form = 0; form < 3; form++) {
        pid_t child = suite_fork();
        if (child == 0) {
            sigset_t none;
            sigemptyset(&none);
            int fd = net_client(net, SOCK_NONBLOCK);
            net_connect_to(fd, &address);
            net_wait(fd, POLLOUT, 3000);
            if (write(fd, "hello", 5) != 5)
                _exit(1);
            if (form == 0)
                pause();
            else if (form == 1)
                sigsuspend(&none);
            else
                thrd_sleep(&(struct timespec){.tv_sec = 100}, NULL);
            _exit(0);
        }
        int peer = accept(listener, NULL, NULL);
        assert_int_equal(net_read_all(peer, text, 5), 5);
        kill(child, SIGKILL);
        suite_wait(child);
        close(peer);
    }
    close(listener);
}

/* Only looks, at the connection that its thread is reading. */
static void look_in_handler(int number)
{
    int saved = errno, waiting;
    (void)number;
    struct pollfd look = {.fd = looked_at, .events = POLLIN};
    poll(&look, 1, 0);
    ioctl(looked_at, FIONREAD, &waiting);
    errno = saved;
}

static void *write_in_bursts(void *context)
{
    static uint8_t data[30000];
    for (uint64_t done = 0, i = 0; done < LOOKED_AT; i++) {
        size_t len = 1 + (size_t)(i * 7919) % sizeof data;
        len = len > LOOKED_AT - done ? LOOKED_AT - (size_t)done : len;
        net_pattern(data, len, done);
        if (net_write_all(*(int *)context, data, len) != len)
            return NULL;
        done += len;
        if (i % 8 == 0)
            usleep(500); /* the reader runs dry, and blocks */
    }
    return context;
}

static void a_handler_looks(const struct net *net)
{
    static uint8_t data[20000];
    int pair[2];
    uint64_t done = 0;
    void *ok;
    net_warm_pair(net, pair);
    looked_at = pair[1];
    pthread_t thread = alarms_thread_without(write_in_bursts, &pair[0]);
    alarms_start(look_in_handler, SA_RESTART, 1, 1);
    for (size_t i = 0; done < LOOKED_AT; i++) {
        ssize_t n = recv(pair[1], data, 1 + i * 31 % sizeof data, 0);
        if (n <= 0)
            fail_msg("after %llu bytes: %s", (unsigned long long)done, n ? strerror(errno) : "the end");
        assert_true(net_is_pattern(data, (size_t)n, done));
        done += (size_t)n;
    }
    alarms_stop();
    assert_int_equal(pthread_join(thread, &ok), 0);
    assert_non_null(ok);
    close(pair[0]), close(pair[1]);
}

static const struct suite_case cases[] = {
    {.name = "a read is restarted", .run = a_read_is_restarted},
    {.name = "a read is interrupted", .run = a_read_is_interrupted},
    {.name = "a read with a time limit is interrupted", .run = a_read_with_a_time_limit_is_interrupted},
    {.name = "MSG_WAITALL gives what it has", .run = waitall_gives_what_it_has},
    {.name = "accept is restarted or interrupted", .run = accept_is_restarted_or_interrupted},
    {.name = "waits are interrupted", .run = waits_are_interrupted},
    {.name = "a mask for the wait", .run = a_mask_for_the_wait},
    {.name = "sleeping beside a handshake", .run = sleeping_beside_a_handshake},
    {.name = "waiting for signals beside a handshake", .run = waiting_for_signals_beside_a_handshake},
    {.name = "a wait for signals drives", .run = a_wait_for_signals_drives},
    {.name = "jumping out of a read", .run = jumping_out_of_a_read},
    {.name = "a handler writes", .run = a_handler_writes},
    {.name = "a handler in the thick of it", .run = a_handler_in_the_thick_of_it},
    {.name = "a handler on an alternate stack", .run = a_handler_on_an_alternate_stack},
    {.name = "a handler that nobody reads", .run = a_handler_that_nobody_reads},
    {.name = "a handler reads", .run = a_handler_reads},
    {.name = "a handler looks", .run = a_handler_looks},
};

int main(int argc, char **argv)
{
    suite_cases(cases, suite_count(cases));
    return suite_run(argc, argv);
}
