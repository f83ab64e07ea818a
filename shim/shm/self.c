/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "shm/self.h"

#include <stddef.h>

#include "sys/net.h"
#include "sys/ro_after_init.h"

enum { PAGE = 4096 };

uint32_t *self_process;
_Atomic uint32_t self_space;
__thread uint32_t self_tid_cached __attribute__((tls_model("initial-exec")));

static RO_AFTER_INIT void (*repair_tables)(void);

bool self_begin(void (*repair)(void))
{
    if (repair)
        repair_tables = repair;
    if (self_process)
        return true;
    uint32_t *page = net_mmap(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
    if (page == MAP_FAILED)
        return false;
    net_madvise(page, PAGE, MADV_WIPEONFORK);
    *page = (uint32_t)sys_getpid();
    self_process = page;
    return true;
}

void self_claim(void)
{
    *self_process = (uint32_t)sys_getpid();
}

void self_check_fork(void)
{
    if (self_process && !*self_process && repair_tables)
        repair_tables();
}

bool self_owns_tables(void)
{
    self_check_fork();
    return self_process && *self_process == (uint32_t)sys_getpid();
}

uint32_t self_learn_tid(void)
{
    return self_tid_cached = (uint32_t)sys_gettid();
}

void self_forget_tid(void)
{
    self_tid_cached = 0;
}
