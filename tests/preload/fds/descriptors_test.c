/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* What the calls on descriptors themselves give: flags, numbers that are none, and the names under which libc
 * has these calls. */

#include "suite.h"

#include "net.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

int __dup2(int from, int to);
int __fcntl(int fd, int command, ...);

enum { SOON_MS = 3000 };

enum { PLACE = 90 };

static void flags_are_the_programs(const struct net *net)
{
    int pair[2], on = 1;
    char byte;
    net_pair(net, pair);
    int flags = fcntl(pair[0], F_GETFL);
    assert_int_equal(flags & O_NONBLOCK, 0);
    assert_int_equal(fcntl(pair[0], F_GETFD), FD_CLOEXEC);
    assert_int_equal(ioctl(pair[0], FIONBIO, &on), 0);
    assert_int_equal(fcntl(pair[0], F_GETFL), flags | O_NONBLOCK);
    assert_int_equal(recv(pair[0], &byte, 1, 0), -1);
    assert_int_equal(errno, EAGAIN);
    net_set_nonblock(pair[0], false);
    assert_int_equal(write(pair[1], "x", 1), 1);
    assert_int_equal(read(pair[0], &byte, 1), 1);
    assert_int_equal(fcntl(pair[0], F_GETFL), flags);
    assert_int_equal(fcntl(pair[0], F_SETFD, 0), 0);
    assert_int_equal(fcntl(pair[0], F_GETFD), 0);
    close(pair[0]);
    close(pair[1]);
}

static void bad_descriptors(const struct net *net)
{
    (void)net;
    char byte;
    assert_int_equal(close(-1), -1);
    assert_int_equal(errno, EBADF);
    assert_int_equal(close(100000), -1);
    assert_int_equal(errno, EBADF);
    assert_int_equal(read(-1, &byte, 1), -1);
    assert_int_equal(errno, EBADF);
    assert_int_equal(send(1000000, &byte, 1, 0), -1);
    assert_int_equal(errno, EBADF);
    assert_int_equal(dup(-5), -1);
    assert_int_equal(errno, EBADF);
    assert_int_equal(shutdown(-1, SHUT_WR), -1);
    assert_int_equal(errno, EBADF);
}

static void copies_and_flags(const struct net *net)
{
    int pair[2];
    net_warm_pair(net, pair);
    assert_int_equal(__dup2(pair[0], PLACE), PLACE);
    assert_int_equal(__fcntl(PLACE, F_SETFD, FD_CLOEXEC), 0);
    assert_int_equal(fcntl64(PLACE, F_GETFD), FD_CLOEXEC);
    int copy = fcntl64(PLACE, F_DUPFD, PLACE), other = __fcntl(PLACE, F_DUPFD_CLOEXEC, PLACE);
    close(pair[0]);
    assert_int_equal(write(PLACE, "one", 3), 3);
    assert_int_equal(write(copy, "two", 3), 3);
    assert_int_equal(write(other, "six", 3), 3);
    net_expect_text(pair[1], "onetwosix");
    close(PLACE), close(copy), close(other), close(pair[1]);
}

static void flags_of_descriptors(const struct net *net)
{
    int pair[2];
    net_pair(net, pair);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(fcntl(pair[i], F_GETFD), FD_CLOEXEC);
        assert_int_equal(fcntl(pair[i], F_SETFD, 0), 0);
        assert_int_equal(fcntl(pair[i], F_GETFD), 0);
    }
    int kept = dup(pair[0]), closing = fcntl(pair[0], F_DUPFD_CLOEXEC, 0);
    assert_int_equal(fcntl(kept, F_GETFD), 0);
    assert_int_equal(fcntl(closing, F_GETFD), FD_CLOEXEC);
    assert_int_equal(fcntl(kept, F_SETFD, FD_CLOEXEC), 0);
    assert_int_equal(fcntl(kept, F_GETFD), FD_CLOEXEC);
    assert_int_equal(fcntl(kept, F_SETFD, 0), 0);
    assert_int_equal(fcntl(kept, F_GETFD), 0);
    close(kept), close(closing), close(pair[0]), close(pair[1]);
}

static void complaint_16_flags_are_preserved(const struct net *net)
{
    struct sockaddr_in address;
    int listener = net_listen(net, 4, &address);
    int nonblocking = net_client(net, SOCK_NONBLOCK), blocking = net_client(net, 0);
    net_connect_to(nonblocking, &address);
    assert_int_equal(net_connect_to(blocking, &address), 0);
    int one = accept4(listener, NULL, NULL, SOCK_NONBLOCK), two = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fcntl(nonblocking, F_GETFL) & O_NONBLOCK);
    assert_false(fcntl(blocking, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(one, F_GETFL) & O_NONBLOCK);
    assert_int_equal(fcntl(one, F_GETFD), 0);
    assert_false(fcntl(two, F_GETFL) & O_NONBLOCK);
    assert_int_equal(fcntl(two, F_GETFD), FD_CLOEXEC);
    assert_int_equal(fcntl(one, F_SETFD, FD_CLOEXEC), 0);
    assert_int_equal(fcntl(one, F_GETFD), FD_CLOEXEC);
    assert_int_equal(fcntl(two, F_SETFD, 0), 0);
    assert_int_equal(fcntl(two, F_GETFD), 0);
    close(nonblocking), close(blocking), close(one), close(two), close(listener);
}

static void complaint_02_close_of_minus_one(const struct net *net)
{
    int pair[2];
    net_warm_pair(net, pair);
    assert_int_equal(close(-1), -1);
    assert_int_equal(errno, EBADF);
    assert_int_equal(close(1 << 30), -1);
    assert_int_equal(errno, EBADF);
    errno = 55;
    assert_int_equal(close(pair[0]), 0);
    assert_int_equal(errno, 55);
    assert_int_equal(close(pair[0]), -1);
    assert_int_equal(errno, EBADF);
    close(pair[1]);
}

static void eventfd_calls(const struct net *net)
{
    int pair[2], event = eventfd(0, EFD_CLOEXEC);
    eventfd_t value = 0, bytes;
    net_warm_pair(net, pair);
    assert_int_equal(eventfd_write(pair[0], 0x1122334455667788), 0);
    assert_int_equal(net_read_all(pair[1], &bytes, sizeof bytes), sizeof bytes);
    assert_int_equal(bytes, 0x1122334455667788);
    assert_int_equal(net_write_all(pair[0], &bytes, sizeof bytes), sizeof bytes);
    assert_true(net_wait(pair[1], POLLIN, SOON_MS) & POLLIN);
    assert_int_equal(eventfd_read(pair[1], &value), 0);
    assert_int_equal(value, bytes);
    assert_int_equal(eventfd_write(event, 5), 0);
    assert_int_equal(eventfd_read(event, &value), 0);
    assert_int_equal(value, 5);
    close(pair[0]), close(pair[1]), close(event);
}

static const struct suite_case cases[] = {
    {.name = "flags are the program's", .run = flags_are_the_programs},
    {.name = "bad descriptors", .run = bad_descriptors},
    {.name = "__dup2, __fcntl and fcntl64", .run = copies_and_flags},
    {.name = "flags of descriptors", .run = flags_of_descriptors},
    {.name = "complaint_16_flags_are_preserved", .run = complaint_16_flags_are_preserved},
    {.name = "complaint_02_close_of_minus_one", .run = complaint_02_close_of_minus_one},
    {.name = "eventfd_read and eventfd_write", .run = eventfd_calls},
};

int main(int argc, char **argv)
{
    suite_cases(cases, suite_count(cases));
    return suite_run(argc, argv);
}
