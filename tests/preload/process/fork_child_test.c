/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* What the child of a fork can do, whatever the parent was doing, and what it leaves alone. */

#include "suite.h"

#include "net.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

pid_t __fork(void);
pid_t _Fork(void);

enum { SOON_MS = 3000 };

/* A child by each name writes, ends by each name, and leaves the connection to its parent. */
static void children(const struct net *net)
{
    int pair[2];
    net_warm_pair(net, pair);
    for (int form = 0; form < 4; form++) {
        pid_t child = form % 2 ? __fork() : _Fork();
        assert_true(child >= 0);
        if (child == 0) {
            ssize_t sent = write(pair[0], "child", 5);
            if (form < 2)
                _Exit(sent == 5 ? 0 : 1);
            _exit(sent == 5 ? 0 : 1);
        }
        assert_int_equal(suite_wait(child), 0);
        net_expect_text(pair[1], "child");
        assert_int_equal(write(pair[0], "parent", 6), 6);
        net_expect_text(pair[1], "parent");
    }
    close(pair[0]), close(pair[1]);
}

static void complaint_05_a_plain_fork_leaves_the_child_working(const struct net *net)
{
    int pair[2], own[2];
    net_warm_pair(net, pair);
    pid_t child = suite_fork();
    if (child == 0) {
        net_expect_text(pair[1], "from the parent");
        net_warm_pair(net, own);
        assert_int_equal(write(own[0], "its own", 7), 7);
        net_expect_text(own[1], "its own");
        close(own[0]), close(own[1]);
        assert_int_equal(write(pair[1], "from the child", 14), 14);
        exit(0);
    }
    assert_int_equal(write(pair[0], "from the parent", 15), 15);
    net_expect_text(pair[0], "from the child");
    assert_int_equal(suite_wait(child), 0);
    close(pair[0]), close(pair[1]);
}

static void complaint_12_a_childs_close_leaves_the_parents_state(const struct net *net)
{
    int pair[2];
    net_warm_pair(net, pair);
    for (int round = 0; round < 3; round++) {
        pid_t child = suite_fork();
        if (child == 0) {
            close(pair[0]), close(pair[1]);
            exit(0);
        }
        assert_int_equal(suite_wait(child), 0);
        assert_int_equal(write(pair[0], "still", 5), 5);
        net_expect_text(pair[1], "still");
    }
    close(pair[0]), close(pair[1]);
}

static volatile sig_atomic_t busy_stop;

static void *use_doors(void *context)
{
    int *pair = context;
    char text[4];
    while (!busy_stop) {
        struct pollfd one = {.fd = pair[1], .events = POLLIN};
        if (write(pair[0], "busy", 4) != 4 || poll(&one, 1, SOON_MS) != 1 ||
            net_read_all(pair[1], text, 4) != 4)
            return context;
    }
    return NULL;
}

static void complaint_05_forks_amid_calls_do_not_deadlock(const struct net *net)
{
    int pairs[2][2];
    pthread_t threads[2];
    void *failed;
    busy_stop = 0;
    for (int i = 0; i < 2; i++) {
        net_pair(net, pairs[i]);
        assert_int_equal(pthread_create(&threads[i], NULL, use_doors, pairs[i]), 0);
    }
    for (int round = 0; round < 40; round++) {
        pid_t child = suite_fork();
        if (child == 0) {
            int own[2];
            net_warm_pair(net, own);
            close(own[0]), close(own[1]);
            _exit(0);
        }
        assert_int_equal(suite_wait(child), 0);
    }
    busy_stop = 1;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
        close(pairs[i][0]), close(pairs[i][1]);
    }
}

static const struct suite_case cases[] = {
    {.name = "__fork and _Fork", .run = children},
    {.name = "complaint_05_a_plain_fork_leaves_the_child_working",
     .run = complaint_05_a_plain_fork_leaves_the_child_working},
    {.name = "complaint_12_a_childs_close_leaves_the_parents_state",
     .run = complaint_12_a_childs_close_leaves_the_parents_state},
    {.name = "complaint_05_forks_amid_calls_do_not_deadlock",
     .run = complaint_05_forks_amid_calls_do_not_deadlock},
};

int main(int argc, char **argv)
{
    suite_cases(cases, suite_count(cases));
    return suite_run(argc, argv);
}
