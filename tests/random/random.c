/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/*
 * Random calls from several threads, with random signals, timers and forks; all from one seed. Usage:
 * random SEED CALLS [FROM TO], with the two addresses of its connections.
 *
 * Whoever runs it decides whether it is sealed. What must hold is what holds on plain TCP: each byte is read
 * once, in order, and nothing that was written is missing in the end; a call fails only because it was
 * interrupted or would block; what was announced does not block. The status is 0 if all of that holds.
 */

#include "streams.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 4, CHILD_CALLS = 40 };

static const char *from = "127.77.1.1", *to = "127.77.1.2";
static unsigned calls_each;

static void on_signal(int number)
{
    (void)number;
    streams_in_handler();
}

static void on_limit(int number)
{
    (void)number;
    static const char text[] = "no end in time\n";
    if (write(2, text, sizeof text - 1) < 0)
        _exit(4);
    abort();
}

static void handle_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    action.sa_flags = draw(2) ? SA_RESTART : 0;
    sigaction(SIGUSR1, &action, NULL);
    action.sa_flags = draw(2) ? SA_RESTART : 0;
    sigaction(SIGALRM, &action, NULL);
    action.sa_handler = on_limit;
    sigaction(SIGVTALRM, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static void set_timer(void)
{
    struct itimerval timer = {.it_value.tv_usec = 100 + (suseconds_t)draw(5000)};
    if (draw(3) == 0)
        timer.it_interval.tv_usec = 500 + (suseconds_t)draw(3000);
    setitimer(ITIMER_REAL, &timer, NULL);
}

static void run_child(uint64_t seed)
{
    draw_from(seed);
    for (unsigned i = 0; i < CHILD_CALLS; i++)
        streams_call();
}

/* The child uses the same connections, and may become another program first. */
static void have_child(void)
{
    char text[32];
    uint64_t seed = (uint64_t)draw(1u << 30) + 1;
    const bool becomes = draw(3) == 0;
    snprintf(text, sizeof text, "%llu", (unsigned long long)seed);
    atomic_fetch_add(&state->forks, 1);
    /* Only while no thread is in connect or accept, unless RANDOM_EXEC=anywhere (README.md). */
    const char *where = getenv("RANDOM_EXEC");
    const bool apart = becomes && !(where && strcmp(where, "anywhere") == 0);
    if (apart)
        pthread_rwlock_wrlock(&streams_connecting);
    pid_t pid = fork();
    if (apart && pid != 0)
        pthread_rwlock_unlock(&streams_connecting);
    if (pid < 0)
        broken("fork", 0, 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* it may wait for a lock of a thread that has failed */
        if (becomes)
            execl("/proc/self/exe", "random", "child", text, (char *)NULL);
        run_child(seed);
        _exit(0);
    }
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            broken("waitpid", pid, 0);
    if (status != 0)
        broken("a child ended badly", status, pid);
}

static void *run_thread(void *number)
{
    draw_from(state->seed * THREADS + (uintptr_t)number);
    for (unsigned i = 0; i < calls_each; i++) {
        unsigned what = draw(100);
        if (what < 1)
            have_child();
        else if (what < 3)
            streams_visit(from, to);
        else if (what < 6)
            set_timer();
        else if (what < 10)
            kill(getpid(), SIGUSR1);
        else if (what < 12)
            pthread_kill(pthread_self(), SIGUSR1);
        else
            streams_call();
    }
    return NULL;
}

/* A process of its own, since a signal handler or a thread may be what hangs. */
static pid_t start_limit(void)
{
    pid_t program = getpid(), pid = fork();
    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (unsigned left = LIMIT_S; left > 0 && getppid() == program;)
        left = sleep(left);
    if (getppid() == program)
        kill(program, SIGTERM);
    _exit(0);
}

int main(int argc, char *argv[])
{
    pthread_t threads[THREADS];
    if (argc == 3 && strcmp(argv[1], "child") == 0) {
        streams_attach();
        draw_from(strtoull(argv[2], NULL, 10));
        handle_signals();
        run_child(strtoull(argv[2], NULL, 10));
        return 0;
    }
    if (argc < 3)
        return 2;
    pid_t limit = start_limit();
    draw_from(strtoull(argv[1], NULL, 10));
    calls_each = (unsigned)strtoul(argv[2], NULL, 10) / THREADS;
    if (argc > 4)
        from = argv[3], to = argv[4];
    streams_create(strtoull(argv[1], NULL, 10), from, to);
    handle_signals();
    for (uintptr_t i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, run_thread, (void *)(i + 1));
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    setitimer(ITIMER_REAL, &(struct itimerval){.it_value.tv_sec = 0}, NULL);
    streams_finish();
    kill(limit, SIGKILL);
    waitpid(limit, NULL, 0);
    printf("seed %llu: %llu calls, %llu visits, %llu forks, %llu signals handled\n",
           (unsigned long long)state->seed, (unsigned long long)state->calls,
           (unsigned long long)state->visits, (unsigned long long)state->forks,
           (unsigned long long)state->handled);
    return 0;
}
