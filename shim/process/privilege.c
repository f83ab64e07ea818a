/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "process/privilege.h"

#include <errno.h>
#include <sched.h>

#include "config/config.h"
#include "config/keyring.h"
#include "conn/fdtable.h"
#include "conn/reserve.h"
#include "diag/log.h"
#include "io/close.h"
#include "io/worker.h"
#include "shm/ownfd.h"
#include "shm/self.h"
#include "sys/sys.h"

void privilege_leave_others(void)
{
    if (!self_owns_tables())
        return;
    close_lost();
    reserve_sweep();
    fdtable_sweep();
    region_restrict();
}

/* Does nothing if all is done already, or in a vfork(2) child, which goes on to exec. */
static void before_drop(void)
{
    if (!self_owns_tables())
        return;
    keyring_prepare();
    privilege_keep_log();
}

enum privilege_change privilege_before(enum privilege_change change)
{
    const int saved = errno;
    config_load();
    if (!config_get()->active)
        change = PRIVILEGE_NOTHING;
    if (change >= PRIVILEGE_THREAD)
        worker_hold();
    if (change >= PRIVILEGE_RIGHTS)
        before_drop();
    if (change >= PRIVILEGE_NAMESPACE)
        privilege_leave_others();
    errno = saved;
    return change;
}

void privilege_after(enum privilege_change change)
{
    const int saved = errno;
    if (change >= PRIVILEGE_THREAD)
        worker_resume();
    errno = saved;
}

void privilege_keep_log(void)
{
    if (ownfd_get(OWNFD_LOG) >= 0)
        return;
    int fd = log_open();
    if (fd >= 0)
        log_keep(ownfd_keep(OWNFD_LOG, fd));
}

/* The kernel allows this flag, which does nothing, if there is no other thread (unshare(2)). */
bool privilege_is_single_thread(void)
{
    return sys_call3(SYS_unshare, CLONE_THREAD, 0, 0) == 0;
}
