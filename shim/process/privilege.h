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

/* To be called before the process gives up rights to open files: its user, groups, root directory. Does
 * nothing if all is done already, or in a vfork(2) child, which goes on to exec. */
void privilege_before_drop(void);

/* The kernel keeps rights, namespaces and filters for each thread, and some changes are allowed to a process
 * of one thread alone. So the worker (io/worker.h) ends before such a change, and comes back, if it is
 * needed, with what the caller has then. privilege_before_drop() includes the first; the second follows
 * either. */
void privilege_before_change(void);
void privilege_after_change(void);

/* Gives up what this process could reach of connections that it does not hold: what it has kept of those that
 * it has closed, and the descriptors of memory that holds others' connections too. privilege_before_drop()
 * includes it; a filter, a namespace or another sandbox is entered behind it. */
void privilege_leave_others(void);

/* Keeps the log file open, if there is one. */
void privilege_keep_log(void);

/* Whether the process has but one thread, once privilege_before_change() has ended the library's own. */
bool privilege_is_single_thread(void);

#endif
