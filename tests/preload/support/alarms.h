/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef PRELOAD_ALARMS_H
#define PRELOAD_ALARMS_H

/* SIGALRM while a call is blocked, and threads that do not take it. */

#include <pthread.h>
#include <signal.h>

/* How many alarms there were since alarms_start(), by alarms_count or a handler that adds to it. */
extern volatile sig_atomic_t alarms;

/* The handler that only counts. */
void alarms_count(int signal);

/* The first after `first_ms`, then each `every_ms` (0: no more); `flags` are sigaction's. */
void alarms_start(void (*handler)(int), int flags, unsigned first_ms, unsigned every_ms);
void alarms_stop(void);

/* A thread that takes no signals, so that the blocked one gets them. */
pthread_t alarms_thread_without(void *(*run)(void *), void *context);

#endif
