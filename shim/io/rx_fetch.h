/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_READING_H
#define SOCKSEAL_READING_H

/* The fast half of receiving: from the kernel, opened, into the memory that the program gave. Role rx held.
 */

#include <sys/types.h>
#include <sys/uio.h>

#include "conn/fdtable.h"

/* A receiving call of the program: where its bytes go, how far it got, and how many bytes it waits for. */
struct rx_fetch {
    const struct conn_handle *handle;
    uint8_t *to; /* the cursor, */
    size_t here; /* the room behind it in one piece, */
    const struct iovec *next;
    size_t pieces; /* and what follows */
    size_t left, done, need;
    int flags;
    unsigned empty; /* steps in a row that brought nothing for the program */
    bool drained;   /* the kernel's queue was seen empty */
    bool at_end;    /* ... for ever */
};

/* `len`: the pieces' bytes in all. */
struct rx_fetch rx_fetch_of(const struct conn_handle *handle, const struct iovec *iov, size_t count,
                            size_t len, int flags);

/* The program's memory at the cursor, and how much of it lies in one piece (0: none is left). */
uint8_t *rx_fetch_room(struct rx_fetch *fetch, size_t *len);

void rx_fetch_moved(struct rx_fetch *fetch, size_t len);

/* Reads until the call is over: a count, 0 at the end, -errno, -ESTALE (blocking.h). A short count means that
 * the kernel's queue was seen empty, as edge-triggered programs expect. */
ssize_t rx_fetch_run(struct rx_fetch *fetch);

/* The same for one piece of memory, when nothing is left from earlier calls (rx_fetch_fresh()), and the flags
 * are none but MSG_DONTWAIT: the ordinary read, in few steps. */
ssize_t rx_fetch_once(const struct conn_handle *handle, void *to, size_t len, int flags);

/* Whether the kernel's queue, which begins with a record, is all that there is to say. */
static inline bool rx_fetch_fresh(const struct conn *conn)
{
    uint32_t left =
        conn->inbox.total | conn->decrypted | conn->rx_have | conn->rx_chunk | conn->partial_marks;
    uint32_t over = (uint32_t)conn->error | (uint32_t)conn->so_error | conn->ended | conn->plaintext;
    return conn->established && !(left | over) && conn->low_water <= 1;
}

#endif
