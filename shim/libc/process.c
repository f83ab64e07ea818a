/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Doors of the process: loading, fork, the end. */

#include "libc/door.h"

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
}

/* stdio may still flush, and other destructors may still write, after this: it finishes what stands, and
 * tears nothing down. */
__attribute__((destructor)) static void unload(void)
{
    int saved = errno;
    closing_at_exit();
    errno = saved;
}

static pid_t fork_with(pid_t (*call)(void))
{
    registry_before_fork();
    pid_t child = call();
    door_forked(child);
    return child;
}

DOOR pid_t fork(void)
{
    return fork_with(real()->fork);
}

DOOR_ALIAS("fork") pid_t __fork(void);

DOOR pid_t _Fork(void)
{
    return fork_with(real()->_Fork);
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
