/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "io/exit.h"

#include "config/config.h"
#include "conn/error.h"
#include "conn/holders.h"
#include "conn/liveness.h"
#include "conn/pending.h"
#include "conn/status.h"
#include "diag/limit.h"
#include "diag/log.h"
#include "io/ending.h"
#include "io/orphan.h"
#include "io/progress.h"
#include "io/worker.h"
#include "shm/self.h"
#include "sys/net.h"

/* Removes this process from a connection's holders. If it was the last, ends the connection as a close would.
 */
static void finish_at_exit(int fd)
{
    struct conn_handle handle = fdtable_find(fd);
    if (!handle.conn || handle.conn == &fdtable_dead || (fdtable_flags(fd) & FDTABLE_ORPHAN))
        return;
    const bool first = fdtable_descriptors(handle.conn) == 1 || fdtable_any(handle.conn, -1) == fd;
    if (conn_is_connecting(handle.conn) || !first || !fdtable_release(handle.conn))
        return;
    if (!ending_unfinished(&handle)) {
        pending_remove(fd);
        return;
    }
    orphan_set_deadline(handle.conn);
    pending_add(fd);
}

/* What this process has written on connections that others hold, too, goes out before it ends. */
static void send_at_exit(int fd)
{
    struct conn_handle handle = fdtable_find(fd);
    if (!handle.conn || handle.conn == &fdtable_dead || (fdtable_flags(fd) & FDTABLE_ORPHAN) ||
        conn_is_connecting(handle.conn) || holders_only(handle.conn))
        return;
    if (ending_owes(&handle))
        pending_add(fd);
}

static bool is_owing(int fd)
{
    struct conn_handle handle = fdtable_find(fd);
    const uint8_t flags = fdtable_flags(fd);
    return handle.conn && (flags & FDTABLE_PENDING) && (flags & FDTABLE_OWES) && !(flags & FDTABLE_ORPHAN) &&
           !conn_failed(handle.conn) && !conn_is_connecting(handle.conn) && handle.conn->tx.to_send > 0 &&
           !holders_only(handle.conn);
}

static void send_all_at_exit(void)
{
    const int64_t end = net_now_ms() + config_get()->close_timeout_ms;
    for (int fd = 0; fd < fdtable_bound(); fd++)
        send_at_exit(fd);
    for (int fd = 0; fd < fdtable_bound(); fd++) {
        while (pending_any() && is_owing(fd) && net_now_ms() < end)
            progress_wait(-1, 0, net_now_ms() + ORPHAN_RECHECK_MS, NULL);
    }
}

static bool worth_waiting(int fd)
{
    struct conn_handle handle = fdtable_find(fd);
    struct conn *conn = handle.conn;
    if (!conn || !(fdtable_flags(fd) & FDTABLE_PENDING) || conn_is_connecting(conn) ||
        net_now_ms() >= conn->status.deadline_ms || lock_blocked_here(&conn->tx_lock))
        return false;
    if (fdtable_flags(fd) & FDTABLE_ORPHAN)
        return true;
    return atomic_load(&conn->holders.count) == 0 && (!conn_is_established(conn) || conn->tx.to_send > 0 ||
                                                      conn->status.close_pending || ending_unsent(&handle));
}

/* What an orphan that is given up at the end of the process still had to send. */
static void note_lost(int fd)
{
    struct conn_handle handle = fdtable_find(fd);
    if (handle.conn && handle.conn != &fdtable_dead && !conn_failed(handle.conn) &&
        handle.conn->tx.to_send > 0)
        error_note(&handle, LOG_ERROR,
                   "the process ends, and the peer did not take the rest in time: data is lost");
}

void exit_wait_orphans(void)
{
    const int64_t end = net_now_ms() + config_get()->close_timeout_ms;
    for (int fd = 0; fd < fdtable_bound(); fd++) {
        while (pending_any() && worth_waiting(fd) && net_now_ms() < end)
            progress_wait(-1, 0, net_now_ms() + ORPHAN_RECHECK_MS, NULL);
        if (pending_any() && worth_waiting(fd))
            note_lost(fd);
    }
}

/* Gives the slot of a connection without holders back to the process tree. */
static void give_back(int fd)
{
    struct conn_handle handle = fdtable_find(fd);
    if (handle.conn && handle.conn != &fdtable_dead && !(fdtable_flags(fd) & FDTABLE_ORPHAN) &&
        atomic_load(&handle.conn->holders.count) == 0)
        conn_discard(handle.conn);
}

void exit_finish(void)
{
    static _Atomic bool done;
    if (!self_owns_tables() || atomic_exchange(&done, true))
        return;
    liveness_begin_round();
    send_all_at_exit();
    for (int fd = 0; fd < fdtable_bound(); fd++)
        finish_at_exit(fd);
    liveness_end_round();
    exit_wait_orphans();
    /* Killed in the midst of a step, it would leave a lock to the other holders of a connection. */
    worker_hold();
    fdtable_each_connection(status_close);
    for (int fd = 0; fd < fdtable_bound(); fd++)
        give_back(fd);
    limit_end();
}
