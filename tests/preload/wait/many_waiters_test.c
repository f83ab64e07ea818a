/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* What a wait costs while something is pending: no thread is woken for what is not its own. */

#include "suite.h"

#include "net.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 24, HANDSHAKES = 30, IDLE = 60, WAIT_MS = 8000 };

static int gate[2]; /* a pipe: its end ends all waits */

struct waiter {
    pthread_t thread;
    _Atomic pid_t id;
    int ready;
};

static void *wait_at_the_gate(void *context)
{
    struct waiter *waiter = context;
    struct pollfd one = {.fd = gate[0], .events = POLLIN};
    waiter->id = (pid_t)syscall(SYS_gettid);
    waiter->ready = poll(&one, 1, -1);
    return NULL;
}

/* How often the thread went to sleep (proc(5)). */
static long sleeps_of(pid_t id)
{
    char path[64], text[4096];
    snprintf(path, sizeof path, "/proc/self/task/%d/status", (int)id);
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    ssize_t len = read(fd, text, sizeof text - 1);
    close(fd);
    text[len > 0 ? len : 0] = '\0';
    const char *line = strstr(text, "\nvoluntary_ctxt_switches:");
    assert_non_null(line);
    return strtol(strchr(line + 1, ':') + 1, NULL, 10);
}

static int compare(const void *a, const void *b)
{
    const long x = *(const long *)a, y = *(const long *)b;
    return (x > y) - (x < y);
}

static void shake_hands(const struct net *net)
{
    char text[8];
    int pair[2];
    net_pair(net, pair);
    assert_int_equal(write(pair[0], "x", 1), 1);
    assert_int_equal(read(pair[1], text, 1), 1);
    close(pair[0]), close(pair[1]);
}

static void handshakes_do_not_wake_all_threads(const struct net *net)
{
    struct waiter waiters[THREADS] = {0};
    long before[THREADS], woken[THREADS];
    struct sockaddr_in address;
    int listener = net_listen(net, 4, &address), pending = net_connect(net, &address);
    assert_int_equal(pipe(gate), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&waiters[i].thread, NULL, wait_at_the_gate, &waiters[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        while (!waiters[i].id)
            sched_yield();
        suite_until_blocked(waiters[i].id);
        before[i] = sleeps_of(waiters[i].id);
    }
    for (int i = 0; i < HANDSHAKES; i++)
        shake_hands(net);
    for (int i = 0; i < THREADS; i++)
        woken[i] = sleeps_of(waiters[i].id) - before[i];
    close(gate[1]);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(waiters[i].thread, NULL);
        assert_int_equal(waiters[i].ready, 1);
    }
    qsort(woken, THREADS, sizeof *woken, compare);
    assert_in_range(woken[THREADS - 2], 0, HANDSHAKES / 3); /* all but one: a wake-up a second is allowed */
    close(gate[0]), close(pending), close(listener);
}

/* Peers that do not answer are waited for, and not looked at all the time. */
static void idle_peers_cost_nothing(const struct net *net)
{
    struct sockaddr_in address;
    struct rusage before, after;
    int listener = net_listen(net, IDLE, &address), ends[IDLE];
    for (int i = 0; i < IDLE; i++)
        ends[i] = net_connect(net, &address);
    assert_int_equal(net_wait(ends[0], POLLIN, 100), 0);
    getrusage(RUSAGE_SELF, &before);
    assert_int_equal(net_wait(ends[0], POLLIN, 500), 0);
    getrusage(RUSAGE_SELF, &after);
    assert_in_range(after.ru_nvcsw - before.ru_nvcsw, 0, 4);
    for (int i = 0; i < IDLE; i++)
        close(ends[i]);
    close(listener);
}

static int open_sockets(void)
{
    int count = 0;
    DIR *open = opendir("/proc/self/fd");
    const struct dirent *entry;
    while (open && (entry = readdir(open))) {
        char target[64] = "";
        if (readlinkat(dirfd(open), entry->d_name, target, sizeof target - 1) > 0)
            count += strncmp(target, "socket:", 7) == 0;
    }
    if (open)
        closedir(open);
    return count;
}

/* In libc's own futex: no door. */
static void sleep_in_a_lock(unsigned ms)
{
    sem_t never;
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += (long)ms * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000, until.tv_nsec %= 1000000000;
    sem_init(&never, 0, 0);
    while (sem_timedwait(&never, &until) < 0 && errno == EINTR) {
    }
}

/* The worker sleeps, with nothing to do for ten seconds, when a connection is closed that is to be given up
 * sooner. */
static void a_nearer_deadline_wakes_the_worker(const struct net *net)
{
    int listener[2], waits = net_connect_unanswered(net, &listener[0]);
    sleep_in_a_lock(100);
    struct sockaddr_in address;
    listener[1] = net_listen(net, 4, &address);
    const int before = open_sockets();
    close(net_connect(net, &address)); /* an orphan without data */
    int after = before + 1;
    for (int64_t end = net_now_ms() + WAIT_MS; after > before && net_now_ms() < end;) {
        sleep_in_a_lock(50);
        after = open_sockets();
    }
    assert_true(after <= before);
    close(waits), close(listener[0]), close(listener[1]);
}

int main(int argc, char **argv)
{
    static const struct suite_case cases[] = {
        {"handshakes do not wake all threads", handshakes_do_not_wake_all_threads, 0},
        {"idle peers cost nothing", idle_peers_cost_nothing, 0},
        {"a nearer deadline wakes the worker", a_nearer_deadline_wakes_the_worker, 0},
    };
    suite_cases(cases, suite_count(cases));
    return suite_run(argc, argv);
}
