/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_ENDING_H
#define SOCKSEAL_ENDING_H

/*
 * The end of this side's direction: what is queued, the rest of a record, close_notify, a FIN, in this order.
 * A connection with unread data, or with SO_LINGER at 0, ends with a reset instead, and without a
 * close_notify.
 */

#include "conn/fdtable.h"

/* Whether this process has set SO_LINGER on any descriptor, listeners included. If not, a close need not ask
 * the kernel. */
extern _Atomic bool ending_linger_used;

/* Whether closing this descriptor may block (SO_LINGER with a time). */
bool ending_may_linger(const struct conn_handle *handle);

/* Sends what ends this side's direction: the queue, close_notify, a FIN. For progress_step(). */
void ending_step(const struct conn_handle *handle);

/* Whether the kernel has bytes that it has not sent yet, and would drop if the socket were closed now. The
 * peer's close_notify is data to the kernel, unlike the FIN of plain TCP, and data for a closed socket is
 * answered with a reset. What is on its way arrives before that. */
bool ending_unsent(const struct conn_handle *handle);

/* Tries to finish the connection. Whether the peer could still miss something if the descriptor were closed
 * now. */
bool ending_unfinished(const struct conn_handle *handle);

/* For a process that leaves a connection to others: tries to send what its calls have reported as written.
 * Whether something is left to be sent. */
bool ending_owes(const struct conn_handle *handle);

/* Whether the others have left a connection meanwhile that this process was to leave to them, so that its end
 * is this process's to send. */
bool ending_became_last(const struct conn_handle *handle);

/* The program makes no further call on the connection: the worker is to finish what is left. */
void ending_carry(void);

#endif
