/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* MSG_PEEK and MSG_WAITALL for more than comes. */

#include "suite.h"

#include "net.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void *close_later(void *context)
{
    net_sleep_ms(150);
    close(*(int *)context);
    return NULL;
}

/* What is there is given when no more can come. */
static void peeking_for_more_than_comes(const struct net *net)
{
    for (int later = 0; later < 2; later++) {
        int pair[2];
        char text[16];
        pthread_t thread;
        net_warm_pair(net, pair);
        assert_int_equal(write(pair[1], "hello", 5), 5);
        if (later)
            assert_int_equal(pthread_create(&thread, NULL, close_later, &pair[1]), 0);
        else
            close(pair[1]);
        assert_int_equal(recv(pair[0], text, 10, MSG_PEEK | MSG_WAITALL), 5);
        assert_int_equal(recv(pair[0], text, 10, MSG_WAITALL), 5);
        assert_memory_equal(text, "hello", 5);
        if (later)
            pthread_join(thread, NULL);
        net_expect_end(pair[0]);
    }
}

/* The same when the peer's process dies: no close_notify comes. */
static void peeking_when_the_peer_is_killed(const struct net *net)
{
    struct sockaddr_in address;
    char text[16];
    int listener = net_listen(net, 4, &address);
    pid_t child = suite_fork();
    if (child == 0) {
        int fd = accept(listener, NULL, NULL);
        if (net_read_all(fd, text, 1) != 1 || write(fd, "hello", 5) != 5)
            _exit(1);
        net_sleep_ms(150);
        raise(SIGKILL);
    }
    int fd = net_connect(net, &address);
    assert_int_equal(write(fd, "x", 1), 1);
    assert_int_equal(recv(fd, text, 10, MSG_PEEK | MSG_WAITALL), 5);
    assert_int_equal(net_read_all(fd, text, 10), 5);
    assert_memory_equal(text, "hello", 5);
    assert_int_equal(suite_wait(child), 1000 + SIGKILL);
    close(fd), close(listener);
}

static const struct suite_case cases[] = {
    {.name = "peeking for more than comes", .run = peeking_for_more_than_comes},
    {.name = "peeking when the peer is killed", .run = peeking_when_the_peer_is_killed},
};

int main(int argc, char **argv)
{
    suite_cases(cases, suite_count(cases));
    return suite_run(argc, argv);
}
