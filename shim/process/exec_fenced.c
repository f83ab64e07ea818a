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
#include "sys/real.h"

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

static int thread_main(void *context)
{
    run(context);
    return 0;
}

/* A thread on a stack of its own. It shares its maker's thread-local storage, as the maker does nothing
 * meanwhile. False if the kernel refuses. */
static bool start_thread(struct attempt *attempt, void *stack_end)
{
    const int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
                      CLONE_CHILD_CLEARTID;
    const int saved = errno;
    const int thread = real()->clone(thread_main, stack_end, flags, attempt, NULL, NULL, &attempt->running);
    errno = saved;
    return thread >= 0;
}

static bool run_in_thread(struct attempt *attempt)
{
    char *stack = net_mmap(STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1);
    if (stack == MAP_FAILED)
        return false;
    atomic_store(&attempt->running, 1);
    const bool started = start_thread(attempt, stack + STACK_SIZE);
    while (started && atomic_load(&attempt->running))
        net_futex_wait(&attempt->running, 1, NULL);
    net_munmap(stack, STACK_SIZE);
    return started;
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
