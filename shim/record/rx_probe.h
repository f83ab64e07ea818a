/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_RX_PROBE_H
#define SOCKSEAL_RX_PROBE_H

/* Finds out what has been received, for calls other than a read: waits, FIONREAD, close. No function here
 * waits for the peer, and none needs a lock. */

#include "conn/fdtable.h"

/* Whether a read would find data, an end or an error. What the kernel calls readable may be none of these: a
 * handshake message, a ticket, a part of a record. That is taken out of the kernel. */
bool rx_probe_ready(const struct conn_handle *handle);

/* FIONREAD: bytes of plaintext that can be read without waiting, and they are decrypted for that. Never more:
 * a program may read just as many. When the queue's bound ends the counting before the kernel's queue does,
 * it is fewer, and the kernel is made to report the descriptor readable once more: nginx reads as many and
 * takes what comes behind them to be announced by a new event (edge-triggered). */
size_t rx_probe_available(const struct conn_handle *handle);

/* Before a close: takes what is not data for the program out of the kernel's queue, since the kernel answers
 * a close with a reset if anything is left there. Stops at data. */
void rx_probe_discard(const struct conn_handle *handle);

#endif
