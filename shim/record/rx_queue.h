/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_RX_QUEUE_H
#define SOCKSEAL_RX_QUEUE_H

/*
 * Receiving into the connection's queue (rx.queue): for a large record that is read through a small buffer,
 * for MSG_PEEK, FIONREAD and splice, and for rx_probe. Records are decrypted into the queue while their
 * bytes, or the last of these, stay in the kernel. All functions need rx_lock.
 */

#include <sys/types.h>

#include "record/rx_record.h"

/* Decrypts one more record into the queue. `flags` are for the receiving call, which may block as
 * sysio_recv() says. */
struct rx_step rx_queue_fill(const struct conn_handle *handle, int flags);

/* For MSG_PEEK: decrypts records until the queue holds `want` bytes, or CONN_QUEUE_MAX, or the kernel has no
 * more. Waits for the first record as the MSG_ flags say. If the queue is empty afterwards, the result tells
 * why: -errno, 0 at the end, or IO_LOCK_LOST. */
struct io_result rx_queue_collect(const struct conn_handle *handle, size_t want, int flags);

/*
 * Peeks at the kernel's queue once, without waiting, and decrypts all whole records that it sees: as many as
 * hold `want` bytes, but only a few full ones. RX_DATA if the queue has data now, whatever came with it.
 * *drained: the kernel's queue had nothing behind what was seen.
 */
struct rx_step rx_queue_gather(const struct conn_handle *handle, size_t want, bool *drained);

/* The program has taken `len` bytes from the queue's head. */
void rx_queue_taken(const struct conn_handle *handle, size_t len);

/* Whether the kernel has a whole record of full size, and the record before it was full too. Such a record is
 * taken to be data without decrypting it. */
bool rx_queue_has_bulk(const struct conn_handle *handle);

/* If the queue is empty: takes the bytes that are decrypted, and the readiness byte, out of the kernel. */
void rx_queue_settle(const struct conn_handle *handle);

/* To be called with each result of a read. The kernel reports an error that ends the stream once to a reader,
 * and the end of the stream from then on: so does the library. An error that a write or SO_ERROR has reported
 * does not count: the end of the stream is still a truncation then (rx_record_truncated()). */
void rx_queue_note_result(struct conn *conn, ssize_t result);

/* Gives rx.chunk back if nothing is in it, so that an idle connection needs no memory but its slot. */
void rx_queue_free_idle_chunk(struct conn *conn);

/* Keeps an error of the kernel's that cannot be reported now (conn_save_so_error()). `result` is 0 or -errno:
 * -EAGAIN and -EINTR are no errors, and nothing is kept of a connection that has failed. */
void rx_queue_save_error(struct conn *conn, int result);

/* A peer can make the library take at most so many records without data in one go. */
enum { RX_EMPTY_MAX = 1024 };

#endif
