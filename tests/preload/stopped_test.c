/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Threads that are stopped by a signal wherever they are, as the garbage collector of Guile, Racket and
 * Bigloo (libgc) does it: the handler waits in sigsuspend until the collector lets it go on, and the
 * collector sleeps meanwhile. */

#include "support/suite.h"

#include "support/net.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MUTATORS = 3, COLLECTIONS = 200, STOP = SIGPWR, RESUME = SIGXCPU };

static sem_t stopped;

static void stop(int signal)
{
    int saved = errno;
    sigset_t mask;
    (void)signal;
    sigfillset(&mask);
    sigdelset(&mask, RESUME);
    sem_post(&stopped);
    sigsuspend(&mask);
    errno = saved;
}

static void resume(int signal)
{
    (void)signal;
}

static void handle(int signal, void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    sigfillset(&action.sa_mask);
    assert_int_equal(sigaction(signal, &action, NULL), 0);
}

struct world {
    const struct net *net;
    atomic_bool over;
};

/* One handshake after the other: whenever the thread is stopped, it is likely to be in the middle of one. */
static void *connect_again_and_again(void *context)
{
    struct world *world = context;
    while (!world->over) {
        int pair[2];
        net_pair(world->net, pair);
        for (int i = 0; i < 2; i++)
            assert_int_equal(write(pair[i], "x", 1), 1);
        close(pair[0]), close(pair[1]);
    }
    return NULL;
}

static void collect(const pthread_t *threads)
{
    for (int i = 0; i < MUTATORS; i++)
        assert_int_equal(pthread_kill(threads[i], STOP), 0);
    for (int i = 0; i < MUTATORS; i++) {
        while (sem_trywait(&stopped) != 0)
            usleep(100);
    }
    for (int i = 0; i < MUTATORS; i++)
        assert_int_equal(pthread_kill(threads[i], RESUME), 0);
}

static void a_collector_stops_threads_that_connect(const struct net *net)
{
    struct world world = {.net = net};
    pthread_t threads[MUTATORS];
    assert_int_equal(sem_init(&stopped, 0, 0), 0);
    handle(STOP, stop);
    handle(RESUME, resume);
    for (int i = 0; i < MUTATORS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, connect_again_and_again, &world), 0);
    for (int i = 0; i < COLLECTIONS; i++) {
        collect(threads);
        usleep(300);
    }
    world.over = true;
    for (int i = 0; i < MUTATORS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    sem_destroy(&stopped);
}

static const struct suite_case cases[] = {
    {.name = "a collector stops threads that connect", .run = a_collector_stops_threads_that_connect},
};

int main(int argc, char **argv)
{
    suite_cases(cases, suite_count(cases));
    return suite_run(argc, argv);
}
