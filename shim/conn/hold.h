/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_HOLD_H
#define SOCKSEAL_HOLD_H

/*
 * Taking the lock of a direction: what a thread must see to between finding a connection and working on it
 * is done here, once for all.
 *
 *   - A writer that died or jumped away (siglongjmp) in the middle of a record fails the connection: nobody
 *     knows how much of the record is on the wire. A reader that died while it computed does so too; one that
 *     died in a system call has taken nothing, and is forgotten.
 *   - What another process has put into chunks of the connection may not be mapped in this process. It is
 *     mapped, or the connection fails with ENOBUFS. (The state stays as it is: where nothing can be sealed
 * any more, no sequence number is used twice.)
 *   - The descriptor may stand for another connection by now.
 */

#include "conn/fdtable.h"

enum hold_wait {
    HOLD_WAIT, /* while another thread computes with it */
    HOLD_SOON, /* the same, but a moment only: lock_take_soon() */
    HOLD_TRY,  /* takes it only if it is free */
};

enum hold_result {
    HOLD_TAKEN,     /* the lock is held */
    HOLD_BLOCKED,   /* another thread has it, in a system call (HOLD_TRY: or computes) */
    HOLD_REENTERED, /* this thread has it: the caller is in a signal handler that interrupted its own call */
    HOLD_BUSY,      /* HOLD_SOON: another thread computes with it for long */
    HOLD_CHANGED,   /* the descriptor does not stand for this connection any more */
    HOLD_FAILED,    /* the connection has failed just now: status.error */
};

/* Takes rx_lock, or tx_lock. To be released by conn_release_rx(), conn_release_tx() or what is built on them.
 */
enum hold_result hold_rx(const struct conn_handle *handle, enum hold_wait wait);
enum hold_result hold_tx(const struct conn_handle *handle, enum hold_wait wait);

/* Whether the caller is in a signal handler above this thread's own writing to the connection, or reading
 * from it. Both functions above give HOLD_REENTERED then. */
bool hold_above_own_send(const struct conn *conn);
bool hold_above_own_recv(const struct conn *conn);

/* After the descriptor was hidden: waits until whoever looked it up before has released both locks, unless it
 * is in a system call, where the socket itself is held. */
void hold_drain(const struct conn_handle *handle);

#endif
