/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_RX_RECORD_H
#define SOCKSEAL_RX_RECORD_H

/*
 * From a received record to its destination: the program's memory, or the connection's queue, where decrypted
 * bytes wait for the program. All functions need rx_lock.
 */

#include <errno.h>

#include "conn/fdtable.h"
#include "conn/result.h"
#include "record/iov_cursor.h"

enum rx_kind {
    RX_DATA = 1,  /* plaintext came to its destination */
    RX_OTHER,     /* a record without data, or the start of one: go on */
    RX_END,       /* the peer's close_notify */
    RX_TRUNCATED, /* the stream ends (FIN) without close_notify */
    RX_ERROR,     /* the receiving call failed, or the connection */
    RX_LOCK_LOST, /* IO_LOCK_LOST */
};

/* The result of a step of receiving. */
struct rx_step {
    enum rx_kind kind;
    int error; /* with RX_ERROR: -errno; -EAGAIN: nothing more now. Else 0 */
};

static inline struct rx_step rx_is(enum rx_kind kind)
{
    return (struct rx_step){.kind = kind};
}

static inline struct rx_step rx_error(int error)
{
    return (struct rx_step){.kind = RX_ERROR, .error = error};
}

/* The step for a receiving call that gave no bytes. */
static inline struct rx_step rx_no_bytes(struct io_result result)
{
    return result.status == IO_LOCK_LOST ? rx_is(RX_LOCK_LOST)
           : result.value == 0           ? rx_is(RX_TRUNCATED)
                                         : rx_error((int)result.value);
}

/* Whether nothing can be received now. */
static inline bool rx_stopped(struct rx_step step)
{
    return step.kind == RX_ERROR || step.kind == RX_LOCK_LOST;
}

static inline bool rx_would_block(struct rx_step step)
{
    return step.kind == RX_ERROR && step.error == -EAGAIN;
}

/* Makes sure that there is a chunk for a record (rx.chunk). False if there is no memory. */
bool rx_record_has_chunk(struct conn *conn);

/* Keeps a copy of a record's start in rx.chunk. False if there is no memory. */
bool rx_record_keep(struct conn *conn, const uint8_t *data, size_t len);

/*
 * Decrypts one whole record of `size` bytes and acts on it. Its content goes to `memory`, which has room for
 * it; or to the queue if `memory` is NULL. For the queue there must be a chunk (rx_record_has_chunk()), in
 * which the record may be, and which may become a part of the queue. `record` is overwritten.
 */
struct rx_step rx_record_take(const struct conn_handle *handle, uint8_t *record, size_t size,
                              struct iov_cursor *memory);

/* The same for all whole records in a buffer, until one ends the stream or fails. *used: their bytes. What
 * follows is not a whole record, or not a record. The result is the last record's. */
struct rx_step rx_record_take_all(const struct conn_handle *handle, uint8_t *data, size_t len,
                                  struct iov_cursor *memory, size_t *used);

/* Fails the connection for a result of the TLS engine, and sends the alert that the engine asks for. */
struct rx_step rx_record_fail(const struct conn_handle *handle, enum tls_result result);

/* The stream ends without close_notify: 0 if the program itself has shut the reading side down, else the
 * connection fails: -errno (ECONNRESET). Otherwise an attacker could forge the end of the stream. */
int rx_record_truncated(const struct conn_handle *handle);

#endif
