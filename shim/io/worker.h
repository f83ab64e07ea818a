/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_WORKER_H
#define SOCKSEAL_WORKER_H

/*
 * A write that has succeeded is delivered, whatever the program does next, and so is the end of a connection
 * that it has closed. A call may leave work unfinished: bytes that wait for keys or for room in the kernel, a
 * handshake that must end before close_notify. A thread that waits in a door finishes it. If there is none, a
 * thread of the library's own does, the worker. It exists only while something is pending:
 *
 *   - It is started when a call returns with such work left (worker_carry()), and not for a handshake alone,
 *     which the program's next call goes on with. So a program that stays in ordinary calls never has it.
 *   - It is also started when a second thread waits while something is pending: then it makes the progress,
 *     and the program's threads are not all woken by each event (conn/pending.h).
 *   - It checks for removed keys, if that is wanted (io/revoke.h).
 *   - It is not known to libc: made by clone(2), with all signals blocked, on memory of the library's own. It
 *     allocates nothing, and runs none of libc's code that would need a thread of libc's (sys/thread.h).
 *   - The kernel keeps rights, namespaces and filters per thread. So a call that changes these, a fork or an
 *     exec ends it first (worker_hold()). It is made anew when it is needed.
 *   - If the kernel refuses clone(2) there is none, and only threads that wait in a door make progress.
 */

#include <stdbool.h>

/* Starts the worker, if something is pending and there is none. To be called with work left that no call
 * comes back for; any lock may be held. Whether there is one, or will be by worker_resume(). */
bool worker_carry(void);

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
