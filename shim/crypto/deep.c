/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "crypto/deep.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "crypto/secret.h"
#include "sys/file.h"

/* Nothing of it is in memory before it is used for the first time. */
static _Alignas(64) uint8_t stacks[DEEP_STACKS][DEEP_SIZE];
static _Atomic bool taken[DEEP_STACKS];

#if defined(__x86_64__)

#define DEEP_SWITCHES 1

/* The old stack pointer waits in a register that functions keep; the new one is aligned as at a call. */
static void switch_to(uint8_t *top, void (*run)(void *), void *context)
{
    __asm__ volatile("movq %%rsp, %%rbx\n\t"
                     "movq %[top], %%rsp\n\t"
                     "callq *%[run]\n\t"
                     "movq %%rbx, %%rsp"
                     : "+D"(context), [top] "+r"(top), [run] "+r"(run)
                     :
                     : "rax", "rbx", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "xmm0", "xmm1", "xmm2",
                       "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12",
                       "xmm13", "xmm14", "xmm15", "cc", "memory");
}

#elif defined(__aarch64__)

#define DEEP_SWITCHES 1

static void switch_to(uint8_t *top, void (*run)(void *), void *context)
{
    register void *argument __asm__("x0") = context;
    __asm__ volatile("mov x19, sp\n\t"
                     "mov sp, %[top]\n\t"
                     "blr %[run]\n\t"
                     "mov sp, x19"
                     : "+r"(argument), [top] "+r"(top), [run] "+r"(run)
                     :
                     : "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13",
                       "x14", "x15", "x16", "x17", "x18", "x19", "x30", "v0", "v1", "v2", "v3", "v4", "v5",
                       "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", "v16", "v17", "v18",
                       "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30",
                       "v31", "cc", "memory");
}

#else

#define DEEP_SWITCHES 0

static void switch_to(uint8_t *top, void (*run)(void *), void *context)
{
    (void)top;
    run(context);
}

#endif

static int take(void)
{
    for (int i = 0; i < DEEP_STACKS && DEEP_SWITCHES; i++) {
        bool free = false;
        if (atomic_compare_exchange_strong_explicit(&taken[i], &free, true, memory_order_acquire,
                                                    memory_order_relaxed))
            return i;
    }
    return -1;
}

void deep_call(void (*run)(void *context), void *context)
{
    sigset_t all, before;
    sigfillset(&all);
    if (sys_sigprocmask(SIG_SETMASK, &all, &before) < 0) {
        run(context);
        return;
    }
    int place = take();
    if (place < 0) {
        run(context);
    } else {
        switch_to(stacks[place] + DEEP_SIZE, run, context);
        secret_wipe(stacks[place], DEEP_SIZE);
        atomic_store_explicit(&taken[place], false, memory_order_release);
    }
    sys_sigprocmask(SIG_SETMASK, &before, NULL);
}

/* The thread that has forked was not on one of them: signals are blocked there. */
void deep_after_fork(void)
{
    for (int i = 0; i < DEEP_STACKS; i++) {
        if (!atomic_load_explicit(&taken[i], memory_order_relaxed))
            continue;
        secret_wipe(stacks[i], DEEP_SIZE);
        atomic_store_explicit(&taken[i], false, memory_order_relaxed);
    }
}
