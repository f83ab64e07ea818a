/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_CLOSE_H
#define SOCKSEAL_CLOSE_H

/*
 * How a sealed connection ends. On plain TCP, close() returns at once and the kernel goes on sending. Here
 * what the kernel does not have yet (a handshake that is not over, a queue, the rest of a record,
 * close_notify) is finished by a descriptor of our own, an orphan, which whoever waits drives, and for which
 * the process's end waits, for at most the handshake time-out.
 */

#include "conn/fdtable.h"

/* Whether this process has set SO_LINGER on any descriptor, listeners among them; saves asking at each close.
 */
extern _Atomic bool close_linger_used;

/* Whether closing this descriptor may wait (SO_LINGER with a time). */
bool close_may_linger(const struct conn_handle *handle);

/* To be called before the descriptor is closed or replaced: ends its connection if it was the last one. True
 * if it is hidden now (registry.h): fdtable_publish(), or fdtable_add() of what replaces it, must follow.
 * False if there is nothing to do. */
bool close_release(const struct conn_handle *handle);

/* Closes a descriptor of the program's, as its close(2) would. */
void close_fd(const struct conn_handle *handle);

/* shutdown(2). 0 or -errno. */
int close_shutdown(const struct conn_handle *handle, int how);

/* Sends what is due at the end of our direction: the queue, close_notify, a FIN. From progress_step(). */
void close_finish_step(const struct conn_handle *handle);

/* From progress_step(): an orphan is closed when it is over or its time is up; true if it was. */
bool close_orphan_step(const struct conn_handle *handle, bool over);

/* How often an orphan is looked at whose bytes the kernel has, and has not sent: there is no event for that.
 */
enum { CLOSE_RECHECK_MS = 20 };

/* Whether the kernel has bytes that it could not send yet, and would drop: a socket that is closed answers a
 * close_notify of the peer's (which is data, unlike the FIN of plain TCP) with a reset. What is on its way
 * arrives before that. */
bool close_unsent(const struct conn_handle *handle);

/* Whether the peer could miss something if the descriptor were simply closed now. */
bool close_unfinished(const struct conn_handle *handle);

/* Sets the time that an orphan, or a process's end, may take: briefly if none of the program's data is left.
 */
void close_set_deadline(struct conn *conn);

/* If fd is one of the library's own, moves that elsewhere: the program is about to put something there. (A
 * vfork(2) child replaces its own copy only.) */
void close_make_way(int fd);

#endif
