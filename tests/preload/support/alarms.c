/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "suite.h"

#include "alarms.h"

#include <sys/time.h>

volatile sig_atomic_t alarms;

void alarms_count(int signal)
{
    (void)signal;
    alarms = alarms + 1;
}

void alarms_start(void (*handler)(int), int flags, unsigned first_ms, unsigned every_ms)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    struct itimerval timer = {{0, (suseconds_t)every_ms * 1000}, {0, (suseconds_t)first_ms * 1000}};
    alarms = 0;
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &timer, NULL), 0);
}

void alarms_stop(void)
{
    struct itimerval none = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &none, NULL);
}

pthread_t alarms_thread_without(void *(*run)(void *), void *context)
{
    pthread_t thread;
    sigset_t all, kept;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &kept);
    assert_int_equal(pthread_create(&thread, NULL, run, context), 0);
    pthread_sigmask(SIG_SETMASK, &kept, NULL);
    return thread;
}
