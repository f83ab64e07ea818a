/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_HOLD_H
#define SOCKSEAL_HOLD_H

/*
 * Taking the lock of a direction, with everything that must be checked before a thread may work on the
 * connection:
 *
 *   - The last owner. If a writer died, or left its call by siglongjmp(3), the connection fails: nobody knows
 *     how much of its record is on the wire. The same holds for a reader that died while it computed. A
 *     reader that died in a system call has taken nothing, so its lock is simply taken over.
 *   - Chunks. What another process has put into chunks of the connection may not be mapped in this process.
 *     It is mapped, or the connection fails with ENOBUFS. Then nothing is encrypted any more, so no sequence
 *     number is used twice.
 *   - The descriptor. It may belong to another connection by now.
 */

#include <errno.h>

#include "conn/fdtable.h"
#include "conn/result.h"

enum hold_wait {
    HOLD_WAIT, /* waits while another thread computes with it */
    HOLD_SOON, /* the same, but for a moment only: lock_take_soon() */
    HOLD_TRY,  /* takes it only if it is free */
};

enum hold_result {
    HOLD_TAKEN,     /* the lock is held */
    HOLD_BLOCKED,   /* another thread has it, in a system call (HOLD_TRY: or computes) */
    HOLD_REENTERED, /* this thread has it: the caller is in a signal handler that interrupted its call */
    HOLD_BUSY,      /* HOLD_SOON: another thread computes with it for long */
    HOLD_CHANGED,   /* the descriptor does not belong to this connection any more */
    HOLD_FAILED,    /* the connection has failed just now: status.error */
};

/* Takes rx_lock, or tx_lock. The lock is held after HOLD_TAKEN only, and is released by conn_release_rx(),
 * conn_release_tx() or a function that calls them. */
enum hold_result hold_rx(const struct conn_handle *handle, enum hold_wait wait);
enum hold_result hold_tx(const struct conn_handle *handle, enum hold_wait wait);

/* What a call gives that got this result; 0 after HOLD_TAKEN. What HOLD_BLOCKED means to it, it knows itself.
 */
static inline struct io_result hold_outcome(const struct conn_handle *handle, enum hold_result held)
{
    switch (held) {
    case HOLD_TAKEN:
        return io_done(0);
    case HOLD_CHANGED:
        return io_is(IO_RETRY_LOOKUP);
    case HOLD_FAILED:
        return io_done(-handle->conn->status.error);
    default:
        return io_done(-EAGAIN);
    }
}

/* Whether the caller is in a signal handler that interrupted this thread's own sending on the connection, or
 * receiving. The functions above give HOLD_REENTERED then. */
bool hold_above_own_send(const struct conn *conn);
bool hold_above_own_recv(const struct conn *conn);

/* After the descriptor was hidden: waits until each thread that looked it up before has released its lock. A
 * thread in a system call is not waited for: the kernel keeps the socket for it. */
void hold_drain(const struct conn_handle *handle);

#endif
