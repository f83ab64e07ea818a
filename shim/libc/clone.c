/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Doors of calls by which processes or threads come to share descriptors and not the memory in which the
 * library knows them, or the other way round. What is connected in one would be a plain descriptor in the
 * other: they are refused. (A vfork(2) child, which does not live long, is none of these.) */

#include "libc/clone.h"

#include "libc/door.h"

#include <sched.h>
#include <stdarg.h>

#include "config/config.h"
#include "diag/log.h"
#include "process/privilege.h"

bool clone_is_refused(uint64_t flags)
{
    config_load();
    if (!config_get()->active || !(flags & CLONE_FILES) || (flags & CLONE_VM))
        return false;
    log_line(LOG_ERROR,
             "clone is refused: the child would share this process's descriptors and not its memory "
             "(CLONE_FILES without CLONE_VM)");
    errno = EINVAL;
    return true;
}

bool clone_unshare_is_refused(void)
{
    config_load();
    if (!config_get()->active || privilege_is_single_thread())
        return false;
    log_line(LOG_ERROR, "a thread of a process with several cannot have descriptors of its own (CLONE_FILES, "
                        "CLOSE_RANGE_UNSHARE): it is refused");
    errno = EINVAL;
    return true;
}

int __clone(int (*function)(void *argument), void *stack, int flags, void *argument, ...) __THROW;

DOOR int clone(int (*function)(void *argument), void *stack, int flags, void *argument, ...)
{
    va_list list;
    va_start(list, argument);
    pid_t *parent = va_arg(list, pid_t *);
    void *tls = va_arg(list, void *);
    pid_t *child = va_arg(list, pid_t *);
    va_end(list);
    if (clone_is_refused((unsigned)flags))
        return -1;
    fdtable_note_copies();
    return real()->clone(function, stack, flags, argument, parent, tls, child);
}

DOOR_ALIAS("clone")
int __clone(int (*function)(void *argument), void *stack, int flags, void *argument, ...) __THROW;
