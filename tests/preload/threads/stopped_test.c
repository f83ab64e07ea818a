/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Threads that are stopped by a signal wherever they are, as the garbage collector of Guile, Racket and
 * Bigloo (libgc) does it: the handler waits in sigsuspend until the collector lets it go on, and the
 * collector sleeps meanwhile. */

#include "suite.h"

#include "net.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    MUTATORS = 3,
    COLLECTIONS = 200,
    ROUNDS = 200,
    WRITERS = 5,
    STOPS = 250,
    STOP = SIGPWR,
    RESUME = SIGXCPU
};

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
        char text[8];
        net_pair(world->net, pair);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(write(pair[i], "request", 7), 7);
            assert_int_equal(shutdown(pair[i], SHUT_WR), 0);
        }
        for (int i = 0; i < 2; i++) {
            assert_int_equal(net_read_all(pair[i], text, sizeof text), 7);
            assert_memory_equal(text, "request", 7);
        }
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

static atomic_bool is_stopped;
static struct timespec moment = {.tv_nsec = 5000000};

static void stop_for_a_moment(int signal)
{
    int saved = errno;
    (void)signal;
    syscall(SYS_nanosleep, &moment, NULL);
    is_stopped = false;
    errno = saved;
}

/* Whoever waits makes progress with handshakes. */
static void *drive(void *context)
{
    struct world *world = context;
    while (!world->over)
        poll(NULL, 0, 1);
    return NULL;
}

/* Others make progress with a writer's handshake, and one of them is stopped in the midst of it: the write
 * says what it has taken, which is once and in order. */
static void writers_meet_a_thread_that_is_stopped(const struct net *net)
{
    struct world world = {.net = net};
    pthread_t threads[WRITERS];
    moment.tv_nsec = 2000000;
    handle(STOP, stop_for_a_moment);
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, connect_again_and_again, &world), 0);
    for (int i = 0; i < STOPS; i++) {
        is_stopped = true;
        assert_int_equal(pthread_kill(threads[i % WRITERS], STOP), 0);
        while (is_stopped)
            usleep(100 + (unsigned)i % 20 * 10);
    }
    world.over = true;
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static void spin(long ns)
{
    struct timespec begin, now;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    do
        clock_gettime(CLOCK_MONOTONIC, &now);
    while ((now.tv_sec - begin.tv_sec) * 1000000000 + now.tv_nsec - begin.tv_nsec < ns);
}

/* Whether the byte that the peer writes at once comes through to an edge-triggered reader. */
static bool comes_through(const struct net *net, pthread_t driver, long delay_ns)
{
    struct sockaddr_in address;
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    int listener = net_listen(net, 1, &address), epoll = epoll_create1(EPOLL_CLOEXEC);
    int client = net_connect(net, &address);
    char byte;
    net_set_nonblock(client, true);
    net_set_nonblock(listener, true); /* no call here makes progress itself */
    assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, client, &event), 0);
    int server = accept(listener, NULL, NULL);
    assert_int_equal(send(server, "x", 1, MSG_DONTWAIT), 1);
    spin(delay_ns);
    is_stopped = true;
    assert_int_equal(pthread_kill(driver, STOP), 0);
    ssize_t got = -1;
    while (got < 0 && epoll_wait(epoll, &event, 1, 2000) == 1) {
        got = read(client, &byte, 1);
        assert_true(got == 1 || errno == EAGAIN);
    }
    close(client), close(server), close(listener), close(epoll);
    while (is_stopped)
        net_sleep_ms(1);
    return got == 1;
}

/* EAGAIN would tell a reader that waits for edges that there is nothing, while the thread that was stopped
 * has taken the handshake in, and the data behind it causes no further edge. */
static void a_reader_waits_for_a_driver_that_is_stopped(const struct net *net)
{
    struct world world = {.net = net};
    pthread_t driver;
    handle(STOP, stop_for_a_moment);
    assert_int_equal(pthread_create(&driver, NULL, drive, &world), 0);
    for (long i = 0; i < ROUNDS; i++)
        assert_true(comes_through(net, driver, i % 20 * 10000));
    world.over = true;
    assert_int_equal(pthread_join(driver, NULL), 0);
}

static const struct suite_case cases[] = {
    {.name = "a reader waits for a driver that is stopped",
     .run = a_reader_waits_for_a_driver_that_is_stopped},
    {.name = "writers meet a thread that is stopped", .run = writers_meet_a_thread_that_is_stopped},
    {.name = "a collector stops threads that connect", .run = a_collector_stops_threads_that_connect},
};

int main(int argc, char **argv)
{
    suite_cases(cases, suite_count(cases));
    return suite_run(argc, argv);
}
