/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "conn/look.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "conn/failure.h"
#include "conn/handshake.h"
#include "conn/inbox.h"
#include "conn/reach.h"
#include "sys/net.h"

/* Looks for data behind what is not: 1 there is something for the program, 0 nothing now. */
static bool look_held(const struct sealed *sealed)
{
    struct conn *conn = sealed->conn;
    if (conn->inbox.total == 0 && inbox_has_bulk(sealed))
        return true;
    for (int i = 0; i < INBOX_EMPTY_MAX; i++) {
        if (conn->inbox.total > 0 || conn->ended || conn_failed(conn))
            return true;
        int result = inbox_fill(sealed, MSG_DONTWAIT);
        if (result == INBOX_CUT || (result < 0 && result != -EAGAIN)) {
            inbox_remember(conn, result);
            return true;
        }
        if (result == -EAGAIN) {
            inbox_rest(conn);
            return false;
        }
    }
    return true;
}

/* Takes the role rx, unless another reader has it in the kernel. */
static bool take_reading(const struct sealed *sealed)
{
    enum role_result taken = conn_take_rx(sealed->conn);
    if (taken == ROLE_ABANDONED) {
        failure_set(sealed, EIO, "a process died while it was reading");
        conn_release(sealed->conn, &sealed->conn->rx);
    }
    return (taken == ROLE_TAKEN || taken == ROLE_RESUMED) && reach_rx(sealed);
}

bool look_ready(const struct sealed *sealed)
{
    struct conn *conn = sealed->conn;
    if (!conn->established)
        handshake_progress(sealed);
    if (conn_failed(conn) || conn->ended || conn->connecting || conn->readable > 0 || conn->plaintext)
        return true;
    if (!conn->established)
        return false;
    if (!take_reading(sealed))
        return true;
    bool ready = !registry_current(sealed) || look_held(sealed);
    conn_release(conn, &conn->rx);
    return ready;
}

/* What the kernel's queue still holds, opened: exact for full records, more than it will be for smaller ones.
 */
static size_t unopened(const struct sealed *sealed)
{
    const size_t overhead = tls_session_overhead(&sealed->conn->session), full = TLS_PLAINTEXT_MAX + overhead;
    int queued = 0;
    if (net_ioctl(sealed->fd, FIONREAD, &queued) < 0 || (size_t)queued <= sealed->conn->stale)
        return 0;
    size_t rest = (size_t)queued - sealed->conn->stale, records = (rest + full - 1) / full;
    return rest > records * overhead ? rest - records * overhead : 0;
}

size_t look_available(const struct sealed *sealed)
{
    struct conn *conn = sealed->conn;
    bool more = true;
    if (!conn->established)
        handshake_progress(sealed);
    if (!conn->established || !take_reading(sealed))
        return 0;
    for (int i = 0; i < INBOX_EMPTY_MAX && registry_current(sealed) && conn->inbox.total < CONN_QUEUE_MAX;
         i++) {
        more = !conn->ended && !conn_failed(conn);
        if (!more)
            break;
        int result = inbox_fill(sealed, MSG_DONTWAIT);
        inbox_remember(conn, result);
        more = result > 0 && result != INBOX_CUT && result != INBOX_END;
        if (!more)
            break;
    }
    size_t available = conn->inbox.total + (more ? unopened(sealed) : 0);
    inbox_rest(conn);
    conn_release(conn, &conn->rx);
    return available;
}

void look_discard(const struct sealed *sealed)
{
    struct conn *conn = sealed->conn;
    if (!conn->established || !role_try(&conn->rx) || !reach_rx(sealed))
        return;
    for (int i = 0; i < INBOX_EMPTY_MAX && registry_current(sealed) && conn->inbox.total == 0; i++) {
        if (conn->ended || conn_failed(conn))
            break;
        int result = inbox_fill(sealed, MSG_DONTWAIT);
        if (result < 0 || result == INBOX_CUT)
            break;
    }
    conn_release(conn, &conn->rx);
}
