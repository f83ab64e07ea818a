/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_RX_FETCH_H
#define SOCKSEAL_RX_FETCH_H

/* A receiving call of the program: from the kernel, decrypted, into the memory that it gave. rx_lock held. */

#include <sys/types.h>
#include <sys/uio.h>

#include "conn/fdtable.h"
#include "conn/result.h"
#include "record/iov_cursor.h"

/* Where the call's bytes go, how far it got, and how many bytes it waits for. */
struct rx_fetch {
    const struct conn_handle *handle;
    struct iov_cursor memory;
    size_t all, need;
    int flags;
    int64_t since_ms; /* sysio_begins() */
    unsigned empty;   /* steps in a row that brought nothing for the program */
    bool drained;     /* the kernel's queue was seen empty */
    bool at_end;      /* ... for ever */
};

/* `memory`: at the beginning of what the program gave. */
struct rx_fetch rx_fetch_of(const struct conn_handle *handle, const struct iov_cursor *memory, int flags);

/* Bytes that the program has got. */
static inline size_t rx_fetch_done(const struct rx_fetch *fetch)
{
    return fetch->all - fetch->memory.left;
}

/* Reads until the call is over: a count, 0 at the end, -errno, IO_LOCK_LOST. A short count means that the
 * kernel's queue was seen empty, as edge-triggered programs expect. */
struct io_result rx_fetch_run(struct rx_fetch *fetch);

/* The same for one piece of memory, when nothing needs attention (no bit of enum conn_rx_attention), and the
 * flags are none but MSG_DONTWAIT: the ordinary read, in few steps. */
struct io_result rx_fetch_fast(const struct conn_handle *handle, void *to, size_t len, int flags);

#endif
