/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_SECCOMP_H
#define SOCKSEAL_SECCOMP_H

/*
 * seccomp(2): a program that allows itself few system calls (sshd's and vsftpd's children, say) knows nothing
 * of those that sealed connections need in the place of its read(2) and write(2), and would be killed. So its
 * filter gets a few instructions in front, which allow these and nothing else: to receive, send and ask on
 * descriptors that are there already, to wait, to lock, and to do the work of its splice(2) and sendfile(2).
 * None of them opens or connects anything, or creates more than a pipe or memory. From then on the shim opens
 * no file any more: keys and log file are taken in before.
 *
 * If the filter lets the program run another (execve, and the openat of the dynamic linker), connections go
 * along, and the next program can make some of its own.
 */

#include <linux/filter.h>
#include <stdbool.h>

enum { SECCOMP_FILTER_MAX = 4096 }; /* BPF_MAXINSNS */

/* Makes this process ready, and writes the program's filter with ours in front. False if that is too long,
 * and so must be installed as it is. */
bool seccomp_widen(const struct sock_fprog *from, struct sock_fprog *to,
                   struct sock_filter instructions[static SECCOMP_FILTER_MAX]);

/* The mode of seccomp(2) that allows read, write and exit alone: sealed connections cannot live with it. */
void seccomp_warn_strict(void);

#endif
