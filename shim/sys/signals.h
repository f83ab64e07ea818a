/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_SYS_SIGNALS_H
#define SOCKSEAL_SYS_SIGNALS_H

/*
 * Signals held back from a door's work until its next wait.
 *
 * A call that waits is one wait for the program, and a signal ends it with EINTR (signal(7)): programs count
 * on that to leave poll(2) when a handler has set a flag. A door waits, works, and waits again. A signal that
 * came during the work would run its handler and leave the next wait alone, for ever perhaps. So a door
 * blocks signals before it works, and gives each wait the program's mask: the kernel delivers there what came
 * meanwhile.
 *
 * Not held: signals that report a fault of the thread (the kernel ends a process that blocks one), and what
 * the program has blocked itself.
 */

#include <signal.h>
#include <stdbool.h>

struct held_signals {
    sigset_t before; /* the thread's mask; only the kernel's part of it is set */
    bool held;
};

/* Holds them until signals_release(), which the attribute calls when the scope is left. Once held, it does
 * nothing. */
void signals_hold(struct held_signals *held);

void signals_release(struct held_signals *held);

#define SIGNALS_HELD_IN_SCOPE(name)                                                                          \
    struct held_signals name __attribute__((cleanup(signals_release))) = {.held = false}

/* The mask for a wait: the program's own, given with the call (ppoll(2)); or what the thread's was; or NULL,
 * which leaves it as it is. */
static inline const sigset_t *signals_mask(const struct held_signals *held, const sigset_t *given)
{
    return given || !held->held ? given : &held->before;
}

/* Whether the signal reports a fault of the thread that it comes to. A thread in a system call gets none.
 * Handlers of such signals (crash reporters, Python's faulthandler, sanitizers) often have no SA_RESTART. */
bool signals_is_fault(int signal);

#endif
