/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "process/privilege.h"

#include <sched.h>

#include "config/keyring.h"
#include "conn/fdtable.h"
#include "conn/reserve.h"
#include "diag/log.h"
#include "io/worker.h"
#include "shm/ownfd.h"
#include "shm/self.h"
#include "sys/sys.h"

void privilege_leave_others(void)
{
    if (!self_owns_tables())
        return;
    reserve_sweep();
    fdtable_sweep();
    region_restrict();
}

void privilege_before_drop(void)
{
    worker_hold();
    if (!self_owns_tables())
        return;
    keyring_prepare();
    privilege_keep_log();
    privilege_leave_others();
}

void privilege_before_change(void)
{
    worker_hold();
}

void privilege_after_change(void)
{
    worker_resume();
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
