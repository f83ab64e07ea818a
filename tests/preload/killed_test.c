/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Processes that are killed with their connections, one after the other, leave nothing behind in the memory
 * that they shared with the others. */

#include "support/suite.h"

#include "support/leaks.h"
#include "support/net.h"

#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MANY = 600, WARM = 60, GROWTH = 64 * 1024 };

/* A child that is killed while it reads; its connection was nobody else's. */
static void kill_one(const struct net *net)
{
    int pair[2];
    char byte;
    net_warm_pair(net, pair);
    pid_t child = suite_fork();
    if (child == 0) {
        close(pair[1]);
        ssize_t ready = write(pair[0], "r", 1);
        _exit(ready == 1 && read(pair[0], &byte, 1) == 1);
    }
    close(pair[0]);
    assert_int_equal(read(pair[1], &byte, 1), 1);
    kill(child, SIGKILL);
    assert_int_equal(suite_wait(child), 1000 + SIGKILL);
    assert_in_range(read(pair[1], &byte, 1) + 1, 0, 1);
    close(pair[1]);
}

static void one_after_the_other(const struct net *net)
{
    for (int i = 0; i < WARM; i++)
        kill_one(net);
    long before = leaks_shared_memory();
    for (int i = 0; i < MANY; i++)
        kill_one(net);
    assert_in_range(leaks_shared_memory(), 0, before + GROWTH);
}

static const struct suite_case cases[] = {
    {.name = "one after the other", .run = one_after_the_other},
};

int main(int argc, char **argv)
{
    suite_cases(cases, suite_count(cases));
    return suite_run(argc, argv);
}
