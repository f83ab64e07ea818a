/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* The state that a connection may be in when the next program takes it over: wherever the one before stopped,
 * the next goes on. */

#include "suite.h"

#include "net.h"
#include "proxy.h"
#include "script.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LARGE = 200000 };

static uint8_t data[LARGE];

/* In the child: the steps are the next program's. */
static void go_on(int fd, const char *const *steps)
{
    char *argv[SCRIPT_WORDS];
    fcntl(fd, F_SETFD, 0);
    script_arguments(steps, argv);
    execv(argv[0], argv);
    _exit(126);
}

static void put(int fd, size_t len, uint64_t from)
{
    assert_true(len <= sizeof data);
    net_pattern(data, len, from);
    assert_int_equal(net_write_all(fd, data, len), len);
}

static void take(int fd, size_t len, uint64_t from)
{
    assert_true(len <= sizeof data);
    assert_int_equal(net_read_all(fd, data, len), len);
    assert_true(net_is_pattern(data, len, from));
}

static void opened_and_not_read(const struct net *net)
{
    int pair[2];
    net_warm_pair(net, pair);
    put(pair[1], 30000, 0);
    pid_t child = suite_fork();
    if (child == 0) {
        if (net_read_all(pair[0], data, 10) != 10)
            _exit(120);
        go_on(pair[0], (const char *[]){script_step("get %d 19990 10", pair[0]), "exec",
                                        script_step("get %d 10000 20000", pair[0]),
                                        script_step("eof %d", pair[0]), NULL});
    }
    close(pair[0]);
    shutdown(pair[1], SHUT_WR);
    assert_int_equal(suite_wait(child), 0);
    net_expect_end(pair[1]);
}

/* A small read peeks: bytes of the record are opened, and stand in the kernel's queue all the same. */
static void looked_at_and_not_read(const struct net *net)
{
    int pair[2];
    net_warm_pair(net, pair);
    put(pair[1], 3000, 0);
    pid_t child = suite_fork();
    if (child == 0) {
        if (recv(pair[0], data, 5, MSG_PEEK) != 5 || recv(pair[0], data, 1, 0) != 1)
            _exit(120);
        go_on(pair[0], (const char *[]){script_step("get %d 2999 1", pair[0]), NULL});
    }
    close(pair[0]);
    assert_int_equal(suite_wait(child), 0);
    net_expect_end(pair[1]);
}

/* The record comes in pieces, and the program is replaced after each of them. */
static void half_a_record_received(const struct net *net)
{
    enum { LEN = 8000 };
    int pair[2];
    char byte;
    struct proxy_plan plan = {.piece = 1500, .pause_us = 30000};
    struct proxy proxy = proxy_pair(net, &plan, pair);
    assert_int_equal(write(pair[1], "x", 1), 1);
    assert_int_equal(read(pair[0], &byte, 1), 1);
    pid_t child = suite_fork();
    if (child == 0) {
        net_set_nonblock(pair[0], true);
        net_wait(pair[0], POLLIN, 200);
        ssize_t got = recv(pair[0], data, 100, MSG_PEEK); /* takes what is there out of the kernel */
        net_set_nonblock(pair[0], false);
        if (got < 0 && errno != EAGAIN)
            _exit(120);
        go_on(pair[0], (const char *[]){script_step("keeps %d", pair[0]), "exec",
                                        script_step("get %d %d 0", pair[0], LEN), NULL});
    }
    close(pair[0]);
    put(pair[1], LEN, 0);
    assert_int_equal(suite_wait(child), 0);
    net_expect_end(pair[1]);
    proxy_end(&proxy);
}

/* The kernel took a record in part: the next program continues with what this one had not got rid of. */
static void a_record_sent_in_part(const struct net *net)
{
    int pair[2], small = 4096;
    net_warm_pair(net, pair);
    setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    net_pattern(data, sizeof data, 0);
    pid_t child = suite_fork();
    if (child == 0) {
        size_t sent = 0;
        net_set_nonblock(pair[0], true);
        for (ssize_t n; sent < LARGE && (n = write(pair[0], data + sent, LARGE - sent)) > 0;)
            sent += (size_t)n;
        net_set_nonblock(pair[0], false);
        go_on(pair[0], (const char *[]){script_step("put %d %zu %zu", pair[0], LARGE - sent, sent), NULL});
    }
    close(pair[0]);
    suite_until_blocked(child);
    take(pair[1], LARGE, 0);
    assert_int_equal(suite_wait(child), 0);
    net_expect_end(pair[1]);
}

/* Where it ends instead, what was accepted arrives, and a clean end. */
static void a_record_sent_in_part_and_no_more(const struct net *net)
{
    int pair[2], small = 4096, tell[2];
    size_t sent = 0;
    net_warm_pair(net, pair);
    setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    assert_int_equal(pipe(tell), 0);
    net_pattern(data, sizeof data, 0);
    pid_t child = suite_fork();
    if (child == 0) {
        net_set_nonblock(pair[0], true);
        for (ssize_t n; sent < LARGE && (n = write(pair[0], data + sent, LARGE - sent)) > 0;)
            sent += (size_t)n;
        net_write_all(tell[1], &sent, sizeof sent);
        go_on(pair[0], (const char *[]){script_step("keeps %d", pair[0]), NULL});
    }
    close(pair[0]);
    assert_int_equal(net_read_all(tell[0], &sent, sizeof sent), sizeof sent);
    suite_until_blocked(child);
    take(pair[1], sent, 0);
    assert_int_equal(suite_wait(child), 0);
    net_expect_end(pair[1]);
    close(tell[0]), close(tell[1]);
}

static void handshake_not_over_as_client(const struct net *net)
{
    struct sockaddr_in address;
    char text[8];
    int listener = net_listen(net, 4, &address), one = net_connect(net, &address);
    pid_t child = suite_fork();
    if (child == 0)
        go_on(one, (const char *[]){script_step("r %d greeting", one), script_step("w %d hello", one),
                                    script_step("closed %d", listener), NULL});
    close(one);
    int two = accept(listener, NULL, NULL);
    assert_int_equal(write(two, "greeting", 8), 8);
    assert_int_equal(net_read_all(two, text, 5), 5);
    assert_int_equal(suite_wait(child), 0);
    close(listener);
    net_expect_end(two);
}

static void handshake_not_over_as_server(const struct net *net)
{
    struct sockaddr_in address;
    char text[8];
    int listener = net_listen(net, 4, &address), one = net_client(net, 0);
    pid_t child = suite_fork();
    if (child == 0) {
        close(one);
        int two = accept(listener, NULL, NULL);
        go_on(two, (const char *[]){script_step("w %d greeting", two), "exec", script_step("r %d hello", two),
                                    script_step("eof %d", two), NULL});
    }
    close(listener);
    assert_int_equal(net_connect_to(one, &address), 0);
    assert_int_equal(net_read_all(one, text, 8), 8);
    assert_int_equal(write(one, "hello", 5), 5);
    shutdown(one, SHUT_WR);
    assert_int_equal(suite_wait(child), 0);
    net_expect_end(one);
}

/* connect(2) has not even been answered. */
static void connecting(const struct net *net)
{
    struct sockaddr_in address;
    int listener = net_listen(net, 4, &address), one = net_client(net, SOCK_NONBLOCK);
    pid_t child = suite_fork();
    if (child == 0) {
        if (net_connect_to(one, &address) < 0 && errno != EINPROGRESS)
            _exit(120);
        net_set_nonblock(one, false);
        go_on(one, (const char *[]){script_step("w %d hello", one), script_step("r %d world", one), NULL});
    }
    close(one);
    int two = accept(listener, NULL, NULL);
    assert_int_equal(net_read_all(two, data, 5), 5);
    assert_int_equal(write(two, "world", 5), 5);
    assert_int_equal(suite_wait(child), 0);
    close(listener);
    net_expect_end(two);
}

/* Written before keys stood; the next program does nothing, or writes on. */
static void a_queue_that_is_not_sent(const struct net *net)
{
    for (int round = 0; round < 2; round++) {
        struct sockaddr_in address;
        int listener = net_listen(net, 4, &address), one = net_connect(net, &address);
        net_set_nonblock(one, true);
        put(one, 5000, 0);
        net_set_nonblock(one, false);
        pid_t child = suite_fork();
        if (child == 0)
            go_on(one, (const char *[]){round ? script_step("put %d 3000 5000", one) : "closed 999", NULL});
        close(one);
        int two = accept(listener, NULL, NULL);
        take(two, round ? 8000 : 5000, 0);
        assert_int_equal(suite_wait(child), 0);
        close(listener);
        net_expect_end(two);
    }
}

static void an_end_that_was_read(const struct net *net)
{
    int pair[2];
    net_warm_pair(net, pair);
    put(pair[1], 100, 0);
    shutdown(pair[1], SHUT_WR);
    pid_t child = suite_fork();
    if (child == 0) {
        if (net_read_all(pair[0], data, 101) != 100)
            _exit(120);
        go_on(pair[0],
              (const char *[]){script_step("eof %d", pair[0]), script_step("put %d 50 0", pair[0]), NULL});
    }
    close(pair[0]);
    take(pair[1], 50, 0);
    assert_int_equal(suite_wait(child), 0);
    net_expect_end(pair[1]);
}

static void an_end_that_was_not_read(const struct net *net)
{
    int pair[2];
    net_warm_pair(net, pair);
    put(pair[1], 100, 0);
    shutdown(pair[1], SHUT_WR);
    assert_true(net_arrived(pair[0], POLLRDHUP));
    pid_t child = suite_fork();
    if (child == 0)
        go_on(pair[0], (const char *[]){script_step("get %d 100 0", pair[0]), script_step("eof %d", pair[0]),
                                        script_step("put %d 50 0", pair[0]), NULL});
    close(pair[0]);
    take(pair[1], 50, 0);
    assert_int_equal(suite_wait(child), 0);
    net_expect_end(pair[1]);
}

static void our_end_is_said(const struct net *net)
{
    int pair[2];
    net_warm_pair(net, pair);
    pid_t child = suite_fork();
    if (child == 0) {
        shutdown(pair[0], SHUT_WR);
        go_on(pair[0],
              (const char *[]){script_step("get %d 5000 0", pair[0]), script_step("eof %d", pair[0]), NULL});
    }
    close(pair[0]);
    assert_int_equal(read(pair[1], data, 1), 0);
    put(pair[1], 5000, 0);
    close(pair[1]);
    assert_int_equal(suite_wait(child), 0);
}

static const struct suite_case cases[] = {
    {.name = "opened and not read", .run = opened_and_not_read},
    {.name = "looked at and not read", .run = looked_at_and_not_read},
    {.name = "half a record received", .run = half_a_record_received},
    {.name = "a record sent in part", .run = a_record_sent_in_part},
    {.name = "a record sent in part, and no more", .run = a_record_sent_in_part_and_no_more},
    {.name = "handshake not over, as client", .run = handshake_not_over_as_client},
    {.name = "handshake not over, as server", .run = handshake_not_over_as_server},
    {.name = "connecting", .run = connecting},
    {.name = "a queue that is not sent", .run = a_queue_that_is_not_sent},
    {.name = "an end that was read", .run = an_end_that_was_read},
    {.name = "an end that was not read", .run = an_end_that_was_not_read},
    {.name = "our end is said", .run = our_end_is_said},
};

/* A stream that was cut stays so, with the same error. */
static void a_failed_connection(void)
{
    int pair[2];
    struct proxy_plan plan = {.cut_after = 4000}; /* behind every handshake */
    if (!suite_has_library())
        skip();
    struct proxy proxy = proxy_pair(&net_sealed, &plan, pair);
    assert_int_equal(write(pair[0], "x", 1), 1);
    assert_int_equal(net_read_all(pair[1], data, 1), 1);
    put(pair[0], 8000, 0);
    while (read(pair[1], data, sizeof data) > 0)
        ;
    assert_int_equal(errno, ECONNRESET);
    pid_t child = suite_fork();
    if (child == 0)
        go_on(pair[1], (const char *[]){script_step("error %d %d", pair[1], ECONNRESET), "exec",
                                        script_step("error %d %d", pair[1], ECONNRESET), NULL});
    assert_int_equal(suite_wait(child), 0);
    close(pair[0]), close(pair[1]);
    proxy_end(&proxy);
}

static const struct suite_test tests[] = {
    {.name = "a failed connection", .run = a_failed_connection},
};

int main(int argc, char **argv)
{
    suite_roles(&script_role, 1);
    suite_cases(cases, suite_count(cases));
    suite_tests(tests, suite_count(tests));
    return suite_run(argc, argv);
}
