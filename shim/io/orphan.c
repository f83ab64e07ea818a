/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "io/orphan.h"

#include "config/config.h"
#include "conn/error.h"
#include "conn/hold.h"
#include "conn/pending.h"
#include "conn/reserve.h"
#include "diag/log.h"
#include "io/ending.h"
#include "record/handshake_timeout.h"
#include "record/rx_probe.h"
#include "shm/ownfd.h"
#include "shm/self.h"
#include "sys/net.h"

enum { UNANSWERED_MS = 300 * 1000 };

void orphan_set_deadline(struct conn *conn)
{
    const struct config *config = config_get();
    const bool data = conn->tx.to_send > 0 || (conn->tx.sent_data && !conn_is_established(conn));
    int64_t span = data ? (int64_t)config->close_timeout_ms : CONN_GRACE_MS;
    /* On plain TCP the data would wait in the peer's kernel. But a peer that never accepts must not cost the
     * program a descriptor for good. */
    const int64_t patience = config->connect_timeout_ms ? config->connect_timeout_ms : UNANSWERED_MS;
    if (data && handshake_timeout_unanswered(conn) && patience > span)
        span = patience;
    conn->status.wait_told = 1; /* it is final */
    conn->status.deadline_ms = net_now_ms() + span;
}

/* Without a descriptor for an orphan, close(2) itself waits, for the time that a write waits for a handshake:
 * a server at its limit of descriptors says so to its clients, and closes. Whether all is sent. */
static bool finish_here(const struct conn_handle *handle)
{
    enum { SLICE_MS = 10 };
    struct pollfd look = {.fd = handle->fd, .events = POLLIN};
    for (int64_t end = net_now_ms() + CONN_GRACE_MS; fdtable_current(handle) && net_now_ms() < end;) {
        net_ppoll(&look, 1, &(struct timespec){.tv_nsec = SLICE_MS * 1000000L});
        if (!ending_unfinished(handle))
            return true;
    }
    return false;
}

/* Enters a descriptor of the library's own for the connection. */
static void enter(int fd, const struct conn_handle *handle)
{
    fdtable_add(fd, handle->conn, handle->generation);
    fdtable_set_flags(fd, FDTABLE_ORPHAN);
    pending_add(fd);
}

void orphan_make(const struct conn_handle *handle)
{
    int fd = ownfd_duplicate(handle->fd);
    if (fd < 0) {
        if (!finish_here(handle) && handle->conn->tx.to_send > 0)
            error_note(handle, LOG_ERROR,
                       "closed by the program with data to be sent, and no descriptor is left to send it: "
                       "data is lost");
        return;
    }
    orphan_set_deadline(handle->conn);
    if (conn_is_established(handle->conn) && !handle->conn->status.close_pending &&
        !(conn_tx_set(handle->conn, TX_SHUT) & TX_SHUT))
        net_shutdown(fd, SHUT_WR); /* the kernel has it all: the FIN depends on nobody's progress */
    enter(fd, handle);
    if (!conn_is_established(handle->conn) || handle->conn->tx.to_send > 0 ||
        handle->conn->status.close_pending)
        ending_carry();
}

void orphan_make_sender(const struct conn_handle *handle)
{
    int fd = ownfd_duplicate(handle->fd);
    if (fd < 0)
        return;                            /* the bytes are sent with the next call of another holder */
    if (conn_is_established(handle->conn)) /* else the deadline is the handshake's, for all */
        orphan_set_deadline(handle->conn);
    enter(fd, handle);
    ending_carry();
}

/* Whether nobody computes with the lock, or it is taken now. Who is in a system call does not count, since
 * the kernel keeps the socket for it. */
static bool is_quiet(enum hold_result held, const struct lock *lock)
{
    bool blocked;
    return held != HOLD_BUSY && !(held == HOLD_REENTERED && lock_is_held(lock, &blocked) && !blocked);
}

/* Hides an orphan while nobody computes with its connection, which would use the number when it is another
 * file's. False: somebody does, and is not waited for, since this thread may be in a signal handler. *hidden:
 * whether this thread was the first. */
static bool hide_quietly(const struct conn_handle *handle, bool *hidden, bool *last)
{
    struct conn *conn = handle->conn;
    const enum hold_result rx = hold_rx(handle, HOLD_SOON);
    if (!is_quiet(rx, &conn->rx_lock))
        return false;
    const enum hold_result tx = hold_tx(handle, HOLD_SOON);
    bool done = false;
    if (is_quiet(tx, &conn->tx_lock)) {
        pending_drop(handle);
        done = fdtable_hide_soon(handle, hidden, last);
        if (!done)
            pending_add(handle->fd);
    }
    if (tx == HOLD_TAKEN)
        conn_release_tx(conn);
    if (rx == HOLD_TAKEN)
        conn_release_rx(conn);
    return done;
}

/* It is to be looked at again soon. */
static bool come_back(struct conn *conn, int64_t now)
{
    conn->status.recheck_ms = now + ORPHAN_RECHECK_MS;
    return false;
}

bool orphan_step(const struct conn_handle *handle, bool over)
{
    struct conn *conn = handle->conn;
    bool hidden, last;
    int64_t now = net_now_ms();
    if (lock_blocked_here(&conn->tx_lock)) {
        orphan_set_deadline(conn);
        return come_back(conn, now);
    }
    if (over && now < conn->status.deadline_ms && ending_unsent(handle)) {
        rx_probe_discard(handle);
        return come_back(conn, now);
    }
    if (!over && now < conn->status.deadline_ms)
        return false;
    if (over && now < conn->status.deadline_ms && ending_became_last(handle)) {
        conn->status.close_pending = 1;
        return come_back(conn, now);
    }
    const bool lost = !over && conn->tx.to_send > 0;
    if (!conn_failed(conn) && conn_is_established(conn))
        rx_probe_discard(handle);
    if (!hide_quietly(handle, &hidden, &last))
        return come_back(conn, now);
    if (!hidden) /* another thread was first */
        return true;
    if (lost)
        error_note(handle, LOG_ERROR,
                   "closed by the program, and the peer did not take the rest in time: data is lost");
    sys_close(handle->fd);
    fdtable_publish(handle->fd);
    if (last)
        conn_discard(conn);
    fdtable_leave(handle);
    reserve_sweep();
    return true;
}

/* Moves an orphan to another number. False: other threads go on computing with it. */
static bool move(int fd)
{
    enum { ATTEMPTS = 200 }; /* of a millisecond */
    struct conn_handle orphan = fdtable_find(fd), copy = orphan;
    copy.fd = orphan.conn ? ownfd_duplicate(fd) : -1;
    bool left, last, hidden = false, done = false;
    if (copy.fd < 0)
        return true; /* it is released as any other */
    fdtable_add(copy.fd, orphan.conn, orphan.generation);
    fdtable_set_flags(copy.fd, FDTABLE_ORPHAN);
    for (int i = 0; i < ATTEMPTS && !done; i++)
        done = hide_quietly(&orphan, &hidden, &last);
    if (hidden)
        fdtable_publish(fd);
    if (done) {
        pending_add(copy.fd);
        return true;
    }
    if (fdtable_hide(&copy, &left, &last)) {
        sys_close(copy.fd);
        fdtable_publish(copy.fd);
    }
    return false;
}

bool orphan_make_way(int fd)
{
    if (!fdtable_is_own(fd) || !self_owns_tables())
        return true;
    if ((fdtable_flags(fd) & FDTABLE_ORPHAN) && !move(fd))
        return false;
    if (ownfd_make_way(fd))
        log_keep(ownfd_get(OWNFD_LOG));
    return true;
}
