/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "io/partial.h"

#include "conn/hold.h"
#include "conn/pending.h"
#include "record/tx_flush.h"
#include "sys/net.h"

/* Looks that find nothing before the worker may end. A program whose writes are short again and again would
 * start it each time, and wait for the end of the one before. */
enum { LINGER = 25 };

static _Atomic int64_t next_check = INT64_MAX;

static void leave(const struct conn_handle *handle)
{
    handle->conn->tx.partial_left = PARTIAL_LEFT;
    pending_add(handle->fd);
}

void partial_note(const struct conn_handle *handle)
{
    int64_t never = INT64_MAX;
    const int64_t soon_ms = atomic_load(&next_check) == never ? net_now_ms() + PARTIAL_CHECK_MS : 0;
    if (soon_ms && atomic_compare_exchange_strong(&next_check, &never, soon_ms))
        pending_wake_worker();
    if (!pending_carry || !pending_carry())
        leave(handle);
}

int64_t partial_next(void)
{
    return atomic_load(&next_check);
}

/* Nothing of a record that is not on the wire was reported. */
static bool has_reported(const struct conn *conn)
{
    return conn_tx_has(conn, TX_PARTIAL) && conn->tx.partial.have > 0;
}

/* One look of the worker's. Whether it is to look again. */
static bool look(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    if (fdtable_descriptors(conn) > 1 && fdtable_any(conn, -1) != handle->fd)
        return false; /* the connection has its look under another number */
    if (hold_tx(handle, HOLD_TRY) != HOLD_TAKEN)
        return true; /* the program is writing */
    bool again = false;
    if (has_reported(conn) && conn->tx.partial_left == PARTIAL_CONTINUED) {
        conn->tx.partial_left = PARTIAL_SEEN;
        again = true;
    } else if (has_reported(conn)) {
        leave(handle);
    }
    tx_flush_release(handle);
    return again;
}

/* A record that becomes partial during the look is noted by its writer, or seen. */
void partial_check(void)
{
    static unsigned idle; /* looks that found none: only the worker comes here */
    bool again = false;
    if (net_now_ms() < atomic_load(&next_check))
        return;
    atomic_store(&next_check, INT64_MAX);
    for (int fd = 0; fd < fdtable_bound(); fd++) {
        const struct conn_handle handle = fdtable_find(fd);
        if (!handle.conn || !conn_tx_has(handle.conn, TX_PARTIAL) ||
            !conn_pin(handle.conn, handle.generation))
            continue;
        again |= look(&handle);
        conn_unpin(handle.conn);
    }
    idle = again ? 0 : idle + 1;
    if (idle < LINGER)
        atomic_store(&next_check, net_now_ms() + PARTIAL_CHECK_MS);
    else
        idle = 0;
}

static bool has_room(int fd)
{
    struct pollfd polled = {.fd = fd, .events = POLLOUT};
    return net_ppoll(&polled, 1, &(struct timespec){0}) > 0;
}

static void step_locked(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    if (conn->tx.partial_left == PARTIAL_LEFT && has_room(handle->fd)) {
        conn->tx.partial_left = PARTIAL_ROOM;
        conn->tx.partial_due_ms = net_now_ms() + PARTIAL_CHECK_MS;
    } else if (conn->tx.partial_left == PARTIAL_ROOM && net_now_ms() >= conn->tx.partial_due_ms) {
        conn->tx.partial_left = PARTIAL_DUE;
        tx_flush_locked(handle);
    }
}

void partial_step(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    if (!conn_partial_is_left(conn))
        return;
    const bool held = hold_tx(handle, HOLD_TRY) == HOLD_TAKEN;
    if (held && conn_partial_is_left(conn))
        step_locked(handle);
    if (held)
        tx_flush_release(handle);
    if (conn_partial_is_left(conn) && conn->tx.partial_left == PARTIAL_ROOM)
        pending_lower_deadline(conn->tx.partial_due_ms);
}
