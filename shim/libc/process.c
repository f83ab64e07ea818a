/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Doors of the process: loading, fork, the end. */

#include "libc/streams.h"
#include "libc/symbols.h"

#include "io/exit.h"
#include "io/revoke.h"
#include "libc/door.h"
#include "process/fork.h"
#include "shm/self.h"

#include <gnu/libc-version.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/config.h"
#include "config/environment.h"
#include "config/startup.h"
#include "diag/limit.h"
#include "diag/log.h"
#include "io/unconnected.h"
#include "io/wait.h"
#include "io/worker.h"
#include "process/exec_adopt.h"
#include "process/fence.h"
#include "process/warned.h"
#include "sys/file.h"
#include "sys/ro_after_init.h"

pid_t _Fork(void);
pid_t __fork(void) __THROW;

static void before_fork(void)
{
    int saved = errno;
    fork_prepare();
    errno = saved;
}

static void in_child(void)
{
    fork_in_child();
    if (fdtable_bound() > 0)
        revoke_watch();
}

static void end(void)
{
    int saved = errno;
    exit_finish();
    errno = saved;
}

static void begin_streams(void)
{
    if (streams_begin())
        return;
    log_line(
        LOG_ERROR,
        "the streams (stdio) of this C library, glibc %s, are not as known: they could write to a sealed "
        "connection in the clear, so the program is not started",
        gnu_get_libc_version());
    sys_exit_group(CONFIG_EXIT_STATUS);
}

__attribute__((constructor)) static void load(void)
{
    real();
    config_load();
    if (!config_get()->active)
        return;
    begin_streams();
    limit_begin();
    fork_begin();
    wait_begin();
    unconnected_begin();
    pthread_atfork(before_fork, fork_in_parent, in_child);
    if (!streams_at_end(end))
        atexit(end);
    at_quick_exit(end);
    environment_save();
    warned_begin();
    symbols_begin();
    ro_after_init_protect();
    if (config_get()->strict && !fence_deny_rings())
        log_line(LOG_INFO, "io_uring is refused by the library alone: this process may not install a filter");
    if (environment_take(ENVIRONMENT_FILTERED)) {
        worker_forbid();
        environment_mark_filtered();
    }
    if (environment_take(ENVIRONMENT_FORGOTTEN))
        fork_forget_keys();
    exec_adopt_inherited(environment_take(ENVIRONMENT_STATE));
    startup_report();
    if (fdtable_bound() > 0)
        revoke_watch();
}

/* Destructors and stdio may write after this. */
__attribute__((destructor)) static void unload(void)
{
    streams_end_comes();
}

/* The handlers of pthread_atfork(3) count the child. Before a fork they run in reverse order of registration:
 * the one registered first runs last, so no other handler waits for a lock while the table's is held. */
DOOR pid_t fork(void)
{
    pid_t child = real()->fork();
    int saved = errno;
    if (child < 0)
        fork_failed();
    errno = saved;
    return child;
}

DOOR_ALIAS("fork") pid_t __fork(void);

/* Runs no handlers (pthread_atfork(3)). */
DOOR pid_t _Fork(void)
{
    before_fork();
    pid_t child = real()->_Fork();
    door_forked(child);
    return child;
}

DOOR void _exit(int status)
{
    exit_finish();
    real()->_exit(status);
    __builtin_unreachable();
}

DOOR void _Exit(int status)
{
    _exit(status);
}
