/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_CLOSE_H
#define SOCKSEAL_CLOSE_H

/*
 * How a sealed connection ends. On plain TCP, close() returns at once and the kernel goes on sending. Here
 * the kernel may not have everything yet: a handshake that is not over, a queue, the rest of a record,
 * close_notify. An orphan finishes that: a descriptor of the library's own for the same socket. Every wait
 * (io/progress.h), or the worker (io/worker.h), makes progress with it. The end of the process waits for it,
 * for at most SOCKSEAL_CLOSE_TIMEOUT.
 */

#include "conn/fdtable.h"

/* Whether this process has set SO_LINGER on any descriptor, listeners included. If not, a close need not ask
 * the kernel. */
extern _Atomic bool close_linger_used;

/* Whether closing this descriptor may block (SO_LINGER with a time). */
bool close_may_linger(const struct conn_handle *handle);

/* To be called before the descriptor is closed or replaced: ends the connection if it was the last one. True
 * if the descriptor is hidden now (fdtable_hide()): fdtable_publish(), or fdtable_add() of what replaces it,
 * must follow. False if there is nothing to undo. */
bool close_release(const struct conn_handle *handle);

/* Closes a sealed descriptor, as the program's close(2) would. */
void close_fd(const struct conn_handle *handle);

/* shutdown(2). 0 or -errno. */
int close_shutdown(const struct conn_handle *handle, int how);

/* Sends what ends this side's direction: the queue, close_notify, a FIN. For progress_step(). */
void close_finish_step(const struct conn_handle *handle);

/* For progress_step(): closes an orphan if its work is done (`over`) or its deadline is past. True if it did.
 */
bool close_orphan_step(const struct conn_handle *handle, bool over);

/* When the kernel has an orphan's bytes but has not sent them, there is no event to wait for. So it is
 * checked as often as this. */
enum { CLOSE_RECHECK_MS = 20 };

/* Whether the kernel has bytes that it has not sent yet, and would drop if the socket were closed now. The
 * peer's close_notify is data to the kernel, unlike the FIN of plain TCP, and data for a closed socket is
 * answered with a reset. What is on its way arrives before that. */
bool close_unsent(const struct conn_handle *handle);

/* Tries to finish the connection. Whether the peer could still miss something if the descriptor were closed
 * now. */
bool close_unfinished(const struct conn_handle *handle);

/* Sets the deadline of an orphan. It is short if none of the program's data is left. While the peer's program
 * may not have accepted the connection yet, it is SOCKSEAL_CONNECT_TIMEOUT, or five minutes. */
void close_set_deadline(struct conn *conn);

/* If fd is one of the library's own, moves it to another number: the program is about to put something there.
 * (A vfork(2) child replaces its own copy only.) False: other threads are using the number. */
bool close_make_way(int fd);

#endif
