/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* connect and accept: what they return, to addresses that answer, refuse, say nothing or take their time. */

#include "support/suite.h"

#include "support/net.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int __connect(int fd, const struct sockaddr *address, socklen_t len);

static int so_error(int fd)
{
    int value = -1;
    socklen_t len = sizeof value;
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, &len), 0);
    return value;
}

static void exchange(int one, int two)
{
    char text[4];
    assert_int_equal(write(one, "ping", 4), 4);
    assert_int_equal(net_read_all(two, text, 4), 4);
    assert_memory_equal(text, "ping", 4);
    assert_int_equal(write(two, "pong", 4), 4);
    assert_int_equal(net_read_all(one, text, 4), 4);
    assert_memory_equal(text, "pong", 4);
}

static void blocking(const struct net *net)
{
    struct sockaddr_in address, peer;
    socklen_t len = sizeof peer;
    int listener = net_listen(net, 4, &address);
    int one = net_client(net, 0);
    errno = 77;
    assert_int_equal(__connect(one, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(errno, 77);
    assert_int_equal(net_connect_to(one, &address), -1);
    assert_int_equal(errno, EISCONN);
    int two = accept(listener, (struct sockaddr *)&peer, &len);
    assert_true(two >= 0);
    assert_int_equal(len, sizeof peer);
    struct sockaddr_in own;
    len = sizeof own;
    assert_int_equal(getsockname(one, (struct sockaddr *)&own, &len), 0);
    assert_memory_equal(&own, &peer, sizeof own);
    assert_int_equal(getpeername(one, (struct sockaddr *)&peer, &len), 0);
    assert_memory_equal(&peer, &address, sizeof peer);
    exchange(one, two);
    close(one), close(two), close(listener);
}

static void accept4_flags(const struct net *net)
{
    struct sockaddr_in address;
    int listener = net_listen(net, 4, &address);
    int one = net_connect(net, &address);
    int two = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(fcntl(two, F_GETFL) & O_NONBLOCK);
    assert_int_equal(fcntl(two, F_GETFD), FD_CLOEXEC);
    net_set_nonblock(two, false);
    exchange(one, two);
    assert_int_equal(accept4(listener, NULL, NULL, 0x40000000), -1);
    assert_int_equal(errno, EINVAL);
    net_set_nonblock(listener, true);
    assert_int_equal(accept(listener, NULL, NULL), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(accept(one, NULL, NULL), -1);
    assert_int_equal(errno, EINVAL);
    close(one), close(two), close(listener);
}

static void nonblocking(const struct net *net)
{
    struct sockaddr_in address;
    int listener = net_listen(net, 4, &address);
    int one = net_client(net, SOCK_NONBLOCK);
    if (net_connect_to(one, &address) < 0)
        assert_int_equal(errno, EINPROGRESS);
    assert_int_equal(net_wait(one, POLLOUT, 3000), POLLOUT);
    assert_int_equal(so_error(one), 0);
    assert_int_equal(net_wait(listener, POLLIN, 3000), POLLIN);
    int two = accept(listener, NULL, NULL);
    assert_true(fcntl(one, F_GETFL) & O_NONBLOCK);
    assert_int_equal(net_wait(one, POLLIN, 20), 0);
    net_set_nonblock(one, false);
    exchange(one, two);
    close(one), close(two), close(listener);
}

/* A port on which nothing listens: one that was just given back. */
static struct sockaddr_in refusing_address(const struct net *net)
{
    struct sockaddr_in address;
    int fd = net_listen(net, 1, &address);
    close(fd);
    return address;
}

static void refused(const struct net *net)
{
    struct sockaddr_in address = refusing_address(net);
    int fd = net_client(net, 0);
    assert_int_equal(net_connect_to(fd, &address), -1);
    assert_int_equal(errno, ECONNREFUSED);
    assert_int_equal(so_error(fd), 0);
    assert_int_equal(net_wait(fd, POLLIN | POLLOUT, 0), POLLOUT | POLLHUP);
    close(fd);
}

static void refused_nonblocking(const struct net *net)
{
    struct sockaddr_in address = refusing_address(net);
    int fd = net_client(net, SOCK_NONBLOCK);
    assert_int_equal(net_connect_to(fd, &address), -1);
    assert_int_equal(errno, EINPROGRESS);
    assert_int_equal(net_wait(fd, POLLOUT, 3000), POLLOUT | POLLERR | POLLHUP);
    assert_int_equal(so_error(fd), ECONNREFUSED);
    assert_int_equal(so_error(fd), 0);
    assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), -1);
    assert_int_equal(errno, EPIPE);
    close(fd);
}

static void refused_and_then_accepted(const struct net *net)
{
    struct sockaddr_in address = refusing_address(net);
    int one = net_client(net, 0);
    assert_int_equal(net_connect_to(one, &address), -1);
    assert_int_equal(errno, ECONNREFUSED);
    int listener = net_listen(net, 4, &address);
    assert_int_equal(net_connect_to(one, &address), 0);
    int two = accept(listener, NULL, NULL);
    exchange(one, two);
    close(one), close(two), close(listener);
}

/* Fills a listener's queue, so that further connections get no answer. */
struct wall {
    int listener, held[8];
    struct sockaddr_in address;
};

static struct wall build_wall(const struct net *net)
{
    struct wall wall;
    wall.listener = net_listen(net, 0, &wall.address);
    for (size_t i = 0; i < suite_count(wall.held); i++) {
        wall.held[i] = net_client(&net_plain, SOCK_NONBLOCK);
        net_connect_to(wall.held[i], &wall.address);
    }
    net_sleep_ms(10);
    return wall;
}

static void take_down(struct wall *wall)
{
    for (size_t i = 0; i < suite_count(wall->held); i++)
        close(wall->held[i]);
    close(wall->listener);
}

static void dead_address(const struct net *net)
{
    struct wall wall = build_wall(net);
    int fd = net_client(net, SOCK_NONBLOCK);
    assert_int_equal(net_connect_to(fd, &wall.address), -1);
    assert_int_equal(errno, EINPROGRESS);
    assert_int_equal(net_connect_to(fd, &wall.address), -1);
    assert_int_equal(errno, EALREADY);
    assert_int_equal(net_wait(fd, POLLIN | POLLOUT, 100), 0);
    assert_int_equal(so_error(fd), 0);
    assert_int_equal(write(fd, "x", 1), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(recv(fd, &wall.held, 1, 0), -1);
    assert_int_equal(errno, EAGAIN);
    int64_t start = net_now_ms();
    assert_int_equal(close(fd), 0);
    assert_in_range(net_now_ms() - start, 0, 500);
    take_down(&wall);
}

/* SO_SNDTIMEO bounds a blocking connect (socket(7)). */
static void dead_address_with_a_time_limit(const struct net *net)
{
    struct wall wall = build_wall(net);
    struct timeval limit = {.tv_usec = 200000};
    int fd = net_client(net, 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit), 0);
    int64_t start = net_now_ms();
    assert_int_equal(net_connect_to(fd, &wall.address), -1);
    assert_int_equal(errno, EINPROGRESS);
    assert_in_range(net_now_ms() - start, 150, 1500);
    close(fd);
    take_down(&wall);
}

/* The queue is emptied while the connecting side is waiting: its next SYN, about a second later, is answered.
 */
static void slow_address(const struct net *net)
{
    struct wall wall = build_wall(net);
    int one = net_client(net, SOCK_NONBLOCK), taken[16], count = 0;
    assert_int_equal(net_connect_to(one, &wall.address), -1);
    assert_int_equal(errno, EINPROGRESS);
    assert_int_equal(net_wait(one, POLLIN | POLLOUT, 50), 0);
    for (size_t i = 0; i < suite_count(wall.held); i++)
        close(wall.held[i]);
    struct sockaddr_in own, peer;
    socklen_t len = sizeof own;
    assert_int_equal(getsockname(one, (struct sockaddr *)&own, &len), 0);
    do {
        assert_true(count < 16);
        len = sizeof peer;
        taken[count++] = accept(wall.listener, (struct sockaddr *)&peer, &len);
    } while (peer.sin_port != own.sin_port);
    assert_int_equal(net_wait(one, POLLOUT, 3000), POLLOUT);
    assert_int_equal(so_error(one), 0);
    net_set_nonblock(one, false);
    exchange(one, taken[count - 1]);
    while (count > 0)
        close(taken[--count]);
    close(one), close(wall.listener);
}

static void many_connections_at_once(const struct net *net)
{
    enum { MANY = 100 };
    struct sockaddr_in address;
    int out[MANY], in[MANY];
    char byte;
    int listener = net_listen(net, MANY, &address);
    for (int i = 0; i < MANY; i++) {
        out[i] = net_connect(net, &address);
        assert_int_equal(write(out[i], "q", 1), 1);
    }
    for (int i = 0; i < MANY; i++)
        in[i] = accept(listener, NULL, NULL);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(read(in[i], &byte, 1), 1);
        assert_int_equal(write(in[i], "a", 1), 1);
    }
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(read(out[i], &byte, 1), 1);
        close(out[i]), close(in[i]);
    }
    close(listener);
}

/* SO_RCVTIMEO bounds accept (socket(7)), also while handshakes are under way. */
static void accept_with_a_time_limit(const struct net *net)
{
    struct sockaddr_in address;
    struct timeval limit = {.tv_usec = 100000};
    int listener = net_listen(net, 4, &address);
    assert_int_equal(setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
    int one = net_connect(net, &address);
    int two = accept(listener, NULL, NULL);
    assert_true(two >= 0);
    int64_t start = net_now_ms();
    assert_int_equal(accept(listener, NULL, NULL), -1);
    assert_int_equal(errno, EAGAIN);
    assert_in_range(net_now_ms() - start, 90, 1500);
    exchange(one, two);
    close(one), close(two), close(listener);
}

/* A thousand one after the other: nothing piles up, descriptors least of all. */
static void many_connections_in_turn(const struct net *net)
{
    struct sockaddr_in address;
    int listener = net_listen(net, 8, &address), lowest = dup(listener);
    close(lowest);
    for (int i = 0; i < 1000; i++) {
        int one = net_connect(net, &address);
        int two = accept(listener, NULL, NULL);
        assert_int_equal(one, lowest);
        exchange(one, two);
        close(one), close(two);
    }
    close(listener);
}

static const struct suite_case cases[] = {
    {.name = "blocking", .run = blocking},
    {.name = "accept4's flags", .run = accept4_flags},
    {.name = "non-blocking", .run = nonblocking},
    {.name = "refused", .run = refused},
    {.name = "refused, non-blocking", .run = refused_nonblocking},
    {.name = "refused and then accepted", .run = refused_and_then_accepted},
    {.name = "dead address", .run = dead_address},
    {.name = "dead address, with a time limit", .run = dead_address_with_a_time_limit},
    {.name = "slow address", .run = slow_address},
    {.name = "accept with a time limit", .run = accept_with_a_time_limit},
    {.name = "many connections at once", .run = many_connections_at_once},
    {.name = "many connections in turn", .run = many_connections_in_turn},
};

int main(int argc, char **argv)
{
    suite_cases(cases, suite_count(cases));
    return suite_run(argc, argv);
}
