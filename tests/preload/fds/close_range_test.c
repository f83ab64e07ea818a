/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Closing many descriptors at once, those of the library among them. */

#include "suite.h"

#include "net.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SOON_MS = 3000 };

static void closing_a_range(const struct net *net)
{
    int pair[2], again[2];
    char byte;
    net_warm_pair(net, pair);
    net_pair(net, again); /* its handshake is outstanding: the private epoll exists */
    int moved = fcntl(pair[0], F_DUPFD, 500);
    close(pair[0]);
    assert_int_equal(close_range(400, ~0u, 0), 0);
    assert_int_equal(fcntl(moved, F_GETFD), -1);
    assert_int_equal(read(pair[1], &byte, 1), 0);
    assert_int_equal(write(again[0], "y", 1), 1);
    net_expect_text(again[1], "y");
    closefrom(300);
    assert_int_equal(write(again[1], "z", 1), 1);
    net_expect_text(again[0], "z");
    close(pair[1]), close(again[0]), close(again[1]);
}

/* CLOSE_RANGE_UNSHARE closes, too. */
static void closing_a_range_unshared(const struct net *net)
{
    int pair[2];
    char byte;
    net_warm_pair(net, pair);
    int first = dup2(pair[0], 200), second = dup2(pair[1], 201);
    close(pair[0]), close(pair[1]);
    assert_int_equal(close_range(200, 200, CLOSE_RANGE_UNSHARE), 0);
    assert_int_equal(fcntl(first, F_GETFD), -1);
    assert_int_equal(read(second, &byte, 1), 0);
    assert_int_equal(close_range(201, 200, CLOSE_RANGE_UNSHARE), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(close_range(201, 201, 8), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(fcntl(second, F_GETFD), 0);
    close(second);
}

/* A client in the midst of its handshake, for which the shim has descriptors of its own: it closes all but
 * its connection in one way, puts something of its own at every number, and then waits for nothing but time.
 */
static void be_careful(const struct net *net, const struct sockaddr_in *address, void (*close_from)(int low))
{
    int null = open("/dev/null", O_RDWR), fd = net_client(net, SOCK_NONBLOCK);
    net_connect_to(fd, address);
    net_wait(fd, POLLOUT, SOON_MS);
    if (write(fd, "queued", 6) != 6 || poll(NULL, 0, 5) != 0)
        _exit(1);
    close_from((fd > null ? fd : null) + 1);
    for (int at = fd + 1; at < 1024; at = fcntl(null, F_DUPFD, at))
        ;
    poll(NULL, 0, -1);
    _exit(2);
}

/* What the client wrote comes, and it goes on. */
static void survives(const struct net *net, void (*close_from)(int low))
{
    struct sockaddr_in address;
    int listener = net_listen(net, 4, &address);
    pid_t child = suite_fork();
    if (child == 0)
        be_careful(net, &address, close_from);
    suite_until_blocked(child); /* it has done all this before it is accepted */
    int peer = accept(listener, NULL, NULL);
    net_expect_text(peer, "queued");
    kill(child, SIGKILL);
    suite_wait(child);
    close(peer), close(listener);
}

static void complaint_01_closefrom(const struct net *net)
{
    survives(net, closefrom);
}

static void by_close_range(int low)
{
    assert_int_equal(close_range((unsigned)low, ~0u, 0), 0);
}

static void by_raw_close_range(int low)
{
    assert_int_equal(syscall(SYS_close_range, low, ~0u, 0), 0);
}

static void complaint_01_close_range(const struct net *net)
{
    survives(net, by_close_range);
    survives(net, by_raw_close_range);
}

static void by_closing_each(int low)
{
    for (int fd = low; fd < 1100; fd++)
        close(fd);
}

static void complaint_01_closing_each(const struct net *net)
{
    survives(net, by_closing_each);
}

/* As Python and OpenSSH do it. */
static void by_proc(int low)
{
    int list[1024], count = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        if (atoi(entry->d_name) >= low && atoi(entry->d_name) != dirfd(folder) && count < 1024)
            list[count++] = atoi(entry->d_name);
    }
    closedir(folder);
    for (int i = 0; i < count; i++)
        close(list[i]);
}

static void complaint_01_closing_what_proc_lists(const struct net *net)
{
    survives(net, by_proc);
}

static const struct suite_case cases[] = {
    {.name = "closing a range", .run = closing_a_range},
    {.name = "closing a range, unshared", .run = closing_a_range_unshared},
    {.name = "complaint_01_closefrom", .run = complaint_01_closefrom},
    {.name = "complaint_01_close_range", .run = complaint_01_close_range},
    {.name = "complaint_01_closing_each", .run = complaint_01_closing_each},
    {.name = "complaint_01_closing_what_proc_lists", .run = complaint_01_closing_what_proc_lists},
};

int main(int argc, char **argv)
{
    suite_cases(cases, suite_count(cases));
    return suite_run(argc, argv);
}
