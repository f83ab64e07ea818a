/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* A connection that the peer's program has not accepted yet. On plain TCP it waits as long as the connecting
 * program does; so it does here, however short the time limit of a handshake is. That is one second here. */

#include "suite.h"

#include "net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    LATE_MS = 1400,      /* when the program accepts */
    PATIENCE_MS = 10000, /* what no step takes */
};

/* What the client does; its status is 0 if it went as on plain TCP. `one` is connected. */
static int ask(int one)
{
    char text[8];
    return write(one, "message", 7) == 7 && read(one, text, sizeof text) == 6 ? 0 : 1;
}

static int listen_first(int one)
{
    char text[8];
    return read(one, text, sizeof text) == 6 && write(one, "message", 7) == 7 ? 0 : 1;
}

static int ask_without_blocking(int one)
{
    char text[8];
    net_set_nonblock(one, true);
    return write(one, "message", 7) == 7 && net_wait(one, POLLIN, PATIENCE_MS) == POLLIN &&
                   read(one, text, sizeof text) == 6
               ? 0
               : 1;
}

static int ask_with_a_limit(int one)
{
    const struct timeval short_time = {.tv_usec = 50000}, none = {0};
    char text[8];
    setsockopt(one, SOL_SOCKET, SO_RCVTIMEO, &short_time, sizeof short_time);
    if (write(one, "message", 7) != 7 || read(one, text, sizeof text) != -1 || errno != EAGAIN)
        return 1;
    setsockopt(one, SOL_SOCKET, SO_RCVTIMEO, &none, sizeof none);
    return read(one, text, sizeof text) == 6 ? 0 : 2;
}

/* Closed before it was accepted: the process lives on, and the data arrives. */
static int tell_and_close(int one)
{
    if (write(one, "message", 7) != 7)
        return 1;
    close(one);
    for (;;)
        pause();
}

/* The same at the end of a process, which does not wait for ever. */
static int tell_and_end(int one)
{
    return write(one, "message", 7) == 7 ? 0 : 1;
}

static const struct how {
    const char *name;
    int (*run)(int one);
    bool stays; /* it is killed at last */
} hows[] = {
    {"ask", ask, false},
    {"listen first", listen_first, false},
    {"ask without blocking", ask_without_blocking, false},
    {"ask with a limit", ask_with_a_limit, false},
    {"tell and close", tell_and_close, true},
};
enum { HOWS = sizeof hows / sizeof hows[0] };

/* Arguments: the address, the port, and what to do. */
static int client_role(int argc, char **argv)
{
    static const struct how end = {"tell and end", tell_and_end, false};
    struct sockaddr_in address = {.sin_family = AF_INET};
    const struct how *how = &end;
    if (argc != 4)
        return 2;
    const struct net *net = strcmp(argv[1], net_sealed.name) == 0 ? &net_sealed : &net_plain;
    inet_pton(AF_INET, net->server, &address.sin_addr);
    address.sin_port = (in_port_t)atoi(argv[2]);
    for (int i = 0; i < HOWS; i++)
        if (strcmp(hows[i].name, argv[3]) == 0)
            how = &hows[i];
    int one = net_client(net, 0);
    if (net_connect_to(one, &address) < 0)
        return 3;
    return how->run(one);
}

static pid_t start(const struct net *net, const char *how, const char *const *changes, int *listener, int err)
{
    struct sockaddr_in address;
    char port[16];
    *listener = net_listen(net, 16, &address);
    snprintf(port, sizeof port, "%u", address.sin_port);
    const char *args[] = {net->name, port, how, NULL};
    return suite_spawn("client", args, changes, -1, err);
}

static void expect_message(int fd, const char *how)
{
    char text[16];
    size_t have = 0;
    while (have < 7) {
        ssize_t n = net_wait(fd, POLLIN, PATIENCE_MS) ? read(fd, text + have, sizeof text - have) : -1;
        if (n <= 0)
            fail_msg("%s: %s", how, n < 0 ? strerrorname_np(errno) : "the end");
        have += (size_t)n;
    }
    assert_memory_equal(text, "message", 7);
}

/* On plain TCP and sealed at the same time, since the wait is the longest part. */
static void accepted_late(void)
{
    const char *changes[] = {"SOCKSEAL_HANDSHAKE_TIMEOUT=1", "SOCKSEAL_CLOSE_TIMEOUT=1", NULL};
    int listeners[2 * HOWS];
    pid_t clients[2 * HOWS];
    for (int i = 0; i < 2 * HOWS; i++)
        clients[i] =
            start(i < HOWS ? &net_plain : &net_sealed, hows[i % HOWS].name, changes, &listeners[i], -1);
    for (int i = 0; i < 2 * HOWS; i++)
        assert_int_not_equal(net_wait(listeners[i], POLLIN, PATIENCE_MS), 0);
    net_sleep_ms(LATE_MS);
    for (int i = 0; i < 2 * HOWS; i++) {
        const struct how *how = &hows[i % HOWS];
        int fd = accept(listeners[i], NULL, NULL);
        assert_true(fd >= 0);
        assert_true(how->stays || write(fd, "answer", 6) == 6);
        expect_message(fd, how->name);
        if (how->stays)
            kill(clients[i], SIGKILL);
        const int status = suite_wait(clients[i]);
        if (status != (how->stays ? 1000 + SIGKILL : 0))
            fail_msg("%s: status %d", how->name, status);
        close(fd), close(listeners[i]);
    }
}

/* The backlog is full, so TCP itself is not connected: connect(2) gives what SO_SNDTIMEO says, and the
 * attempt goes on. */
static void connect_is_cut_short(const struct net *net)
{
    const struct timeval limit = {.tv_usec = 100000}, none = {0};
    struct sockaddr_in address;
    char text[8];
    int held[2], fd, listener = net_listen(net, 0, &address), one = net_client(net, 0), error;
    socklen_t len = sizeof error;
    held[0] = net_connect(&net_plain, &address);
    setsockopt(one, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    assert_int_equal(net_connect_to(one, &address), -1);
    assert_int_equal(errno, EINPROGRESS);
    assert_int_equal(net_connect_to(one, &address), -1);
    assert_int_equal(errno, EALREADY);
    held[1] = accept(listener, NULL, NULL);
    setsockopt(one, SOL_SOCKET, SO_SNDTIMEO, &none, sizeof none);
    assert_int_not_equal(net_wait(one, POLLOUT, PATIENCE_MS), 0);
    assert_int_equal(getsockopt(one, SOL_SOCKET, SO_ERROR, &error, &len), 0);
    assert_int_equal(error, 0);
    fd = accept(listener, NULL, NULL);
    assert_int_equal(write(one, "message", 7), 7);
    expect_message(fd, "cut short");
    assert_int_equal(write(fd, "answer", 6), 6);
    assert_int_equal(read(one, text, sizeof text), 6);
    close(held[0]), close(held[1]), close(fd), close(one), close(listener);
}

/* A client whose acknowledgement the kernel delays, so that the last one of the connection is not sent. */
static int connect_delayed(const struct net *net, const struct sockaddr_in *address)
{
    const int off = 0;
    int one = net_client(net, SOCK_NONBLOCK);
    assert_int_equal(setsockopt(one, IPPROTO_TCP, TCP_QUICKACK, &off, sizeof off), 0);
    assert_int_equal(net_connect_to(one, address), -1);
    assert_int_equal(errno, EINPROGRESS);
    assert_int_not_equal(net_wait(one, POLLOUT, PATIENCE_MS) & POLLOUT, 0);
    return one;
}

/* How a balancer looks whether a port is open (HAProxy's "check"): the server's program never sees it. */
static void a_look_at_the_port_wakes_nobody(const struct net *net)
{
    enum { LOOKS = 20, SEEN = 4 }; /* the machine may be too slow for the kernel's 40 ms */
    const struct linger reset = {.l_onoff = 1};
    struct sockaddr_in address;
    int seen = 0, listener = net_listen(net, LOOKS, &address);
    for (int i = 0; i < LOOKS; i++) {
        int one = connect_delayed(net, &address);
        setsockopt(one, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        close(one);
        int fd = net_wait(listener, POLLIN, 5) ? accept(listener, NULL, NULL) : -1;
        seen += fd >= 0;
        if (fd >= 0)
            close(fd);
    }
    assert_in_range(seen, 0, SEEN);
    close(listener);
}

/* The same client talks, or waits to be talked to. */
static void a_delayed_acknowledgement_stalls_nothing(const struct net *net)
{
    struct sockaddr_in address;
    char text[8];
    int listener = net_listen(net, 4, &address);
    for (int speaks = 0; speaks < 2; speaks++) {
        int one = connect_delayed(net, &address);
        if (speaks)
            assert_int_equal(write(one, "message", 7), 7);
        int fd = accept(listener, NULL, NULL);
        assert_true(fd >= 0);
        if (speaks)
            expect_message(fd, "a delayed acknowledgement");
        assert_int_equal(write(fd, "answer", 6), 6);
        for (int64_t end = net_now_ms() + PATIENCE_MS; net_now_ms() < end;) {
            assert_int_not_equal(net_wait(one, POLLIN, PATIENCE_MS), 0);
            if (read(one, text, sizeof text) == 6)
                break;
            assert_int_equal(errno, EAGAIN);
        }
        assert_memory_equal(text, "answer", 6);
        close(one), close(fd);
    }
    close(listener);
}

/* Everything that the client's log says, until it ends. */
static int ended(const char *how, const char *const *changes, char *log, size_t room, int64_t *took_ms)
{
    int listener, pipes[2];
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    const int64_t begun = net_now_ms();
    pid_t client = start(&net_sealed, how, changes, &listener, pipes[1]);
    close(pipes[1]);
    log[net_read_all(pipes[0], log, room - 1)] = '\0';
    const int status = suite_wait(client);
    *took_ms = net_now_ms() - begun;
    close(pipes[0]), close(listener);
    return status;
}

static void a_limit_of_its_own(void)
{
    const char *changes[] = {"SOCKSEAL_HANDSHAKE_TIMEOUT=1", "SOCKSEAL_CONNECT_TIMEOUT=2",
                             "SOCKSEAL_LOG=info", NULL};
    char log[2048];
    int64_t took_ms;
    if (!suite_has_library())
        skip();
    assert_int_equal(ended("ask", changes, log, sizeof log, &took_ms), 1);
    const char *waits = strstr(log, "still waiting for the peer's answer: it is busy, or not sealed");
    assert_non_null(waits);
    assert_null(strstr(waits + 1, "still waiting")); /* once */
    assert_non_null(strstr(waits, "SOCKSEAL_CONNECT_TIMEOUT is too short"));
    assert_in_range(took_ms, 1900, PATIENCE_MS - 1000);
}

/* The peer of the accepted socket is to be sealed, and that of the connecting one is not: it says nothing. */
static int silent_role(int argc, char **argv)
{
    struct sockaddr_in address;
    char byte;
    (void)argc, (void)argv;
    int listener = net_listen(&net_plain, 1, &address), one = net_client(&net_sealed, 0);
    if (net_connect_to(one, &address) < 0)
        return 3;
    int fd = accept(listener, NULL, NULL);
    const int64_t begun = net_now_ms();
    if (read(fd, &byte, 1) != -1 || errno != ETIMEDOUT)
        return 4;
    return net_now_ms() - begun < 900 ? 5 : 0;
}

static void a_side_that_accepted_has_the_usual_limit(void)
{
    const char *args[] = {NULL}, *changes[] = {"SOCKSEAL_HANDSHAKE_TIMEOUT=1", NULL};
    if (!suite_has_library())
        skip();
    assert_int_equal(suite_wait(suite_spawn("silent", args, changes, -1, -1)), 0);
}

static void the_end_of_a_process_waits_as_long_as_is_said(void)
{
    const char *changes[] = {"SOCKSEAL_CLOSE_TIMEOUT=1", NULL};
    char log[2048];
    int64_t took_ms;
    if (!suite_has_library())
        skip();
    assert_int_equal(ended("tell and end", changes, log, sizeof log, &took_ms), 0);
    assert_non_null(strstr(log, "data is lost"));
    assert_in_range(took_ms, 900, 5000);
}

int main(int argc, char **argv)
{
    static const struct suite_role roles[] = {{"client", client_role}, {"silent", silent_role}};
    static const struct suite_case cases[] = {
        {"connect is cut short", connect_is_cut_short, 0},
        {"a look at the port wakes nobody", a_look_at_the_port_wakes_nobody, 0},
        {"a delayed acknowledgement stalls nothing", a_delayed_acknowledgement_stalls_nothing, 0},
    };
    static const struct suite_test tests[] = {
        {"accepted late", accepted_late, 0},
        {"a limit of its own", a_limit_of_its_own, 0},
        {"a side that accepted has the usual limit", a_side_that_accepted_has_the_usual_limit, 10},
        {"the end of a process waits as long as is said", the_end_of_a_process_waits_as_long_as_is_said, 0},
    };
    suite_roles(roles, suite_count(roles));
    suite_cases(cases, suite_count(cases));
    suite_tests(tests, suite_count(tests));
    return suite_run(argc, argv);
}
