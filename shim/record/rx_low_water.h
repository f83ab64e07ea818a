/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_RX_LOW_WATER_H
#define SOCKSEAL_RX_LOW_WATER_H

/*
 * SO_RCVLOWAT: from so many bytes on a descriptor is readable (socket(7)). The program's number counts
 * plaintext, and the kernel counts ciphertext, of which a part may be decrypted already. So the kernel gets
 * the smallest number of bytes that can bring what is missing. When these came in many small records, they
 * are not enough: then poll and select wait on with a new number, and an epoll reports the descriptor early.
 */

#include "conn/fdtable.h"

/* Sets what the program asked for. Needs no lock. 0 or -errno. */
int rx_low_water_set(const struct conn_handle *handle, int low);

/* What the program counts as enough: at least 1. */
static inline size_t rx_low_water(const struct conn *conn)
{
    return conn->rx.low_water > 1 ? (size_t)conn->rx.low_water : 1;
}

/* Brings the kernel's number up to date with what is in the queue: to be called with rx_lock held, before it
 * is released, if RX_LOW_WATER is set. */
void rx_low_water_apply(const struct conn_handle *handle);

#endif
