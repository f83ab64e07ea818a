/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_PRIVILEGE_H
#define SOCKSEAL_PRIVILEGE_H

/*
 * A server that starts as root becomes another user, who may read neither the key file nor write the log
 * file, and often only then listens or accepts. So both are taken in before: the keys into memory, which
 * forked children inherit and which ends with exec, the log file as a descriptor of ours.
 */

/* The process is about to give up rights by which files are reached: its user, groups, root directory. Where
 * all is there already, or in a vfork(2) child, which goes on to exec, nothing is done. */
void privilege_before_drop(void);

/* Keeps the log file open, if there is one. */
void privilege_keep_log(void);

#endif
