/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* connect and accept: what they return, to addresses that answer, refuse, say nothing or take their time. */

#include "suite.h"

#include "net.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum {
    SOON_MS = 3000,
    OLD_IN6_LEN = 24, /* RFC 2133, 3.3: sockaddr_in6 before RFC 2553 added sin6_scope_id */
};

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
    assert_true(net_arrived(wall.held[0], POLLOUT));
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

static struct sockaddr_in6 mapped(const struct sockaddr_in *address)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = address->sin_port};
    six.sin6_addr.s6_addr[10] = six.sin6_addr.s6_addr[11] = 0xff;
    memcpy(six.sin6_addr.s6_addr + 12, &address->sin_addr, 4);
    return six;
}

static void an_ipv6_address_of_the_old_length(const struct net *net)
{
    struct sockaddr_in address, own;
    socklen_t len = sizeof own;
    int one = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (one < 0)
        skip();
    int listener = net_listen(net, 4, &address), probe = net_client(net, 0);
    assert_int_equal(getsockname(probe, (struct sockaddr *)&own, &len), 0);
    close(probe);
    struct sockaddr_in6 from = mapped(&own), to = mapped(&address);
    from.sin6_port = 0;
    assert_int_equal(bind(one, (struct sockaddr *)&from, sizeof from), 0);
    assert_int_equal(connect(one, (struct sockaddr *)&to, OLD_IN6_LEN), 0);
    net_expect_sealed(net, one);
    assert_int_equal(write(one, "old", 3), 3);
    int two = accept(listener, NULL, NULL);
    net_expect_text(two, "old");
    close(one), close(two), close(listener);
}

/* A connection that failed and that nobody closes gives waits no reason to wake up. */
static void a_failed_connect_left_open(const struct net *net)
{
    struct sockaddr_in address;
    struct rusage before, after;
    int pipes[2], one = net_client(net, SOCK_NONBLOCK), epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    close(net_listen(net, 1, &address));
    assert_int_equal(net_connect_to(one, &address), -1);
    assert_int_equal(errno, EINPROGRESS);
    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, pipes[0], &event), 0);
    getrusage(RUSAGE_SELF, &before);
    assert_int_equal(net_wait(pipes[0], POLLIN, 250), 0);
    assert_int_equal(epoll_wait(epoll, &event, 1, 250), 0);
    getrusage(RUSAGE_SELF, &after);
    assert_in_range(after.ru_nvcsw - before.ru_nvcsw, 0, 100);
    assert_in_range(after.ru_utime.tv_sec * 1000000 + after.ru_utime.tv_usec + after.ru_stime.tv_usec -
                        before.ru_utime.tv_usec - before.ru_stime.tv_usec,
                    0, 250000);
    close(one), close(pipes[0]), close(pipes[1]), close(epoll);
}

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
        net_expect_text(other, "ping");
        assert_int_equal(write(other, "pong", 4), 4);
        net_set_nonblock(fd, false);
        net_expect_text(fd, "pong");
        close(fd), close(other);
    }
    close(listener);
}

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
    {.name = "an IPv6 address of the old length", .run = an_ipv6_address_of_the_old_length},
    {.name = "a failed connect left open", .run = a_failed_connect_left_open},
    {.name = "complaint_06_nonblocking_connect_does_not_time_out",
     .run = complaint_06_nonblocking_connect_does_not_time_out},
    {.name = "complaint_16_a_failed_connect_is_writable", .run = complaint_16_a_failed_connect_is_writable},
};

int main(int argc, char **argv)
{
    suite_cases(cases, suite_count(cases));
    return suite_run(argc, argv);
}
