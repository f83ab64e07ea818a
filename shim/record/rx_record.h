/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_RX_RECORD_H
#define SOCKSEAL_RX_RECORD_H

/*
 * From a received record to its destination: the program's memory, or the connection's queue, where decrypted
 * bytes wait for the program. All with rx_lock held.
 */

#include <errno.h>

#include "conn/fdtable.h"
#include "conn/result.h"
#include "record/iov_cursor.h"

enum rx_kind {
    RX_DATA = 1,  /* plaintext came to its destination */
    RX_OTHER,     /* nothing for the program; look on */
    RX_END,       /* the peer's close_notify */
    RX_TRUNCATED, /* the kernel's queue ends (FIN) without close_notify */
    RX_ERROR, /* `error`: -errno of the receiving call (-EAGAIN: nothing more now), or of the connection */
    RX_LOCK_LOST, /* IO_LOCK_LOST */
};

/* What a step of receiving came to. */
struct rx_step {
    enum rx_kind kind;
    int error;
};

static inline struct rx_step rx_is(enum rx_kind kind)
{
    return (struct rx_step){.kind = kind};
}

static inline struct rx_step rx_error(int error)
{
    return (struct rx_step){.kind = RX_ERROR, .error = error};
}

/* From the result of a receiving call that gave no bytes. */
static inline struct rx_step rx_no_bytes(struct io_result result)
{
    return result.status == IO_LOCK_LOST ? rx_is(RX_LOCK_LOST)
           : result.value == 0           ? rx_is(RX_TRUNCATED)
                                         : rx_error((int)result.value);
}

/* Whether the step ended the receiving: nothing follows it, or nothing now. */
static inline bool rx_stopped(struct rx_step step)
{
    return step.kind == RX_ERROR || step.kind == RX_LOCK_LOST;
}

static inline bool rx_would_block(struct rx_step step)
{
    return step.kind == RX_ERROR && step.error == -EAGAIN;
}

/* Makes sure that there is a chunk for a record's beginning. False: there is no memory. */
bool rx_record_has_chunk(struct conn *conn);

/* Keeps the start of a record that is not whole yet. False: there is no memory. */
bool rx_record_keep(struct conn *conn, const uint8_t *data, size_t len);

/*
 * Opens one whole record of `size` bytes and acts on what it is. Its content goes to `memory`, which has room
 * for it, or to the queue if that is NULL. For the queue there must be a chunk (rx_record_has_chunk()); it
 * may be where the record is, and becomes a part of the queue.
 */
struct rx_step rx_record_take(const struct conn_handle *handle, uint8_t *record, size_t size,
                              struct iov_cursor *memory);

/* The same for all whole records in a buffer, until one ends the stream or fails; *used: bytes that were
 * dealt with. What follows those is not whole, or no record. The result is the last record's. */
struct rx_step rx_record_take_all(const struct conn_handle *handle, uint8_t *data, size_t len,
                                  struct iov_cursor *memory, size_t *used);

/* Fails the connection for what the engine found, with the alert that goes with it. */
struct rx_step rx_record_fail(const struct conn_handle *handle, enum tls_result result);

/* The end of the stream without close_notify: 0 if the program shut the reading side down itself, else
 * -ECONNRESET. */
int rx_record_truncated(const struct conn_handle *handle);

#endif
