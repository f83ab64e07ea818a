/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "conn/privilege.h"

#include "config/keyring.h"
#include "conn/own.h"
#include "conn/registry.h"
#include "diag/log.h"

void privilege_before_drop(void)
{
    if (!registry_is_ours())
        return;
    keyring_prepare();
    privilege_keep_log();
}

void privilege_keep_log(void)
{
    if (own_get(OWN_LOG) >= 0)
        return;
    int fd = log_open();
    if (fd >= 0)
        log_keep(own_keep(OWN_LOG, fd));
}
