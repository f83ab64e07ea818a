/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Threads and signal handlers with little stack. */

#include "suite.h"

#include "guarded.h"
#include "net.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { THREAD_STACK = 24 << 10, SIGNAL_STACK = 8 << 10 };

struct errand {
    struct sockaddr_in address;
    const struct net *net;
    bool done;
};

static void *run_errand(void *context)
{
    struct errand *errand = context;
    char text[4];
    int fd = net_client(errand->net, 0);
    errand->done = net_connect_to(fd, &errand->address) == 0 && write(fd, "ping", 4) == 4 &&
                   net_wait(fd, POLLIN, 5000) == POLLIN && net_read_all(fd, text, 4) == 4 && close(fd) == 0;
    return NULL;
}

static void a_thread_with_a_small_stack(const struct net *net)
{
    struct errand errand = {.net = net};
    pthread_attr_t attributes;
    pthread_t thread;
    int listener = net_listen(net, 4, &errand.address);
    const size_t least = (size_t)sysconf(_SC_THREAD_STACK_MIN); /* 128 KiB on aarch64 */
    pthread_attr_init(&attributes);
    assert_int_equal(pthread_attr_setstacksize(&attributes, least > THREAD_STACK ? least : THREAD_STACK), 0);
    assert_int_equal(pthread_create(&thread, &attributes, run_errand, &errand), 0);
    int fd = accept(listener, NULL, NULL);
    net_expect_text(fd, "ping");
    assert_int_equal(write(fd, "pong", 4), 4);
    pthread_join(thread, NULL);
    assert_true(errand.done);
    pthread_attr_destroy(&attributes);
    close(fd), close(listener);
}

static int handler_fd = -1;
static volatile sig_atomic_t handled;

static void write_in_handler(int number)
{
    (void)number;
    handled = write(handler_fd, "sig", 3) == 3;
}

static void a_handler_with_a_small_stack(const struct net *net)
{
    int pair[2];
    struct sigaction action = {.sa_handler = write_in_handler, .sa_flags = SA_ONSTACK}, kept;
    char *memory = guarded(SIGNAL_STACK);
    stack_t stack = {.ss_sp = memory, .ss_size = SIGNAL_STACK}, none = {.ss_flags = SS_DISABLE};
    if (sigaltstack(&stack, NULL) < 0)
        skip(); /* this processor's signal frame alone is larger */
    net_warm_pair(net, pair);
    handler_fd = pair[0];
    assert_int_equal(sigaction(SIGUSR1, &action, &kept), 0);
    for (int i = 0; i < 3; i++) {
        handled = 0;
        assert_int_equal(raise(SIGUSR1), 0);
        assert_true(handled);
        net_expect_text(pair[1], "sig");
    }
    sigaction(SIGUSR1, &kept, NULL);
    sigaltstack(&none, NULL);
    guarded_free(memory, SIGNAL_STACK);
    close(pair[0]), close(pair[1]);
}

static const struct suite_case cases[] = {
    {.name = "a thread with a small stack", .run = a_thread_with_a_small_stack},
    {.name = "a handler with a small stack", .run = a_handler_with_a_small_stack},
};

int main(int argc, char **argv)
{
    suite_cases(cases, suite_count(cases));
    return suite_run(argc, argv);
}
