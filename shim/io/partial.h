/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_PARTIAL_H
#define SOCKSEAL_PARTIAL_H

/*
 * Partial records (record/tx_record.h) that the program does not continue. Its write has reported the content
 * that is on the wire. So the peer must get that whatever the program does next, and it cannot decrypt
 * anything of a record that is not complete: the library completes it, with padding.
 *
 * Mostly the program writes on as soon as there is room. Then nothing is to be padded, and its waits are to
 * stay the kernel's. So a partial record goes through these steps, until the program writes (enum
 * partial_left):
 *
 *   PARTIAL_CONTINUED  The kernel has just taken a part of it. The worker (io/worker.h) looks at it every
 *                      PARTIAL_CHECK_MS: nothing is pending, and no call costs more.
 *   PARTIAL_SEEN       The worker has looked once.
 *   PARTIAL_LEFT       The same at its second look. The connection is pending: whoever makes progress waits
 *                      for room.
 *   PARTIAL_ROOM       There is room, and the program has PARTIAL_CHECK_MS to write, since it may have waited
 *                      for that, too.
 *   PARTIAL_DUE        The record is completed (tx_flush_locked()).
 */

#include "conn/fdtable.h"

enum { PARTIAL_CHECK_MS = 20 };

/* To be called with tx_lock held when a call ends and a record is partial. Starts the worker; where there can
 * be none, the connection is pending at once. */
void partial_note(const struct conn_handle *handle);

/* For the worker: when it is to look, a time of net_now_ms(), INT64_MAX: never; and the look, if it is time.
 */
int64_t partial_next(void);
void partial_check(void);

/* For progress_step(): goes on with the record of a pending connection, without waiting. */
void partial_step(const struct conn_handle *handle);

#endif
