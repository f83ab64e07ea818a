/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_WORKER_H
#define SOCKSEAL_WORKER_H

/*
 * A write that has succeeded is delivered, whatever the program does next; so is the end of a connection that
 * it has closed. What a call leaves unfinished (bytes that wait for keys or for room in the kernel, a
 * handshake that must end before close_notify) is finished by whoever waits in a door, and where nobody does,
 * by a thread of the library's own, the worker. It exists only while something is pending:
 *
 *   - It is started when a call returns with such work left (worker_carry()), and not for a handshake alone,
 *     which the program's next call goes on with. So a program that stays in ordinary calls never has it.
 *   - It is not known to libc: made by clone(2), with all signals blocked, on memory of the library's own. It
 *     allocates nothing, and runs none of libc's code that would need a thread of libc's (sys/thread.h).
 *   - The kernel keeps rights, namespaces and filters per thread. So whoever is about to change these, to
 * fork or to exec, ends it first (worker_hold()); it is made anew when it is needed.
 *   - Where clone(2) is refused there is none, and whoever waits makes progress, as before.
 */

#include <stdbool.h>

/* Starts the worker, if something is pending and there is none. To be called with work left that no call
 * comes back for; any lock may be held. */
void worker_carry(void);

/* Ends it, waits until it is gone, and starts none until worker_resume(), which makes it anew if there was
 * one. The two nest. In a vfork(2) child they do nothing. No lock may be held. A worker that is kept from
 * ending by a lock of the caller's (in a signal handler) is not waited for longer than half a second. */
void worker_hold(void);
void worker_resume(void);

/* Ends it, and starts none from now on: the program is about to limit its system calls. */
void worker_forbid(void);

/* In a forked child, which has none, and one hold: to be followed by worker_resume(), which makes one if the
 * parent had one before fork. */
void worker_after_fork(void);

#endif
