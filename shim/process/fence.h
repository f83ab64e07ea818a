/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_FENCE_H
#define SOCKSEAL_FENCE_H

/*
 * A fence around a program that the library cannot be loaded into: the kernel denies it, and all that it
 * starts, the TCP ports that SOCKSEAL_PORTS names. bind(2) is denied on ports with a rule for listening,
 * connect(2) to ports with a rule for connecting. Every other port is allowed. Landlock (landlock(7), ABI 4
 * and later) knows ports alone: a rule for some addresses counts for every address.
 *
 * Landlock does not see all of TCP: a seccomp filter denies the ways around it. These are Multipath TCP and
 * SMC sockets, MSG_FASTOPEN, and io_uring, which seccomp cannot look into.
 *
 * Neither can be undone. Neither needs privileges if no_new_privs (prctl(2)) is set.
 */

#include <stdbool.h>

#include "config/rules.h"

/* A Landlock ruleset, close-on-exec. A rule for each allowed port: 30 ms. -EOPNOTSUPP: the kernel has no such
 * rules, or does not let this process use them; another -errno: no descriptor or memory is left. */
int fence_ruleset(const struct rules *rules);

/* Puts the calling thread inside. `raises_rights`: it is about to run a program that gains rights, so
 * no_new_privs is not set, and CAP_SYS_ADMIN is needed. 0 or -errno: -EPERM if it is not allowed.
 * Async-signal-safe. */
int fence_enter(int ruleset, bool raises_rights);

/* Has the kernel answer io_uring_setup(2) with ENOSYS from now on, to calls that pass no door as well; at
 * once if it does already. False if this process may not install a filter. */
bool fence_deny_rings(void);

#endif
