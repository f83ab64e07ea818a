/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "sys/signals.h"

#include "sys/file.h"

bool signals_is_fault(int signal)
{
    return signal == SIGSEGV || signal == SIGBUS || signal == SIGILL || signal == SIGFPE ||
           signal == SIGTRAP || signal == SIGABRT || signal == SIGSYS;
}

void signals_hold(struct held_signals *held)
{
    sigset_t most;
    if (held->held)
        return;
    sigfillset(&most);
    for (int signal = 1; signal < NSIG; signal++) {
        if (signals_is_fault(signal))
            sigdelset(&most, signal);
    }
    held->held = sys_sigprocmask(SIG_BLOCK, &most, &held->before) == 0;
}

void signals_release(struct held_signals *held)
{
    if (held->held)
        sys_sigprocmask(SIG_SETMASK, &held->before, NULL);
    held->held = false;
}
