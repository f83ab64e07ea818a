/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_RX_FETCH_H
#define SOCKSEAL_RX_FETCH_H

/* One receiving call of the program: from the kernel, decrypted, into the memory that the program gave. All
 * functions need rx_lock. */

#include <sys/types.h>
#include <sys/uio.h>

#include "conn/fdtable.h"
#include "conn/result.h"
#include "record/iov_cursor.h"

struct rx_fetch {
    const struct conn_handle *handle;
    struct iov_cursor memory; /* where the next byte goes */
    size_t all;               /* bytes that the memory has room for */
    size_t need;              /* bytes that the call waits for */
    int flags;                /* MSG_ flags of the program */
    int64_t since_ms;         /* when the call began: sysio_begins() */
    unsigned empty;           /* steps in a row that brought no data */
    bool drained;             /* the kernel's queue was seen empty */
    bool at_end;              /* the stream has ended without close_notify */
};

/* A call that is to fill the memory from the cursor on. */
struct rx_fetch rx_fetch_of(const struct conn_handle *handle, const struct iov_cursor *memory, int flags);

/* Bytes that are in the program's memory by now. */
static inline size_t rx_fetch_done(const struct rx_fetch *fetch)
{
    return fetch->all - fetch->memory.left;
}

/* Receives until the call is over: a count, 0 at the end, -errno, or IO_LOCK_LOST. A count that is short of
 * the memory means that the kernel's queue was seen empty: edge-triggered programs stop reading then. */
struct io_result rx_fetch_run(struct rx_fetch *fetch);

/* The same for one piece of memory, no flags but MSG_DONTWAIT, and a connection without a bit of
 * enum conn_rx_attention. */
struct io_result rx_fetch_fast(const struct conn_handle *handle, void *to, size_t len, int flags);

#endif
