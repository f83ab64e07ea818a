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

/* FIONREAD: bytes of plaintext that can be read without waiting. Up to CONN_QUEUE_MAX it is exact; beyond
 * that it is an estimate, too high for small records. It is never too low: nginx reads so many bytes and then
 * waits for an edge, so that more would be lost to it. */
size_t rx_probe_available(const struct conn_handle *handle);

/* Before a close: takes what is not data for the program out of the kernel's queue, since the kernel answers
 * a close with a reset if anything is left there. Stops at data. */
void rx_probe_discard(const struct conn_handle *handle);

#endif
