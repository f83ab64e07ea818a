/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Programs that put a terminal under a child while the connection is at 0, 1 and 2. */

#include "suite.h"

#include "net.h"

#include <dlfcn.h>
#include <poll.h>
#include <pty.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <utmp.h>
#include <wordexp.h>

enum { SOON_MS = 3000 };

/* As a telnet server under inetd does it: the connection is at 0, 1 and 2, and in the child a terminal. */
static void be_telnetd(int fd, int (*start)(int *master))
{
    char word[8] = "";
    int master = -1;
    for (int to = 0; to < 3; to++)
        dup2(fd, to);
    close(fd);
    int child = start(&master);
    if (child == 0) {
        ssize_t n = write(1, isatty(0) && isatty(2) ? "a terminal" : "a connection", 10);
        _exit(n == 10 ? 0 : 1);
    }
    size_t have = 0;
    char seen[16] = "";
    while (have < 10 && net_wait(master, POLLIN, SOON_MS) & POLLIN) {
        ssize_t n = read(master, seen + have, 10 - have);
        if (n <= 0)
            break;
        have += (size_t)n;
    }
    bool right = strcmp(seen, "a terminal") == 0 && suite_wait(child) == 0;
    /* The parent's connection is what it was. */
    right = right && write(1, right ? "yes" : "no!", 3) == 3 && net_read_all(0, word, 3) == 3;
    _exit(right && strcmp(word, "bye") == 0 ? 0 : 1);
}

static int start_by_forkpty(int *master)
{
    return forkpty(master, NULL, NULL, NULL);
}

static void telnetd_by(const struct net *net, int (*start)(int *master))
{
    int pair[2];
    char word[8] = "";
    net_warm_pair(net, pair);
    pid_t child = suite_fork();
    if (child == 0) {
        close(pair[1]);
        be_telnetd(pair[0], start);
    }
    close(pair[0]);
    assert_int_equal(net_read_all(pair[1], word, 3), 3);
    assert_string_equal(word, "yes");
    assert_int_equal(write(pair[1], "bye", 3), 3);
    assert_int_equal(suite_wait(child), 0);
    close(pair[1]);
}

static void forkpty_under_inetd(const struct net *net)
{
    telnetd_by(net, start_by_forkpty);
}

static int start_by_login_tty(int *master)
{
    int slave;
    if (openpty(master, &slave, NULL, NULL, NULL) < 0)
        return -1;
    int child = fork();
    if (child == 0 && login_tty(slave) < 0)
        _exit(2);
    if (child != 0)
        close(slave);
    return child;
}

static void login_tty_under_inetd(const struct net *net)
{
    telnetd_by(net, start_by_login_tty);
}

static void by_login_tty(const struct net *net)
{
    int pair[2], master, slave;
    char text[16] = "";
    net_warm_pair(net, pair);
    assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
    pid_t child = suite_fork();
    if (child == 0) {
        dup2(pair[0], 1); /* gives way to the terminal */
        close(pair[0]), close(pair[1]);
        int status = login_tty(slave);
        if (status == 0 && isatty(1))
            printf("terminal");
        fflush(stdout);
        _exit(0);
    }
    close(slave), close(pair[0]);
    assert_int_equal(net_read_all(master, text, 8), 8);
    assert_string_equal(text, "terminal");
    assert_int_equal(suite_wait(child), 0);
    close(master);
    net_expect_end(pair[1]);
}

static const struct suite_case cases[] = {
    {.name = "forkpty under inetd", .run = forkpty_under_inetd},
    {.name = "login_tty under inetd", .run = login_tty_under_inetd},
    {.name = "by login_tty", .run = by_login_tty},
};

int main(int argc, char **argv)
{
    suite_cases(cases, suite_count(cases));
    return suite_run(argc, argv);
}
