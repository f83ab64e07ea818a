/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_SECCOMP_H
#define SOCKSEAL_SECCOMP_H

/*
 * seccomp(2): a program that allows itself few system calls (sshd's and vsftpd's children, say) does not know
 * those that sealed connections need in the place of its read(2) and write(2), and would be killed. So its
 * filter gets a few instructions in front, which allow what the connection needs and no more: to receive,
 * send and ask on open descriptors, to wait and to lock, and the options that the library sets. Pipes only if
 * the filter may let splice(2) or its kin pass, and what exec needs only if it may let execve(2) pass. A
 * program that has no sealed connection, and whose filter lets no call pass by which it could get one, is
 * given nothing but calls that tell its process id and the time, block signals, or end it.
 *
 * From then on the library opens no file: keys and log file are taken in before. If the filter lets the
 * program run another, connections go along, and the next program can make some of its own.
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
