/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* epoll_ctl: in every order with bind and connect, on epoll descriptors themselves, and with bad arguments.
 */

#include "suite.h"

#include "net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SOON_MS = 3000 };

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
        net_expect_text(pair[1], "x");
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

static void complaint_12_epoll_ctl_before_bind(const struct net *net)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    struct epoll_event event = {.events = EPOLLIN};
    socklen_t len = sizeof address;
    int epoll = epoll_create1(EPOLL_CLOEXEC), listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event), 0);
    assert_int_equal(inet_pton(AF_INET, net->server, &address.sin_addr), 1);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(listener, 4), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    int one = net_connect(net, &address);
    assert_int_equal(epoll_wait(epoll, &event, 1, SOON_MS), 1);
    int two = accept(listener, NULL, NULL);
    assert_int_equal(write(one, "found", 5), 5);
    net_expect_text(two, "found");
    close(one), close(two), close(listener), close(epoll);
}

static void complaint_16_epoll_del_with_a_bad_pointer(const struct net *net)
{
    int pair[2], epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    net_warm_pair(net, pair);
    assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, pair[1], &event), 0);
    assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_DEL, pair[1], (struct epoll_event *)8), 0);
    assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, pair[1], (struct epoll_event *)8), -1);
    assert_int_equal(errno, EFAULT);
    close(epoll), close(pair[0]), close(pair[1]);
}

static const struct suite_case cases[] = {
    {.name = "complaint_04_nested_epoll_fires", .run = complaint_04_nested_epoll_fires},
    {.name = "complaint_04_epoll_mod_finds_what_was_added",
     .run = complaint_04_epoll_mod_finds_what_was_added},
    {.name = "complaint_12_epoll_ctl_before_bind", .run = complaint_12_epoll_ctl_before_bind},
    {.name = "complaint_16_epoll_del_with_a_bad_pointer", .run = complaint_16_epoll_del_with_a_bad_pointer},
};

int main(int argc, char **argv)
{
    suite_cases(cases, suite_count(cases));
    return suite_run(argc, argv);
}
