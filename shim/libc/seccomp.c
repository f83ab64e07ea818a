/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Doors of seccomp(2). */

#include "libc/door.h"

#include <linux/seccomp.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "config/config.h"
#include "libc/raw.h"
#include "process/privilege.h"
#include "process/seccomp.h"

/* Much of what prctl(2) sets is the thread's: capabilities, no_new_privs. */
static int change_thread(int option, const unsigned long a[static 4])
{
    const enum privilege_change change = privilege_before(PRIVILEGE_THREAD);
    int result = real()->prctl(option, a[0], a[1], a[2], a[3]);
    privilege_after(change);
    return result;
}

DOOR int prctl(int option, ...)
{
    va_list list;
    unsigned long a[4];
    va_start(list, option);
    for (int i = 0; i < 4; i++)
        a[i] = va_arg(list, unsigned long);
    va_end(list);
    config_load();
    if (option != PR_SET_SECCOMP || !config_get()->active)
        return change_thread(option, a);
    if (a[0] == SECCOMP_MODE_STRICT)
        seccomp_warn_strict();
    if (a[0] != SECCOMP_MODE_FILTER || !a[1])
        return real()->prctl(option, a[0], a[1], a[2], a[3]);
    struct sock_filter instructions[SECCOMP_FILTER_MAX];
    struct sock_fprog widened;
    const struct sock_fprog *filter = (const struct sock_fprog *)a[1];
    return real()->prctl(option, a[0], seccomp_widen(filter, &widened, instructions) ? &widened : filter,
                         a[2], a[3]);
}

long raw_seccomp(unsigned long operation, unsigned long flags, const void *argument)
{
    struct sock_filter instructions[SECCOMP_FILTER_MAX];
    struct sock_fprog widened;
    if (operation == SECCOMP_SET_MODE_STRICT)
        seccomp_warn_strict();
    if (operation == SECCOMP_SET_MODE_FILTER && argument && seccomp_widen(argument, &widened, instructions))
        argument = &widened;
    return real()->syscall(SYS_seccomp, operation, flags, argument);
}
