/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "process/exec_fenced.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "process/fence.h"
#include "sys/file.h"
#include "sys/net.h"

enum { STACK_SIZE = 256 * 1024 }; /* a handler of the program's may run on it, just before the exec */

struct attempt {
    const struct exec_call *call;
    int ruleset;
    bool raises_rights;
    sigset_t mask;            /* the program's */
    int parent_signal;        /* PR_SET_PDEATHSIG, which a new thread does not inherit */
    int fence, result;        /* of fence_enter(), and of the call if that was 0 */
    _Atomic uint32_t running; /* cleared by the kernel when the thread has ended */
};

static void run(struct attempt *attempt)
{
    const struct exec_call *call = attempt->call;
    const long *a = call->arguments;
    sigset_t all;
    sigfillset(&all);
    attempt->fence = fence_enter(attempt->ruleset, attempt->raises_rights);
    if (attempt->fence < 0)
        return;
    sys_call(SYS_prctl, PR_SET_PDEATHSIG, attempt->parent_signal, 0, 0, 0, 0);
    sys_sigprocmask(SIG_SETMASK, &attempt->mask, NULL);
    attempt->result = (int)sys_call(call->number, a[0], a[1], a[2], a[3], a[4], 0);
    sys_sigprocmask(SIG_SETMASK, &all, NULL);
}

/* The thread's own function. It shares its maker's thread-local storage, as the maker does nothing meanwhile.
 */
_Noreturn static void thread_main(struct attempt *attempt)
{
    run(attempt);
    for (;;)
        sys_call3(SYS_exit, 0, 0, 0);
}

/* clone(2) with a stack of its own, on which thread_main() is called. The thread's number or -errno. */
static long start_thread(struct attempt *attempt, void *stack_end)
{
    const long flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
                       CLONE_CHILD_CLEARTID;
    void (*function)(struct attempt *) = thread_main;
#if defined(__x86_64__)
    register _Atomic uint32_t *r10 __asm__("r10") = &attempt->running;
    register long r8 __asm__("r8") = 0;
    register struct attempt *r12 __asm__("r12") = attempt;
    register void (*r13)(struct attempt *) __asm__("r13") = function;
    long result;
    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "xor %%ebp, %%ebp\n\t"
                     "mov %%r12, %%rdi\n\t"
                     "call *%%r13\n\t"
                     "1:"
                     : "=a"(result)
                     : "a"(SYS_clone), "D"(flags), "S"(stack_end), "d"(0), "r"(r10), "r"(r8), "r"(r12),
                       "r"(r13)
                     : "rcx", "r11", "memory");
    return result;
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = SYS_clone;
    register long x0 __asm__("x0") = flags;
    register void *x1 __asm__("x1") = stack_end;
    register long x2 __asm__("x2") = 0;
    register long x3 __asm__("x3") = 0;
    register _Atomic uint32_t *x4 __asm__("x4") = &attempt->running;
    register struct attempt *x9 __asm__("x9") = attempt;
    register void (*x10)(struct attempt *) __asm__("x10") = function;
    __asm__ volatile("svc 0\n\t"
                     "cbnz x0, 1f\n\t"
                     "mov x29, xzr\n\t"
                     "mov x0, x9\n\t"
                     "blr x10\n\t"
                     "1:"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x9), "r"(x10)
                     : "memory");
    return x0;
#endif
}

static bool run_in_thread(struct attempt *attempt)
{
    char *stack = net_mmap(STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1);
    if (stack == MAP_FAILED)
        return false;
    atomic_store(&attempt->running, 1);
    long thread = start_thread(attempt, stack + STACK_SIZE);
    while (thread > 0 && atomic_load(&attempt->running))
        net_futex_wait(&attempt->running, 1, NULL);
    net_munmap(stack, STACK_SIZE);
    return thread > 0;
}

int exec_fenced(const struct exec_call *call, int ruleset, bool raises_rights, bool *outside)
{
    /* A filter of the program's may end the thread at any of its calls. */
    struct attempt attempt = {.call = call,
                              .ruleset = ruleset,
                              .raises_rights = raises_rights,
                              .fence = -ECANCELED,
                              .result = -ECANCELED};
    sigset_t all;
    sigfillset(&all);
    sys_call(SYS_prctl, PR_GET_PDEATHSIG, sys_ptr(&attempt.parent_signal), 0, 0, 0, 0);
    sys_sigprocmask(SIG_SETMASK, &all, &attempt.mask);
    if (!run_in_thread(&attempt))
        run(&attempt);
    sys_sigprocmask(SIG_SETMASK, &attempt.mask, NULL);
    *outside = attempt.fence < 0;
    return attempt.fence < 0 ? attempt.fence : attempt.result;
}
