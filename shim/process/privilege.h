/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_PRIVILEGE_H
#define SOCKSEAL_PRIVILEGE_H

#include <stdbool.h>

/*
 * A server that starts as root becomes another user, which may not read the key file or write the log file,
 * and often listens and accepts only then. So the keys are read into memory before, which forked children
 * inherit and exec ends, and the log file is kept open by a descriptor of the library's own. And what the
 * process could reach of others' connections is out of its reach from then on.
 */

/* What a call changes of what the kernel keeps for each thread. Some changes are allowed to a process of one
 * thread alone. */
enum privilege_change {
    PRIVILEGE_NOTHING = 0,
    PRIVILEGE_THREAD,    /* a property, a table of descriptors */
    PRIVILEGE_NAMESPACE, /* and what the process can reach of others */
    PRIVILEGE_RIGHTS,    /* and which files it may open: its user, groups, capabilities, root directory */
};

/* Before such a call and after it, whatever came of it; errno is kept. The worker (io/worker.h) ends before
 * the change, and comes back, if it is needed, with what the caller has then. Gives `change`, or
 * PRIVILEGE_NOTHING in a process that seals nothing, for privilege_after(). */
enum privilege_change privilege_before(enum privilege_change change);
void privilege_after(enum privilege_change change);

/* Gives up what this process could reach of connections that it does not hold: what it has kept of those that
 * it has closed, and the descriptors of memory that holds others' connections too. Before namespaces and
 * rights change it is done; a filter or another sandbox is entered behind it. */
void privilege_leave_others(void);

/* Keeps the log file open, if there is one. */
void privilege_keep_log(void);

/* Whether the process has but one thread, once privilege_before() has ended the library's own. */
bool privilege_is_single_thread(void);

#endif
