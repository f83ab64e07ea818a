/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_LOOK_H
#define SOCKSEAL_LOOK_H

/* Looks into what has been received, for others than a reader. None of them waits. */

#include "conn/fdtable.h"

/* Whether a read would find data, an end or an error: looks behind what the kernel calls readable, and takes
 * in what is none of these (handshake messages, tickets, half records). Does not wait. */
bool rx_probe_ready(const struct conn_handle *handle);

/* FIONREAD: bytes of plaintext that can be read without waiting. Never fewer: nginx reads that many and takes
 * the next event to be new ones (edge-triggered). Behind 256 KiB it is an estimate, too high for small
 * records. */
size_t rx_probe_available(const struct conn_handle *handle);

/* Before a close: takes what is not data for the program out of the kernel's queue, so that a close is not a
 * reset. */
void rx_probe_discard(const struct conn_handle *handle);

#endif
