/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "sys/ro_after_init.h"

#include <sys/mman.h>
#include <sys/syscall.h>

#include "sys/sys.h"

/* Set by the linker script; whole pages of any size that the machine can have. */
#define LINKER_SYMBOL extern char __attribute__((weak, visibility("hidden")))
LINKER_SYMBOL ro_after_init_start[];
LINKER_SYMBOL ro_after_init_end[];
LINKER_SYMBOL ro_after_init_sodium_start[];
LINKER_SYMBOL ro_after_init_sodium_end[];

/* Best effort: a filter of system calls may refuse it. */
static void protect(const char *start, const char *end)
{
    if (start < end)
        sys_call3(SYS_mprotect, sys_ptr(start), end - start, PROT_READ);
}

void ro_after_init_protect(void)
{
    protect(ro_after_init_start, ro_after_init_end);
}

void ro_after_init_protect_sodium(void)
{
    protect(ro_after_init_sodium_start, ro_after_init_sodium_end);
}
