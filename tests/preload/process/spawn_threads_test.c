/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Running another program in a program with threads. A thread is cancelled meanwhile: no child is left to
 * anybody, signals are as they were, and what is no cancellation point with libc is none here. Threads hold
 * locks of libc: a child is not born with them. */

#include "suite.h"

#include "net.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* A connection that the next program would get, and a pipe by which it tells that it is there. */
struct stage {
    int pair[2], ends[2];
    char command[64];
    int status;
    pid_t child;
};

static void set_up(const struct net *net, struct stage *stage)
{
    net_warm_pair(net, stage->pair);
    fcntl(stage->pair[0], F_SETFD, 0);
    assert_int_equal(pipe(stage->ends), 0);
    fcntl(stage->ends[0], F_SETFD, FD_CLOEXEC);
    stage->child = 0;
    stage->status = -1;
}

static void no_child_is_left(void)
{
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

/* Nobody has the other end any more. */
static void expect_pipe_end(struct stage *stage)
{
    char byte;
    close(stage->ends[1]);
    assert_int_equal(read(stage->ends[0], &byte, 1), 0);
    close(stage->ends[0]), close(stage->pair[0]), close(stage->pair[1]);
}

static void cancel(pthread_t thread)
{
    void *result;
    assert_int_equal(pthread_cancel(thread), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_ptr_equal(result, PTHREAD_CANCELED);
}

static void *in_system(void *context)
{
    struct stage *stage = context;
    stage->status = system(stage->command);
    return NULL;
}

static void system_is_cancelled(const struct net *net)
{
    struct stage stage;
    struct sigaction action;
    pthread_t thread;
    char byte;
    set_up(net, &stage);
    snprintf(stage.command, sizeof stage.command, "echo >&%d; exec sleep 100", stage.ends[1]);
    assert_int_equal(pthread_create(&thread, NULL, in_system, &stage), 0);
    assert_int_equal(read(stage.ends[0], &byte, 1), 1);
    assert_int_equal(sigaction(SIGINT, NULL, &action), 0);
    assert_ptr_equal(action.sa_handler, SIG_IGN);
    cancel(thread);
    no_child_is_left();
    for (int i = 0; i < 2; i++) {
        assert_int_equal(sigaction(i ? SIGINT : SIGQUIT, NULL, &action), 0);
        assert_ptr_equal(action.sa_handler, SIG_DFL);
    }
    expect_pipe_end(&stage);
}

static void *in_pclose(void *context)
{
    struct stage *stage = context;
    FILE *stream = popen(stage->command, "w");
    stage->status = pclose(stream);
    pthread_testcancel();
    return NULL;
}

/* The command is told to end by a byte on its connection, when the cancellation stands already. */
static void pclose_is_not_cancelled(const struct net *net)
{
    struct stage stage;
    pthread_t thread;
    void *result;
    char byte;
    set_up(net, &stage);
    snprintf(stage.command, sizeof stage.command, "echo >&%d; head -c 1 <&%d; exit 5", stage.ends[1],
             stage.pair[0]);
    assert_int_equal(pthread_create(&thread, NULL, in_pclose, &stage), 0);
    assert_int_equal(read(stage.ends[0], &byte, 1), 1);
    assert_int_equal(pthread_cancel(thread), 0);
    assert_int_equal(write(stage.pair[1], "x", 1), 1);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_ptr_equal(result, PTHREAD_CANCELED);
    no_child_is_left();
    assert_int_equal(WEXITSTATUS(stage.status), 5);
    expect_pipe_end(&stage);
}

/* The calls are made with a cancellation that stands. */
static void *in_calls(void *context)
{
    struct stage *stage = context;
    posix_spawn_file_actions_t actions;
    char *const argv[] = {"sh", "-c", "exit 7", NULL};
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    pthread_cancel(pthread_self());
    posix_spawn(&stage->child, "/bin/sh", &actions, NULL, argv, environ);
    FILE *stream = popen(stage->command, "w");
    stage->status = stream ? pclose(stream) : -1;
    int state;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    posix_spawn_file_actions_destroy(&actions);
    return stage;
}

static void spawn_and_popen_are_not_cancelled(const struct net *net)
{
    struct stage stage;
    pthread_t thread;
    void *result;
    set_up(net, &stage);
    snprintf(stage.command, sizeof stage.command, "exit 6");
    assert_int_equal(pthread_create(&thread, NULL, in_calls, &stage), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_ptr_equal(result, &stage);
    assert_int_equal(WEXITSTATUS(stage.status), 6);
    assert_int_equal(suite_wait(stage.child), 7);
    no_child_is_left();
    expect_pipe_end(&stage);
}

static _Atomic bool over;

static void *use_stdio(void *unused)
{
    while (!over) {
        FILE *stream = fopen("/dev/null", "r");
        if (stream)
            fclose(stream);
        free(malloc(300));
    }
    return unused;
}

/* posix_spawn(3) with the connection as the program's standard output. */
static void spawning_beside_threads(const struct net *net)
{
    enum { THREADS = 3, ROUNDS = 150 };
    pthread_t threads[THREADS];
    int pair[2];
    char *const words[] = {(char *)"true", NULL};
    net_warm_pair(net, pair);
    over = false;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use_stdio, NULL), 0);
    for (int i = 0; i < ROUNDS; i++) {
        posix_spawn_file_actions_t actions;
        pid_t child;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, pair[0], 1);
        assert_int_equal(posix_spawn(&child, "/bin/true", &actions, NULL, words, environ), 0);
        posix_spawn_file_actions_destroy(&actions);
        assert_int_equal(suite_wait(child), 0);
    }
    over = true;
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    close(pair[0]), close(pair[1]);
}

static const struct suite_case cases[] = {
    {.name = "system is cancelled", .run = system_is_cancelled},
    {.name = "pclose is not cancelled", .run = pclose_is_not_cancelled},
    {.name = "posix_spawn and popen are not cancelled", .run = spawn_and_popen_are_not_cancelled},
    {.name = "spawning beside threads", .run = spawning_beside_threads},
};

int main(int argc, char **argv)
{
    suite_cases(cases, suite_count(cases));
    return suite_run(argc, argv);
}
