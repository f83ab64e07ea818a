/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_RX_QUEUE_H
#define SOCKSEAL_RX_QUEUE_H

/*
 * Receiving into the connection's queue: for a large record read through a small buffer, for MSG_PEEK and
 * FIONREAD, and for a look behind the kernel's readiness. Records are opened into the queue while their
 * bytes, or the last of them, are left in the kernel. All with rx_lock held.
 */

#include <sys/types.h>

#include "record/rx_record.h"

/* Opens one more record. `flags` are for the receiving call, which may block as sysio_recv() says. */
struct rx_step rx_queue_fill(const struct conn_handle *handle, int flags);

/* For MSG_PEEK: opens records until the queue holds `want` bytes, as far as its bound goes, or the kernel has
 * no more; waits for the first as these MSG_ flags say. A look at the queue tells whether there is something;
 * if not, the result does: -errno, 0 at the end, or IO_LOCK_LOST. */
struct io_result rx_queue_collect(const struct conn_handle *handle, size_t want, int flags);

/*
 * Opens, without waiting, all whole records that one look at the kernel's queue shows: as many as hold `want`
 * bytes, and a few full ones at most. RX_DATA also if other records came with the data. *drained: the
 * kernel's queue holds nothing behind what was seen.
 */
struct rx_step rx_queue_gather(const struct conn_handle *handle, size_t want, bool *drained);

/* The program has taken `len` bytes from the queue's head. */
void rx_queue_taken(const struct conn_handle *handle, size_t len);

/* Whether the kernel has the whole of a record that is full, as the one before it was: then it is data, and
 * need not be opened to see that. */
bool rx_queue_has_bulk(const struct conn_handle *handle);

/* Takes what was decrypted out of the kernel's queue once this queue is empty. */
void rx_queue_settle(const struct conn_handle *handle);

/* A read's result: the kernel reports an error that ends the stream once, and 0 from then on, and so does the
 * library. But only to whoever reads: an error that a write or SO_ERROR has reported leaves the end of the
 * stream a truncation (rx_record_truncated()). */
void rx_queue_told(struct conn *conn, ssize_t result);

/* Gives an idle chunk back: an idle connection costs its slot. */
void rx_queue_free_idle_chunk(struct conn *conn);

/* The kernel reports an error once: keeps it for the program if it cannot be reported now. Other results are
 * passed over. */
void rx_queue_save_error(struct conn *conn, int result);

/* Records without data that a peer may make the library look at in one go. */
enum { RX_EMPTY_MAX = 1024 };

#endif
