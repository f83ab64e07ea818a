/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* What users of other preloaded libraries reported (see complaints_test.c): signals, waits, connecting,
 * threads. */

#include "support/suite.h"

#include "support/net.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { SOON_MS = 3000, ALARM_MS = 40, SWAPS = 300 };

static volatile sig_atomic_t alarms;

static void count_alarm(int number)
{
    (void)number;
    alarms = alarms + 1;
}

static void start_alarms(int flags)
{
    struct sigaction action = {.sa_handler = count_alarm, .sa_flags = flags};
    struct itimerval timer = {{0, ALARM_MS * 1000}, {0, ALARM_MS * 1000}};
    alarms = 0;
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &timer, NULL), 0);
}

static void stop_alarms(void)
{
    struct itimerval none = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &none, NULL);
}

static void expect_text(int fd, const char *text)
{
    char got[64] = "";
    assert_int_equal(net_read_all(fd, got, strlen(text)), strlen(text));
    assert_string_equal(got, text);
}

/* A connection of which nobody accepts the other end: its handshake stays outstanding. */
static int outstanding(const struct net *net, int *listener)
{
    struct sockaddr_in address;
    *listener = net_listen(net, 4, &address);
    int fd = net_connect(net, &address);
    assert_int_equal(write(fd, "queued", 6), 6);
    return fd;
}

/* ---- 3 ---- */

/* With SA_RESTART accept goes on until there is somebody, without it it is interrupted; both also while the
 * shim waits in it for another connection's handshake. */
static void complaint_03_accept_is_restarted(const struct net *net)
{
    struct sockaddr_in address;
    int other, waiting = outstanding(net, &other), listener = net_listen(net, 4, &address);
    start_alarms(0);
    assert_int_equal(accept(listener, NULL, NULL), -1);
    assert_int_equal(errno, EINTR);
    stop_alarms();
    pid_t child = suite_fork();
    if (child == 0) {
        net_sleep_ms(5 * ALARM_MS);
        int fd = net_connect(net, &address);
        char byte;
        _exit(read(fd, &byte, 1) == 1 ? 0 : 1);
    }
    start_alarms(SA_RESTART);
    int fd = accept(listener, NULL, NULL);
    stop_alarms();
    assert_true(fd >= 0);
    assert_true(alarms > 0);
    assert_int_equal(write(fd, "x", 1), 1);
    assert_int_equal(suite_wait(child), 0);
    close(fd), close(listener), close(waiting), close(other);
}

static void complaint_03_epoll_wait_is_interruptible(const struct net *net)
{
    struct epoll_event event = {.events = EPOLLIN};
    int pair[2], other, epoll = epoll_create1(EPOLL_CLOEXEC);
    net_warm_pair(net, pair);
    assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, pair[1], &event), 0);
    for (int round = 0; round < 2; round++) {
        int waiting = round == 0 ? -1 : outstanding(net, &other);
        start_alarms(SA_RESTART);
        assert_int_equal(epoll_wait(epoll, &event, 1, -1), -1);
        assert_int_equal(errno, EINTR);
        assert_int_equal(epoll_pwait(epoll, &event, 1, 10000, NULL), -1);
        assert_int_equal(errno, EINTR);
        stop_alarms();
        if (round == 1)
            close(waiting), close(other);
    }
    close(epoll), close(pair[0]), close(pair[1]);
}

/* ---- 4 ---- */

static void complaint_04_nested_epoll_fires(const struct net *net)
{
    struct epoll_event event = {.events = EPOLLIN};
    int pair[2], inner = epoll_create1(EPOLL_CLOEXEC), outer = epoll_create1(EPOLL_CLOEXEC);
    net_pair(net, pair);
    assert_int_equal(epoll_ctl(inner, EPOLL_CTL_ADD, pair[1], &event), 0);
    event.data.fd = inner;
    assert_int_equal(epoll_ctl(outer, EPOLL_CTL_ADD, inner, &event), 0);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(write(pair[0], "x", 1), 1);
        assert_int_equal(epoll_wait(outer, &event, 1, SOON_MS), 1);
        assert_int_equal(event.data.fd, inner);
        assert_int_equal(epoll_wait(inner, &event, 1, SOON_MS), 1);
        expect_text(pair[1], "x");
    }
    assert_int_equal(epoll_wait(outer, &event, 1, 20), 0);
    close(inner), close(outer), close(pair[0]), close(pair[1]);
}

static void complaint_04_epoll_mod_finds_what_was_added(const struct net *net)
{
    struct sockaddr_in address;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT};
    int epoll = epoll_create1(EPOLL_CLOEXEC), listener = net_listen(net, 4, &address);
    int fd = net_client(net, SOCK_NONBLOCK);
    assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), 0);
    net_connect_to(fd, &address);
    assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event), 0);
    int peer = accept(listener, NULL, NULL);
    assert_int_equal(write(peer, "x", 1), 1);
    event.events = EPOLLIN;
    assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event), 0);
    char byte;
    ssize_t n = -1;
    for (int64_t end = net_now_ms() + SOON_MS; n < 0 && net_now_ms() < end; n = read(fd, &byte, 1))
        assert_int_equal(epoll_wait(epoll, &event, 1, SOON_MS), 1);
    assert_int_equal(n, 1);
    assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event), 0);
    close(epoll), close(fd), close(peer), close(listener);
}

static int64_t cpu_ms(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return used.tv_sec * 1000 + used.tv_nsec / 1000000;
}

/* A select that is a sleep must sleep, also beside a handshake that does not end. */
static void complaint_04_select_with_no_sets_does_not_spin(const struct net *net)
{
    int other, waiting = outstanding(net, &other);
    int64_t used = cpu_ms(), start = net_now_ms();
    for (int round = 0; round < 4; round++) {
        struct timeval span = {.tv_usec = 100000};
        assert_int_equal(select(0, NULL, NULL, NULL, &span), 0);
    }
    assert_true(net_now_ms() - start >= 400);
    assert_in_range(cpu_ms() - used, 0, 200);
    close(waiting), close(other);
}

/* ---- 5: a mutex that a fork in another thread leaves locked ---- */

static volatile sig_atomic_t busy_stop;

static void *use_doors(void *context)
{
    int *pair = context;
    char text[4];
    while (!busy_stop) {
        struct pollfd one = {.fd = pair[1], .events = POLLIN};
        if (write(pair[0], "busy", 4) != 4 || poll(&one, 1, SOON_MS) != 1 ||
            net_read_all(pair[1], text, 4) != 4)
            return context;
    }
    return NULL;
}

static void complaint_05_forks_amid_calls_do_not_deadlock(const struct net *net)
{
    int pairs[2][2];
    pthread_t threads[2];
    void *failed;
    busy_stop = 0;
    for (int i = 0; i < 2; i++) {
        net_pair(net, pairs[i]);
        assert_int_equal(pthread_create(&threads[i], NULL, use_doors, pairs[i]), 0);
    }
    for (int round = 0; round < 40; round++) {
        pid_t child = suite_fork();
        if (child == 0) {
            int own[2];
            net_warm_pair(net, own);
            close(own[0]), close(own[1]);
            _exit(0);
        }
        assert_int_equal(suite_wait(child), 0);
    }
    busy_stop = 1;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
        close(pairs[i][0]), close(pairs[i][1]);
    }
}

/* ---- 6, 7 ---- */

static bool writable_by(int form, int fd)
{
    struct epoll_event event = {.events = EPOLLOUT | EPOLLET};
    struct timeval span = {.tv_sec = SOON_MS / 1000};
    fd_set set;
    if (form == 0)
        return net_wait(fd, POLLOUT, SOON_MS) & POLLOUT;
    FD_ZERO(&set);
    FD_SET(fd, &set);
    if (form == 1)
        return select(fd + 1, NULL, &set, NULL, &span) == 1 && FD_ISSET(fd, &set);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    int ready = epoll_wait(epoll, &event, 1, SOON_MS);
    close(epoll);
    return ready == 1 && (event.events & EPOLLOUT);
}

/* MongoDB's driver and nghttp2: connect, wait for POLLOUT, ask SO_ERROR, go on; nobody has accepted yet. */
static void complaint_06_nonblocking_connect_does_not_time_out(const struct net *net)
{
    struct sockaddr_in address, peer;
    int listener = net_listen(net, 4, &address);
    for (int form = 0; form < 3; form++) {
        int error = -1, fd = net_client(net, SOCK_NONBLOCK);
        socklen_t len = sizeof error, peer_len = sizeof peer;
        if (net_connect_to(fd, &address) < 0)
            assert_int_equal(errno, EINPROGRESS);
        assert_true(writable_by(form, fd));
        assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len), 0);
        assert_int_equal(error, 0);
        assert_int_equal(getpeername(fd, (struct sockaddr *)&peer, &peer_len), 0);
        assert_int_equal(peer.sin_port, address.sin_port);
        assert_int_equal(write(fd, "ping", 4), 4);
        int other = accept(listener, NULL, NULL);
        expect_text(other, "ping");
        assert_int_equal(write(other, "pong", 4), 4);
        net_set_nonblock(fd, false);
        expect_text(fd, "pong");
        close(fd), close(other);
    }
    close(listener);
}

struct server {
    int fd;
    size_t total;
};

/* A head, and a body in small and in large pieces, with pauses. */
static void *serve_page(void *context)
{
    struct server *server = context;
    static uint8_t data[40000];
    size_t done = 0;
    for (size_t i = 1; done < server->total; i = i * 7 % 39989 + 1) {
        size_t len = i < server->total - done ? i : server->total - done;
        net_pattern(data, len, done);
        if (net_write_all(server->fd, data, len) != len)
            break;
        done += len;
        if (i % 3 == 0)
            net_sleep_ms(1);
    }
    return NULL;
}

static bool readable_soon(int fd)
{
    struct timeval span = {.tv_sec = 10};
    fd_set set;
    FD_ZERO(&set);
    FD_SET(fd, &set);
    return select(fd + 1, &set, NULL, NULL, &span) == 1;
}

/* wget's loop on a blocking descriptor: select, peek for the end of the head, read to there; then select and
 * read. A select that does not see what is opened already stalls it for good. */
static void complaint_07_wget_does_not_stall_in_select(const struct net *net)
{
    enum { HEAD = 3000, TOTAL = 600000, STEP = 512 };
    static uint8_t data[8192];
    int pair[2];
    pthread_t thread;
    size_t done = 0;
    net_pair(net, pair);
    struct server server = {pair[0], TOTAL};
    assert_int_equal(pthread_create(&thread, NULL, serve_page, &server), 0);
    while (done < TOTAL) {
        assert_true(readable_soon(pair[1]));
        ssize_t n = done < HEAD ? recv(pair[1], data, STEP, MSG_PEEK) : 0;
        assert_true(n >= 0);
        n = read(pair[1], data, n > 0 ? (size_t)(n + 1) / 2 : sizeof data);
        assert_true(n > 0);
        assert_true(net_is_pattern(data, (size_t)n, done));
        done += (size_t)n;
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    close(pair[0]), close(pair[1]);
}

/* ---- 16 ---- */

static void complaint_16_a_failed_connect_is_writable(const struct net *net)
{
    struct sockaddr_in address;
    for (int form = 0; form < 2; form++) {
        int error = 0, listener = net_listen(net, 4, &address), fd = net_client(net, SOCK_NONBLOCK);
        socklen_t len = sizeof error;
        close(listener);
        int result = net_connect_to(fd, &address);
        assert_int_equal(result, -1);
        if (errno == EINPROGRESS) {
            short events = net_wait(fd, form ? POLLIN | POLLOUT : POLLOUT, SOON_MS);
            assert_int_equal(events & (POLLOUT | POLLERR | POLLHUP), POLLOUT | POLLERR | POLLHUP);
            assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len), 0);
            assert_int_equal(error, ECONNREFUSED);
        } else {
            assert_int_equal(errno, ECONNREFUSED);
        }
        assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), -1);
        assert_int_equal(errno, EPIPE);
        close(fd);
    }
}

static void *swap(void *context)
{
    const int *pair = context;
    for (int i = 0; i < SWAPS; i++) {
        if (dup2(pair[0], pair[1]) != pair[1])
            return context;
    }
    return NULL;
}

static void complaint_16_dup2_both_ways_in_two_threads(const struct net *net)
{
    int one[2], two[2];
    pthread_t threads[2];
    void *failed;
    net_warm_pair(net, one);
    net_warm_pair(net, two);
    int there[2] = {one[0], two[0]}, back[2] = {two[0], one[0]};
    assert_int_equal(pthread_create(&threads[0], NULL, swap, there), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, swap, back), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    assert_int_equal(dup2(one[0], two[0]), two[0]); /* one of them is left, under both numbers */
    struct pollfd ends[2] = {{.fd = one[1], .events = POLLIN}, {.fd = two[1], .events = POLLIN}};
    assert_int_equal(poll(ends, 2, SOON_MS), 1);
    assert_int_equal(write(one[0], "left", 4), 4);
    expect_text(ends[0].revents ? two[1] : one[1], "left");
    close(one[0]), close(one[1]), close(two[0]), close(two[1]);
}

struct reader {
    int fd;
    ssize_t got;
    char text[8];
};

static void *read_some(void *context)
{
    struct reader *reader = context;
    reader->got = read(reader->fd, reader->text, sizeof reader->text);
    return NULL;
}

/* The reader goes on with what it was reading; who comes later reads what stands there now. */
static void complaint_16_dup2_over_a_descriptor_that_another_thread_is_blocked_in(const struct net *net)
{
    int one[2], two[2];
    pthread_t thread;
    struct reader reader = {0};
    net_warm_pair(net, one);
    net_warm_pair(net, two);
    int kept = fcntl(one[1], F_DUPFD_CLOEXEC, 3);
    reader.fd = one[1];
    assert_int_equal(pthread_create(&thread, NULL, read_some, &reader), 0);
    net_sleep_ms(30); /* into its read, most of the time; both orders must work */
    assert_int_equal(dup2(two[1], one[1]), one[1]);
    assert_int_equal(write(one[0], "old", 3), 3);
    assert_int_equal(write(two[0], "new", 3), 3);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(reader.got, 3);
    bool old = memcmp(reader.text, "old", 3) == 0;
    assert_true(old || memcmp(reader.text, "new", 3) == 0);
    expect_text(old ? one[1] : kept, old ? "new" : "old");
    close(one[0]), close(one[1]), close(two[0]), close(two[1]), close(kept);
}

static const struct suite_case cases[] = {
    {.name = "complaint_03_accept_is_restarted", .run = complaint_03_accept_is_restarted},
    {.name = "complaint_03_epoll_wait_is_interruptible", .run = complaint_03_epoll_wait_is_interruptible},
    {.name = "complaint_04_nested_epoll_fires", .run = complaint_04_nested_epoll_fires},
    {.name = "complaint_04_epoll_mod_finds_what_was_added",
     .run = complaint_04_epoll_mod_finds_what_was_added},
    {.name = "complaint_04_select_with_no_sets_does_not_spin",
     .run = complaint_04_select_with_no_sets_does_not_spin},
    {.name = "complaint_05_forks_amid_calls_do_not_deadlock",
     .run = complaint_05_forks_amid_calls_do_not_deadlock},
    {.name = "complaint_06_nonblocking_connect_does_not_time_out",
     .run = complaint_06_nonblocking_connect_does_not_time_out},
    {.name = "complaint_07_wget_does_not_stall_in_select", .run = complaint_07_wget_does_not_stall_in_select},
    {.name = "complaint_16_a_failed_connect_is_writable", .run = complaint_16_a_failed_connect_is_writable},
    {.name = "complaint_16_dup2_both_ways_in_two_threads", .run = complaint_16_dup2_both_ways_in_two_threads},
    {.name = "complaint_16_dup2_over_a_descriptor_that_another_thread_is_blocked_in",
     .run = complaint_16_dup2_over_a_descriptor_that_another_thread_is_blocked_in},
};

int main(int argc, char **argv)
{
    suite_cases(cases, suite_count(cases));
    return suite_run(argc, argv);
}
