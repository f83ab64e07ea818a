/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_INBOX_H
#define SOCKSEAL_INBOX_H

/*
 * The slow half of receiving: records are opened into the inbox while their bytes, or the last of them, stay
 * in the kernel. For a large record read through a small buffer, MSG_PEEK, FIONREAD and a look behind the
 * readiness. All with role rx held.
 */

#include <sys/types.h>

#include "conn/fdtable.h"

/* What a record was, or why there is none. */
enum rx_queue_result {
    RX_DATA = 1,  /* plaintext was added to the inbox */
    RX_OTHER,     /* the record held nothing for the program; look on */
    RX_END,       /* close_notify */
    RX_TRUNCATED, /* the kernel's queue ends (FIN) without close_notify */
    /* negative: -errno of the receiving call (-EAGAIN: nothing more now), or of the failed connection */
};

/* Opens one more record. `flags` are for the receiving call, which may block as sysio_recv() says. */
int rx_queue_fill(const struct conn_handle *handle, int flags);

/* For MSG_PEEK: opens records until the inbox holds `want` bytes, as far as its bound goes, or the kernel has
 * no more; waits for the first as these MSG_ flags say. A look at the inbox tells whether there is something;
 * if not, -errno, -ESTALE, or the end as rx_queue_truncated() gives it. */
int rx_queue_collect(const struct conn_handle *handle, size_t want, int flags);

/*
 * Opens, without waiting, all whole records that one look at the kernel's queue shows: as many as hold `want`
 * bytes, and a few full ones at most. Results as above; RX_DATA also if other records came with
 * the data. *drained: the queue holds nothing behind what was seen.
 */
int rx_queue_gather(const struct conn_handle *handle, size_t want, bool *drained);

/* The program has taken `len` bytes from the inbox's head. */
void rx_queue_taken(const struct conn_handle *handle, size_t len);

/* Whether the kernel has the whole of a record that is full, as the one before it was: then it is data, and
 * need not be opened to see that. */
bool rx_queue_has_bulk(const struct conn_handle *handle);

/* Takes what was opened out of the kernel's queue once the inbox is empty. */
void rx_queue_settle(const struct conn_handle *handle);

/* A read's result: the kernel tells an error that ends the stream once, and 0 from then on, and so do we. But
 * only to whoever reads: an error that a write or SO_ERROR has told leaves the end a cut
 * (rx_queue_truncated). */
void rx_queue_told(struct conn *conn, ssize_t result);

/* Gives up an empty chunk: an idle connection costs its slot. */
void rx_queue_free_idle_chunk(struct conn *conn);

/* The kernel tells an error once: keeps it for the program if it cannot be told now. Other results are passed
 * over. */
void rx_queue_save_so_error(struct conn *conn, int result);

/* What was kept, once: -errno or 0. (A write or SO_ERROR may take it at the same moment.) */
int rx_queue_take_so_error(struct conn *conn);

/* Records without data that a peer may make us look at in one go. */
enum { RX_EMPTY_MAX = 1024 };

/* Acts on what an opened record was; for the fast path too. */
int rx_queue_event(const struct conn_handle *handle, enum tls_event event);

/* Fails the connection for what the engine found, with the alert that goes with it. Gives -errno. */
int rx_queue_fail(const struct conn_handle *handle, enum tls_result result);

/* The end of the stream without close_notify: 0 if the program shut the reading side down itself, else
 * -ECONNRESET. */
int rx_queue_truncated(const struct conn_handle *handle);

/* Data has come: a client has sent it after our flight, and acknowledges that. A server's may have left
 * before our Finished came there. */
static inline void rx_queue_acknowledges(struct conn *conn)
{
    if (conn->session.role == TLS_SERVER)
        atomic_store_explicit(&conn->finished_alone, 0, memory_order_relaxed);
}

#endif
