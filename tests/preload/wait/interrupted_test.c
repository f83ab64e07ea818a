/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* accept and epoll_wait under a timer's signals, also while the library waits in them for another connection.
 */

#include "suite.h"

#include "alarms.h"
#include "net.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
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

static const struct suite_case cases[] = {
    {.name = "complaint_03_accept_is_restarted", .run = complaint_03_accept_is_restarted},
    {.name = "complaint_03_epoll_wait_is_interruptible", .run = complaint_03_epoll_wait_is_interruptible},
};

int main(int argc, char **argv)
{
    suite_cases(cases, suite_count(cases));
    return suite_run(argc, argv);
}
