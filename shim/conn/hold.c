/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "conn/hold.h"

#include <errno.h>
#include <signal.h>

#include "conn/error.h"
#include "sys/sys.h"

static bool is_on(const stack_t *stack, uintptr_t address)
{
    return address - (uintptr_t)stack->ss_sp < stack->ss_size;
}

/*
 * Whether a frame is that of a call which this thread has been interrupted in, by a signal handler that it is
 * in now. It may also be gone, since the call was left by siglongjmp(3). The stack grows down: a handler's
 * frames are below it, and those of a later call are not. From an alternate stack (sigaltstack(2)) the frames
 * of the ordinary one are taken for interrupted ones, wherever it lies.
 */
static bool is_interrupted(uintptr_t frame)
{
    const uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    stack_t alternate;
    if (sys_call3(SYS_sigaltstack, 0, sys_ptr(&alternate), 0) < 0 || (alternate.ss_flags & SS_DISABLE))
        return here < frame;
    const bool now = is_on(&alternate, here), then = is_on(&alternate, frame);
    return now == then ? here < frame : now;
}

/* Whether this thread is in a signal handler that interrupted its own call, which holds the lock. If the lock
 * is not marked as blocked there is no other possibility. The frame is recorded by record/sysio.c. */
static bool is_above_own(const struct lock *lock, const uintptr_t *frame)
{
    bool blocked;
    return lock_is_held(lock, &blocked) && (!blocked || is_interrupted(*frame));
}

bool hold_above_own_send(const struct conn *conn)
{
    return is_above_own(&conn->tx_lock, &conn->tx.frame);
}

bool hold_above_own_recv(const struct conn *conn)
{
    return is_above_own(&conn->rx_lock, &conn->rx.frame);
}

/* HOLD_TAKEN: the lock is held, and *how tells how its last owner left it. A connection that has failed is
 * not worth a wait: whoever makes its locks stay locked can do so again. */
static enum hold_result acquire(const struct conn *conn, struct lock *lock, enum hold_wait wait,
                                enum lock_result *how)
{
    const bool failed = atomic_load_explicit(&conn->status.error, memory_order_relaxed) != 0;
    *how = LOCK_BLOCKED;
    if (wait == HOLD_TRY)
        *how = lock_try(lock) ? LOCK_TAKEN : LOCK_BLOCKED;
    else if (wait == HOLD_WAIT && !failed)
        *how = lock_take_shared(lock);
    else if (!lock_take_soon(lock, how))
        return wait == HOLD_WAIT ? HOLD_FAILED : HOLD_BUSY;
    return *how == LOCK_BLOCKED ? HOLD_BLOCKED : *how == LOCK_REENTERED ? HOLD_REENTERED : HOLD_TAKEN;
}

static enum hold_result not_mapped(const struct conn_handle *handle)
{
    error_set(handle, ENOBUFS,
              "the kernel refuses to map what another process has left in it; check the limit on this "
              "process's address space (RLIMIT_AS, ulimit -v)");
    return HOLD_FAILED;
}

static const char LOST[] =
    "a process that shares it was stopped for more than ten seconds while it worked on it, or has "
    "written to its memory";

static enum hold_result owner_died(const struct conn_handle *handle, const char *reason)
{
    error_set(handle, EIO, reason);
    return HOLD_FAILED;
}

static bool has_rx_chunks(const struct conn *conn)
{
    return conn->rx.chunk | conn->rx.queue.first | conn->handshake;
}

static bool has_tx_chunks(const struct conn *conn)
{
    return conn->tx.chunk | conn->tx.queue.first | conn->tx.deferred.first;
}

/* Whether this thread was interrupted while it computed with tx_lock. A signal handler must not wait for
 * rx_lock then, since the thread that has rx_lock may be waiting for tx_lock. */
static bool computes_with_tx(const struct conn *conn)
{
    bool blocked;
    return lock_is_held(&conn->tx_lock, &blocked) && !blocked;
}

enum hold_result hold_rx(const struct conn_handle *handle, enum hold_wait wait)
{
    struct conn *conn = handle->conn;
    enum lock_result how;
    if (hold_above_own_recv(conn))
        return HOLD_REENTERED;
    const bool nested = wait == HOLD_WAIT && computes_with_tx(conn);
    enum hold_result result = acquire(conn, &conn->rx_lock, nested ? HOLD_TRY : wait, &how);
    if (result != HOLD_TAKEN)
        return nested ? HOLD_REENTERED : result;
    if (how == LOCK_LOST)
        result = owner_died(handle, LOST);
    else if (how == LOCK_OWNER_DIED)
        result = owner_died(handle, "a process died while it was reading");
    else if (!fdtable_current(handle))
        result = HOLD_CHANGED;
    else if (has_rx_chunks(conn) && !conn_map_rx(conn))
        result = not_mapped(handle);
    if (result != HOLD_TAKEN)
        conn_release_rx(conn);
    return result;
}

enum hold_result hold_tx(const struct conn_handle *handle, enum hold_wait wait)
{
    struct conn *conn = handle->conn;
    enum lock_result how;
    if (hold_above_own_send(conn))
        return HOLD_REENTERED;
    enum hold_result result = acquire(conn, &conn->tx_lock, wait, &how);
    if (result != HOLD_TAKEN)
        return result;
    if (how == LOCK_LOST)
        result = owner_died(handle, LOST);
    else if (how != LOCK_TAKEN)
        result = owner_died(handle, "a sender left in the middle of a record");
    else if (!fdtable_current(handle))
        result = HOLD_CHANGED;
    else if (has_tx_chunks(conn) && !conn_map_tx(conn))
        result = not_mapped(handle);
    if (result != HOLD_TAKEN)
        conn_release_tx(conn);
    return result;
}

void hold_drain(const struct conn_handle *handle)
{
    if (hold_rx(handle, HOLD_WAIT) == HOLD_TAKEN)
        conn_release_rx(handle->conn);
    if (hold_tx(handle, HOLD_WAIT) == HOLD_TAKEN)
        conn_release_tx(handle->conn);
}
