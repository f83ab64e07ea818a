/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_ORPHAN_H
#define SOCKSEAL_ORPHAN_H

/*
 * Connections that the program has closed and that are not finished. On plain TCP, close() returns at once
 * and the kernel goes on sending. Here the kernel may not have everything yet: a handshake that is not over,
 * a queue, the rest of a record, close_notify. An orphan finishes that: a descriptor of the library's own for
 * the same socket, marked FDTABLE_ORPHAN and pending (conn/pending.h). Every wait (io/progress.h), or the
 * worker (io/worker.h), makes progress with it. The end of the process waits for it, for at most
 * SOCKSEAL_CLOSE_TIMEOUT.
 */

#include "conn/fdtable.h"

/* Before the last descriptor is closed: keeps the connection. Without a descriptor for that, the call waits a
 * moment itself. */
void orphan_make(const struct conn_handle *handle);

/* Before a process closes its last descriptor of a connection that others hold, too, and that bytes are to be
 * sent of (ending_owes()): they are sent, and the end is left to the others. */
void orphan_make_sender(const struct conn_handle *handle);

/* For progress_step(): closes an orphan if its work is done (`over`) or its deadline is past. True if it did.
 */
bool orphan_step(const struct conn_handle *handle, bool over);

/* When the kernel has an orphan's bytes but has not sent them, there is no event to wait for. So it is
 * checked as often as this. */
enum { ORPHAN_RECHECK_MS = 20 };

/* Sets the deadline of an orphan. It is short if none of the program's data is left. While the peer's program
 * may not have accepted the connection yet, it is SOCKSEAL_CONNECT_TIMEOUT, or five minutes. */
void orphan_set_deadline(struct conn *conn);

/* If fd is one of the library's own, moves it to another number: the program is about to put something there.
 * (A vfork(2) child replaces its own copy only.) False: other threads are using the number. */
bool orphan_make_way(int fd);

#endif
