/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Doors of the process: loading, fork, the end. */

#include "libc/door.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/config.h"
#include "conn/closing.h"

pid_t _Fork(void);
pid_t __fork(void) __THROW;

__attribute__((constructor)) static void load(void)
{
    real();
    config_load();
    if (config_get()->active)
        pthread_atfork(registry_before_fork, registry_fork_done, registry_check_fork);
}

/* stdio may still flush, and other destructors may still write, after this: it finishes what stands, and
 * tears nothing down. */
__attribute__((destructor)) static void unload(void)
{
    int saved = errno;
    if (door_streams)
        fflush(NULL); /* what stands in a stream over a sealed descriptor goes before its close_notify */
    closing_at_exit();
    errno = saved;
}

/* The handlers of pthread_atfork(3) do the counting: the last of them to run before a fork is the first that
 * was registered, and so no other handler waits for a lock while ours is held. */
DOOR pid_t fork(void)
{
    pid_t child = real()->fork();
    int saved = errno;
    if (child < 0)
        registry_fork_failed();
    errno = saved;
    return child;
}

DOOR_ALIAS("fork") pid_t __fork(void);

/* Runs no handlers (pthread_atfork(3)). */
DOOR pid_t _Fork(void)
{
    registry_before_fork();
    pid_t child = real()->_Fork();
    door_forked(child);
    return child;
}

DOOR void _exit(int status)
{
    closing_at_exit();
    real()->_exit(status);
    __builtin_unreachable();
}

DOOR void _Exit(int status)
{
    _exit(status);
}
