/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* SO_RCVTIMEO, SO_SNDTIMEO and SO_RCVLOWAT count for a call of the program's as a whole, however many calls
 * of the kernel's it takes. */

#include "suite.h"

#include "net.h"
#include "proxy.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { LIMIT_MS = 200, SOON_MS = 900 };

static void set_limit(int fd, int option)
{
    struct timeval limit = {.tv_usec = LIMIT_MS * 1000};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, option, &limit, sizeof limit), 0);
}

/* A record that takes two seconds to arrive, piece by piece. */
static void receive_limit(const struct net *net, int flags)
{
    enum { LEN = 5000 };
    static uint8_t data[LEN];
    struct proxy_plan plan = {.piece = 50, .pause_us = 20000};
    int pair[2];
    struct proxy proxy = proxy_pair(net, &plan, pair);
    assert_int_equal(write(pair[1], "w", 1), 1);
    assert_int_equal(read(pair[0], data, 1), 1);
    assert_int_equal(write(pair[0], data, LEN), LEN);
    set_limit(pair[1], SO_RCVTIMEO);
    const int64_t start = net_now_ms();
    ssize_t got = recv(pair[1], data, LEN, flags);
    const int64_t took = net_now_ms() - start;
    assert_true(got > 0 || (got < 0 && errno == EAGAIN));
    if (took > SOON_MS)
        fail_msg("it took %d ms, and the limit is %d", (int)took, LIMIT_MS);
    close(pair[0]), close(pair[1]);
    proxy_end(&proxy);
}

static void receiving(const struct net *net)
{
    receive_limit(net, 0);
}

static void receiving_all(const struct net *net)
{
    receive_limit(net, MSG_WAITALL);
}

static void peeking(const struct net *net)
{
    receive_limit(net, MSG_PEEK);
}

static void *read_slowly(void *context)
{
    static uint8_t data[1 << 16];
    while (read(*(int *)context, data, sizeof data) > 0)
        net_sleep_ms(20);
    return NULL;
}

/* The reader makes room again and again. */
static void sending(const struct net *net)
{
    enum { LEN = 32 << 20 };
    const int small = 64 << 10; /* so that no call of the kernel's waits for long */
    int pair[2];
    pthread_t thread;
    uint8_t *data = calloc(1, LEN);
    assert_non_null(data);
    net_warm_pair(net, pair);
    set_limit(pair[0], SO_SNDTIMEO);
    assert_int_equal(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
    assert_int_equal(setsockopt(pair[1], SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
    assert_int_equal(pthread_create(&thread, NULL, read_slowly, &pair[1]), 0);
    const int64_t start = net_now_ms();
    ssize_t sent = send(pair[0], data, LEN, MSG_NOSIGNAL);
    const int64_t took = net_now_ms() - start;
    assert_in_range(sent, 1, LEN - 1);
    if (took > 5 * LIMIT_MS)
        fail_msg("it took %d ms, and the limit is %d", (int)took, LIMIT_MS);
    shutdown(pair[1], SHUT_RD);
    close(pair[0]);
    assert_int_equal(pthread_join(thread, NULL), 0);
    close(pair[1]);
    free(data);
}

static void *write_much(void *context)
{
    static uint8_t much[16 << 20];
    (void)!send(*(int *)context, much, sizeof much, MSG_NOSIGNAL);
    return NULL;
}

/* Another thread's write has begun without a limit, and stands in the way. */
static void sending_behind_another(const struct net *net)
{
    static char data[1 << 20];
    int pair[2];
    pthread_t thread;
    net_warm_pair(net, pair);
    assert_int_equal(pthread_create(&thread, NULL, write_much, &pair[0]), 0);
    while (net_wait(pair[0], POLLOUT, 0) || net_wait(pair[0], POLLOUT, 50)) {
    }
    set_limit(pair[0], SO_SNDTIMEO);
    const int64_t start = net_now_ms();
    ssize_t sent = send(pair[0], data, sizeof data, MSG_NOSIGNAL); /* the kernel may take a small part */
    assert_true(sent < 0 ? errno == EAGAIN : (size_t)sent < sizeof data);
    assert_in_range(net_now_ms() - start, LIMIT_MS - 10, SOON_MS + 2000);
    shutdown(pair[1], SHUT_RDWR);
    close(pair[1]);
    assert_int_equal(pthread_join(thread, NULL), 0);
    close(pair[0]);
}

static void nothing(int number)
{
    (void)number;
}

/* A call with a limit is interrupted even by a handler with SA_RESTART (signal(7)). Something else is pending
 * meanwhile, so that the library waits in its own way. */
static void interrupted_with_a_limit(const struct net *net)
{
    const struct sigaction action = {.sa_handler = nothing, .sa_flags = SA_RESTART};
    const struct itimerval often = {.it_value.tv_usec = 50000, .it_interval.tv_usec = 50000}, never = {0};
    struct timeval limit = {.tv_sec = 5};
    struct sockaddr_in address;
    char byte;
    int unanswered, waits = net_connect_unanswered(net, &unanswered);
    int listener = net_listen(net, 4, &address), one = net_client(net, 0), pair[2];
    net_pair(net, pair);
    sigaction(SIGALRM, &action, NULL);
    setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(waits, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(pair[1], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setitimer(ITIMER_REAL, &often, NULL);
    assert_int_equal(accept(listener, NULL, NULL), -1);
    assert_int_equal(errno, EINTR);
    assert_int_equal(recv(waits, &byte, 1, 0), -1);
    assert_int_equal(errno, EINTR);
    assert_int_equal(recv(pair[1], &byte, 1, 0), -1);
    assert_int_equal(errno, EINTR);
    setitimer(ITIMER_REAL, &never, NULL);
    close(waits), close(unanswered), close(listener), close(one), close(pair[0]), close(pair[1]);
}

/* It is inherited by accepted sockets, where the handshake's messages may be shorter than it. */
static void low_water_of_a_listener(const struct net *net)
{
    enum { LOW = 20000 };
    static uint8_t data[LOW];
    struct sockaddr_in address;
    const int low = LOW;
    int told = 0;
    socklen_t len = sizeof told;
    int listener = net_listen(net, 4, &address);
    assert_int_equal(setsockopt(listener, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof low), 0);
    net_set_nonblock(listener, true); /* so that nothing makes progress before both ends stand */
    int client = net_client(net, SOCK_NONBLOCK);
    assert_int_equal(setsockopt(client, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof low), 0);
    assert_int_equal(net_connect_to(client, &address), -1);
    assert_int_equal(errno, EINPROGRESS);
    int server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_int_equal(getsockopt(server, SOL_SOCKET, SO_RCVLOWAT, &told, &len), 0);
    assert_int_equal(told, LOW);
    const int64_t start = net_now_ms();
    assert_int_equal(send(client, data, LOW, MSG_DONTWAIT), LOW);
    assert_int_equal(net_wait(server, POLLIN, 5000), POLLIN);
    assert_int_equal(recv(server, data, LOW, 0), LOW);
    assert_int_equal(net_write_all(server, data, LOW), LOW);
    net_set_nonblock(client, false);
    assert_int_equal(recv(client, data, LOW, 0), LOW);
    assert_in_range(net_now_ms() - start, 0, 3000);
    close(client), close(server), close(listener);
}

/* Which events a wait gives at once, in each way. */
static bool readable_by_poll(int fd)
{
    return net_wait(fd, POLLIN, 0) & POLLIN;
}

static bool readable_by_select(int fd)
{
    fd_set set;
    struct timeval none = {0};
    FD_ZERO(&set);
    FD_SET(fd, &set);
    return select(fd + 1, &set, NULL, NULL, &none) == 1;
}

static bool readable_by_epoll(int fd)
{
    struct epoll_event event = {.events = EPOLLIN};
    int epoll = epoll_create1(0);
    assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), 0);
    int ready = epoll_wait(epoll, &event, 1, 0);
    close(epoll);
    return ready == 1;
}

/* Waits until `count` bytes are there to be read, whatever the low water is. */
static void until_there(int fd, int count)
{
    int there = 0;
    for (int64_t end = net_now_ms() + 5000; there < count && net_now_ms() < end;)
        assert_int_equal(ioctl(fd, FIONREAD, &there), 0);
    assert_int_equal(there, count);
}

static void low_water(const struct net *net, bool (*readable)(int fd), bool look)
{
    enum { LOW = 100 };
    char data[LOW] = "";
    const int low = LOW, one = 1;
    int pair[2];
    net_warm_pair(net, pair);
    assert_int_equal(setsockopt(pair[1], SOL_SOCKET, SO_RCVLOWAT, &low, sizeof low), 0);
    assert_int_equal(write(pair[0], data, 60), 60);
    if (look)
        until_there(pair[1], 60);
    else
        net_sleep_ms(20); /* too short to see it, at worst */
    assert_false(readable(pair[1]));
    assert_int_equal(write(pair[0], data, 40), 40);
    until_there(pair[1], LOW);
    assert_true(readable(pair[1]));
    assert_int_equal(recv(pair[1], data, 30, MSG_DONTWAIT), 30);
    assert_false(readable(pair[1]));
    assert_int_equal(setsockopt(pair[1], SOL_SOCKET, SO_RCVLOWAT, &one, sizeof one), 0);
    assert_true(readable(pair[1]));
    assert_int_equal(setsockopt(pair[1], SOL_SOCKET, SO_RCVLOWAT, &low, sizeof low), 0);
    assert_false(readable(pair[1]));
    assert_int_equal(shutdown(pair[0], SHUT_WR), 0); /* the end is always told */
    assert_int_not_equal(net_wait(pair[1], POLLIN, 5000), 0);
    assert_true(readable(pair[1]));
    assert_int_equal(recv(pair[1], data, LOW, 0), 70);
    assert_int_equal(recv(pair[1], data, LOW, 0), 0);
    close(pair[0]), close(pair[1]);
}

static void low_water_and_waits(const struct net *net)
{
    static bool (*const ways[])(int) = {readable_by_poll, readable_by_select, readable_by_epoll};
    for (size_t i = 0; i < suite_count(ways); i++) {
        low_water(net, ways[i], true);
        low_water(net, ways[i], false);
    }
}

/* A wait with a low water sleeps until enough is there, in however many records it comes. */
static void low_water_in_small_records(const struct net *net)
{
    const int low = 400;
    struct rusage before, after;
    char data[400];
    int pair[2];
    net_warm_pair(net, pair);
    assert_int_equal(setsockopt(pair[1], SOL_SOCKET, SO_RCVLOWAT, &low, sizeof low), 0);
    pid_t child = suite_fork();
    if (child == 0) {
        for (int i = 0; i < low; i++) {
            if (i % 40 == 0)
                net_sleep_ms(10);
            if (write(pair[0], "x", 1) != 1)
                _exit(1);
        }
        _exit(0);
    }
    getrusage(RUSAGE_SELF, &before);
    assert_int_equal(net_wait(pair[1], POLLIN, 8000), POLLIN);
    getrusage(RUSAGE_SELF, &after);
    assert_int_equal(recv(pair[1], data, sizeof data, MSG_DONTWAIT), low);
    const long us = (after.ru_utime.tv_usec - before.ru_utime.tv_usec) +
                    (after.ru_utime.tv_sec - before.ru_utime.tv_sec) * 1000000;
    assert_in_range(us, 0, 60000); /* it did not spin */
    assert_int_equal(suite_wait(child), 0);
    close(pair[0]), close(pair[1]);
}

static const struct suite_case cases[] = {
    {.name = "SO_RCVTIMEO", .run = receiving},
    {.name = "SO_RCVTIMEO and MSG_WAITALL", .run = receiving_all},
    {.name = "SO_SNDTIMEO", .run = sending},
    {.name = "SO_SNDTIMEO behind another writer", .run = sending_behind_another},
    {.name = "interrupted with a limit", .run = interrupted_with_a_limit},
    {.name = "SO_RCVLOWAT of a listener", .run = low_water_of_a_listener},
    {.name = "SO_RCVLOWAT and waits", .run = low_water_and_waits},
    {.name = "SO_RCVLOWAT in small records", .run = low_water_in_small_records},
};

/* Plain TCP's peek takes what there is. */
static void peeking_at_a_dribbled_record(void)
{
    peeking(&net_sealed);
}

static const struct suite_test tests[] = {
    {.name = "SO_RCVTIMEO and MSG_PEEK", .run = peeking_at_a_dribbled_record},
};

static const struct suite_role roles[] = {{.name = "proxy", .run = proxy_main}};

int main(int argc, char **argv)
{
    suite_cases(cases, suite_count(cases));
    suite_tests(tests, suite_count(tests));
    suite_roles(roles, suite_count(roles));
    return suite_run(argc, argv);
}
