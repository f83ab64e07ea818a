/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Threads and signal handlers with little stack. */

#include "suite.h"

#include "guarded.h"
#include "net.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* The least that there is, and what a thread needs that starts programs with a sealed connection: the new
 * environment is on its stack. */
enum { THREAD_STACK = 16 << 10, STARTING_STACK = 20 << 10, SIGNAL_STACK = 8 << 10 };

struct errand {
    struct sockaddr_in address;
    const struct net *net;
    int fd;
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

static pthread_t start(void *(*run)(void *context), struct errand *errand, size_t size)
{
    pthread_attr_t attributes;
    pthread_t thread;
    const size_t least = (size_t)sysconf(_SC_THREAD_STACK_MIN); /* 128 KiB on aarch64 */
    pthread_attr_init(&attributes);
    assert_int_equal(pthread_attr_setstacksize(&attributes, least > size ? least : size), 0);
    assert_int_equal(pthread_create(&thread, &attributes, run, errand), 0);
    pthread_attr_destroy(&attributes);
    return thread;
}

static void a_thread_with_a_small_stack(const struct net *net)
{
    struct errand errand = {.net = net};
    errand.fd = net_listen(net, 4, &errand.address);
    pthread_t thread = start(run_errand, &errand, THREAD_STACK);
    int fd = accept(errand.fd, NULL, NULL);
    net_expect_text(fd, "ping");
    assert_int_equal(write(fd, "pong", 4), 4);
    pthread_join(thread, NULL);
    assert_true(errand.done);
    close(fd), close(errand.fd);
}

/* Whether a child ended well. */
static bool ended(pid_t child)
{
    int status;
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

static bool by_child(int fd)
{
    pid_t child = fork();
    if (child == 0)
        _exit(write(fd, "child", 5) != 5);
    return ended(child);
}

static bool by_spawned(int fd)
{
    pid_t child;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fd, STDOUT_FILENO);
    char *const words[] = {(char *)"echo", (char *)"-n", (char *)"spawned", NULL};
    int error = posix_spawnp(&child, words[0], &actions, NULL, words, environ);
    posix_spawn_file_actions_destroy(&actions);
    return error == 0 && ended(child);
}

static bool by_messages(int fd)
{
    struct iovec piece = {.iov_base = (char *)"message", .iov_len = 7};
    const struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    struct epoll_event event = {.events = EPOLLOUT};
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    bool good = epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0 && epoll_wait(epoll, &event, 1, 5000) == 1 &&
                sendmsg(fd, &message, 0) == 7 && dprintf(fd, "%d", 12345) == 5;
    close(epoll);
    return good;
}

static void *run_service(void *context)
{
    struct errand *errand = context;
    char text[4];
    int fd = accept(errand->fd, NULL, NULL);
    errand->done = fd >= 0 && net_read_all(fd, text, 4) == 4 && by_messages(fd) && by_child(fd) &&
                   by_spawned(fd) && shutdown(fd, SHUT_WR) == 0 && recv(fd, text, 1, 0) == 0 &&
                   close(fd) == 0;
    return NULL;
}

static void a_service_in_a_small_thread(const struct net *net)
{
    struct errand errand = {.net = net};
    errand.fd = net_listen(net, 4, &errand.address);
    pthread_t thread = start(run_service, &errand, net->sealed ? STARTING_STACK : THREAD_STACK);
    int fd = net_client(net, 0);
    assert_int_equal(net_connect_to(fd, &errand.address), 0);
    assert_int_equal(write(fd, "ping", 4), 4);
    net_expect_text(fd, "message12345childspawned");
    close(fd);
    pthread_join(thread, NULL);
    assert_true(errand.done);
    close(errand.fd);
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
    {.name = "a service in a small thread", .run = a_service_in_a_small_thread},
    {.name = "a handler with a small stack", .run = a_handler_with_a_small_stack},
};

int main(int argc, char **argv)
{
    suite_cases(cases, suite_count(cases));
    return suite_run(argc, argv);
}
