/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* A program that ends, or goes on as a daemon, with bytes that wait for the handshake. */

#include "suite.h"

#include "net.h"

#include <dlfcn.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <wordexp.h>

/* Ends with bytes that wait for the handshake. */
static void be_quick(const struct net *net, const struct sockaddr_in *address, bool alias)
{
    int fd = net_client(net, SOCK_NONBLOCK);
    net_connect_to(fd, address);
    net_wait(fd, POLLOUT, 3000);
    int status = write(fd, "hello", 5) == 5 ? 0 : 1;
    if (alias)
        _Exit(status);
    _exit(status);
}

static void ends(const struct net *net)
{
    struct sockaddr_in address;
    int listener = net_listen(net, 4, &address);
    for (int alias = 0; alias < 2; alias++) {
        pid_t child = suite_fork();
        if (child == 0)
            be_quick(net, &address, alias);
        int peer = accept(listener, NULL, NULL);
        net_expect_text(peer, "hello");
        assert_int_equal(suite_wait(child), 0);
        close(peer);
    }
    close(listener);
}

/* What the program has written and closed before the keys stood is finished by its parent's end. */
static void daemon_after_a_close(const struct net *net)
{
    struct sockaddr_in address;
    char text[8] = "";
    int listener = net_listen(net, 4, &address);
    pid_t child = suite_fork();
    if (child == 0) {
        close(listener);
        int fd = net_connect(net, &address);
        net_set_nonblock(fd, true);
        if (write(fd, "before", 6) != 6 || close(fd) != 0 || daemon(1, 1) != 0)
            _exit(1);
        _exit(0);
    }
    suite_until_blocked(child);
    int fd = accept(listener, NULL, NULL);
    assert_int_equal(net_read_all(fd, text, 6), 6);
    assert_string_equal(text, "before");
    assert_int_equal(suite_wait(child), 0);
    close(fd), close(listener);
}

/* The parent ends within daemon(3), and the connection is the child's. */
static void by_daemon(const struct net *net)
{
    int pair[2];
    char text[8] = "";
    net_warm_pair(net, pair);
    pid_t child = suite_fork();
    if (child == 0) {
        const pid_t parent = getpid();
        close(pair[1]);
        dup2(pair[0], 2);
        if (daemon(1, 0) < 0)
            _exit(1);
        while (getppid() == parent) /* whose end is not the one to die with */
            usleep(1000);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (net_read_all(pair[0], text, 3) == 3 && write(2, "null", 4) == 4)
            dprintf(pair[0], "%d", getsid(0) == getpid());
        exit(0);
    }
    close(pair[0]);
    assert_int_equal(suite_wait(child), 0);
    assert_int_equal(net_wait(pair[1], POLLIN, 30), 0);
    assert_int_equal(write(pair[1], "ask", 3), 3);
    net_expect_text(pair[1], "1");
    net_expect_end(pair[1]);
}

static const struct suite_case cases[] = {
    {.name = "_exit and _Exit", .run = ends},
    {.name = "daemon after a close", .run = daemon_after_a_close},
    {.name = "by daemon", .run = by_daemon},
};

int main(int argc, char **argv)
{
    suite_cases(cases, suite_count(cases));
    return suite_run(argc, argv);
}
