/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Calls between accept() or connect() and the end of the handshake: each after each, by two threads, and at
 * the same time. What plain TCP tells and delivers, a sealed connection tells and delivers. */

#include "suite.h"

#include "net.h"
#include "single_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static const char greeting[] = "hello";
enum { GREETING = sizeof greeting - 1 };

/* One call of the family: its result, -errno if it failed. */
struct early_call {
    const char *name;
    long (*run)(int fd);
};

static long send_greeting(int fd)
{
    return single_told(send(fd, greeting, GREETING, MSG_NOSIGNAL));
}

static long send_without_waiting(int fd)
{
    return single_told(send(fd, greeting, GREETING, MSG_NOSIGNAL | MSG_DONTWAIT));
}

static long receive(int fd)
{
    char text[8];
    return single_told(recv(fd, text, sizeof text, MSG_DONTWAIT));
}

static long peek(int fd)
{
    char text[8];
    return single_told(recv(fd, text, sizeof text, MSG_DONTWAIT | MSG_PEEK));
}

static long timeout(int fd)
{
    struct timeval limit = {.tv_sec = 5};
    return single_told(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit));
}

static const struct early_call calls[] = {
    {"shutdown(SHUT_RD)", single_shut_reading},
    {"shutdown(SHUT_WR)", single_shut_writing},
    {"shutdown(SHUT_RDWR)", single_shut_both},
    {"send", send_greeting},
    {"send without waiting", send_without_waiting},
    {"recv", receive},
    {"peek", peek},
    {"FIONREAD", single_count},
    {"SO_ERROR", single_so_error},
    {"poll", single_ready},
    {"getpeername", single_peer_name},
    {"dup and close", single_copy_and_close},
    {"SO_RCVTIMEO", timeout},
};

/* A call that another thread makes. */
struct elsewhere {
    const struct early_call *call;
    pthread_barrier_t *start; /* NULL: at once */
    int fd;
    long result;
};

static void *make_call(void *context)
{
    struct elsewhere *one = context;
    if (one->start)
        pthread_barrier_wait(one->start);
    one->result = one->call->run(one->fd);
    return NULL;
}

static long call_elsewhere(const struct early_call *call, int fd)
{
    pthread_t thread;
    struct elsewhere one = {.call = call, .fd = fd};
    assert_int_equal(pthread_create(&thread, NULL, make_call, &one), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    return one.result;
}

/* One end makes two calls on a connection that nobody has used yet, the second in another thread, and closes;
 * the other hears it to its end. */
static void play(const struct net *net, int side, const struct early_call *first,
                 const struct early_call *second, char *story, size_t size)
{
    int pair[2];
    net_pair(net, pair);
    long one = first->run(pair[side]), two = call_elsewhere(second, pair[side]);
    close(pair[side]);
    long heard = single_hear_to_end(pair[1 - side]);
    snprintf(story, size, "%s = %ld, %s = %ld, closed; the other end heard %ld, SO_ERROR %ld", first->name,
             one, second->name, two, heard, single_so_error(pair[1 - side]));
    close(pair[1 - side]);
}

static void every_call_after_every_call(int side)
{
    char plain[256], sealed[256];
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < suite_count(calls); i++) {
        for (size_t j = 0; j < suite_count(calls); j++) {
            play(&net_plain, side, &calls[i], &calls[j], plain, sizeof plain);
            play(&net_sealed, side, &calls[i], &calls[j], sealed, sizeof sealed);
            assert_string_equal(plain, sealed);
        }
    }
}

static void by_the_side_that_connected(void)
{
    every_call_after_every_call(0);
}

static void by_the_side_that_accepted(void)
{
    every_call_after_every_call(1);
}

/* Two calls at the same moment. The other end hears what a send was said to have taken, and a clean end. */
static void play_at_once(const struct net *net, int side, const struct early_call *first,
                         const struct early_call *second)
{
    int pair[2];
    pthread_t threads[2];
    pthread_barrier_t start;
    net_pair(net, pair);
    pthread_barrier_init(&start, NULL, 2);
    struct elsewhere both[2] = {{first, &start, pair[side], 0}, {second, &start, pair[side], 0}};
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, make_call, &both[i]), 0);
    long sent = 0;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        bool sends = both[i].call->run == send_greeting || both[i].call->run == send_without_waiting;
        if (sends && both[i].result != -EPIPE) {
            assert_int_equal(both[i].result, GREETING);
            sent += GREETING;
        }
    }
    pthread_barrier_destroy(&start);
    close(pair[side]);
    long heard = single_hear_to_end(pair[1 - side]);
    if (heard != sent)
        fail_msg("%s beside %s at side %d: %ld bytes were taken, and the other end heard %ld", first->name,
                 second->name, side, sent, heard);
    assert_int_equal(single_so_error(pair[1 - side]), 0);
    close(pair[1 - side]);
}

static void every_call_beside_every_call(const struct net *net)
{
    enum { ROUNDS = 4 };
    signal(SIGPIPE, SIG_IGN);
    for (int round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < suite_count(calls); i++)
            for (size_t j = i; j < suite_count(calls); j++)
                for (int side = 0; side < 2; side++)
                    play_at_once(net, side, &calls[i], &calls[j]);
}

/* A thread of this kind closes its connection while others make progress with it, and then has a Unix socket
 * of the same number, which nobody but its own thread may shut down. */
static void *reuse_numbers(void *context)
{
    const struct net *net = context;
    enum { ROUNDS = 150 };
    char byte;
    for (int i = 0; i < ROUNDS; i++) {
        int pair[2], unix_pair[2];
        net_pair(net, pair);
        if (send(pair[0], greeting, GREETING, MSG_NOSIGNAL) != GREETING || shutdown(pair[0], SHUT_WR) < 0 ||
            shutdown(pair[1], SHUT_WR) < 0 || single_hear_to_end(pair[1]) != GREETING ||
            single_hear_to_end(pair[0]) != 0)
            return "a connection";
        close(pair[0]), close(pair[1]);
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, unix_pair) < 0)
            return "socketpair";
        net_wait(unix_pair[0], POLLIN, 1);
        if (recv(unix_pair[0], &byte, 1, MSG_DONTWAIT) == 0 ||
            recv(unix_pair[1], &byte, 1, MSG_DONTWAIT) == 0)
            return "a Unix socket was shut down";
        close(unix_pair[0]), close(unix_pair[1]);
    }
    return NULL;
}

static void no_call_reaches_the_next_owner(const struct net *net)
{
    enum { THREADS = 12 };
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, reuse_numbers, (void *)(uintptr_t)net), 0);
    for (int i = 0; i < THREADS; i++) {
        void *wrong;
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        if (wrong)
            fail_msg("%s", (const char *)wrong);
    }
}

/* A program that never waits finds out soon that the other end has been closed. */
static void writing_to_an_end_that_is_closed(const struct net *net)
{
    int pair[2];
    size_t taken = 0;
    ssize_t n;
    net_pair(net, pair);
    close(pair[1]);
    while ((n = send(pair[0], "meow", 4, MSG_NOSIGNAL | MSG_DONTWAIT)) > 0)
        taken += (size_t)n;
    assert_true(errno == EPIPE || errno == ECONNRESET);
    assert_true(taken < 100000);
    close(pair[0]);
}

static const struct suite_test tests[] = {
    {.name = "every call after every call, by the side that connected", .run = by_the_side_that_connected},
    {.name = "every call after every call, by the side that accepted", .run = by_the_side_that_accepted},
};

static const struct suite_case cases[] = {
    {.name = "every call beside every call", .run = every_call_beside_every_call, .limit_s = 60},
    {.name = "no call reaches the next owner of a number",
     .run = no_call_reaches_the_next_owner,
     .limit_s = 60},
    {.name = "writing to an end that is closed", .run = writing_to_an_end_that_is_closed},
};

int main(int argc, char **argv)
{
    suite_tests(tests, suite_count(tests));
    suite_cases(cases, suite_count(cases));
    return suite_run(argc, argv);
}
