/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Calls that wait and signals: accept and epoll_wait under a timer's, also while the library waits in them
 * for another connection; signals that come between two waits of the library's in one of the program's. */

#include "suite.h"

#include "alarms.h"
#include "net.h"
#include "proxy.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ALARM_MS = 40 };

/* With SA_RESTART accept goes on until there is somebody, without it it is interrupted; both also while the
 * shim waits in it for another connection's handshake. */
static void complaint_03_accept_is_restarted(const struct net *net)
{
    struct sockaddr_in address;
    int other, waiting = net_connect_unanswered(net, &other), listener = net_listen(net, 4, &address);
    alarms_start(alarms_count, 0, ALARM_MS, ALARM_MS);
    assert_int_equal(accept(listener, NULL, NULL), -1);
    assert_int_equal(errno, EINTR);
    alarms_stop();
    pid_t child = suite_fork();
    if (child == 0) {
        net_sleep_ms(5 * ALARM_MS);
        int fd = net_connect(net, &address);
        char byte;
        _exit(read(fd, &byte, 1) == 1 ? 0 : 1);
    }
    alarms_start(alarms_count, SA_RESTART, ALARM_MS, ALARM_MS);
    int fd = accept(listener, NULL, NULL);
    alarms_stop();
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
        int waiting = round == 0 ? -1 : net_connect_unanswered(net, &other);
        alarms_start(alarms_count, SA_RESTART, ALARM_MS, ALARM_MS);
        assert_int_equal(epoll_wait(epoll, &event, 1, -1), -1);
        assert_int_equal(errno, EINTR);
        assert_int_equal(epoll_pwait(epoll, &event, 1, 10000, NULL), -1);
        assert_int_equal(errno, EINTR);
        alarms_stop();
        if (round == 1)
            close(waiting), close(other);
    }
    close(epoll), close(pair[0]), close(pair[1]);
}

/* Whether an alarm's handler ran in the call: one that came before it or after it ends nothing. */
static volatile sig_atomic_t in_call, alarms_in_call;

static void count_in_call(int signal)
{
    (void)signal;
    alarms_in_call = alarms_in_call + in_call;
}

/* A record comes byte by byte, and a signal with each byte. The library works between two waits of its own
 * again and again. The signal must end the program's wait as if it had been one, as it is on plain TCP: gives
 * how many times it did not. */
static int count_lost(int fd, int (*wait)(int fd))
{
    enum { ROUNDS = 200 };
    int lost = 0;
    for (int i = 0; i < ROUNDS; i++) {
        alarms_in_call = 0;
        in_call = 1;
        assert_int_equal(wait(fd), -1);
        in_call = 0;
        assert_int_equal(errno, EINTR);
        lost += alarms_in_call - 1;
    }
    return lost;
}

static int by_poll(int fd)
{
    struct pollfd entry = {.fd = fd, .events = POLLIN};
    return poll(&entry, 1, -1);
}

static int by_select(int fd)
{
    fd_set set;
    FD_ZERO(&set);
    FD_SET(fd, &set);
    return select(fd + 1, &set, NULL, NULL, NULL);
}

static void a_signal_between_two_waits(void)
{
    enum { RECORD = 16000, FROM = 6000, FEW = 10 };
    static char record[RECORD];
    int pair[2];
    const struct proxy_plan plan = {.piece = 1, .pause_us = 100, .signal_after = FROM};
    const struct sigaction counts = {.sa_handler = count_in_call}, ignored = {.sa_handler = SIG_IGN};
    struct proxy proxy = proxy_pair(&net_sealed, &plan, pair);
    assert_int_equal(sigaction(SIGALRM, &counts, NULL), 0);
    assert_int_equal(write(pair[0], record, RECORD), RECORD);
    assert_in_range(count_lost(pair[1], by_poll), 0, FEW);
    assert_in_range(count_lost(pair[1], by_select), 0, FEW);
    assert_int_equal(sigaction(SIGALRM, &ignored, NULL), 0);
    close(pair[1]), close(pair[0]);
    proxy_end(&proxy);
}

static const struct suite_case cases[] = {
    {.name = "complaint_03_accept_is_restarted", .run = complaint_03_accept_is_restarted},
    {.name = "complaint_03_epoll_wait_is_interruptible", .run = complaint_03_epoll_wait_is_interruptible},
};

/* Plain TCP has no wait of its own in the program's. */
static const struct suite_test sealed_alone[] = {
    {.name = "a signal between two waits of the library's", .run = a_signal_between_two_waits},
};

int main(int argc, char **argv)
{
    if (suite_has_library())
        suite_tests(sealed_alone, suite_count(sealed_alone));
    suite_cases(cases, suite_count(cases));
    return suite_run(argc, argv);
}
