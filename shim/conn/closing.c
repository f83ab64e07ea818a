/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "conn/closing.h"

#include "config/config.h"
#include "conn/drive.h"
#include "conn/failure.h"
#include "conn/handshake.h"
#include "conn/receive.h"
#include "conn/send.h"
#include "diag/log.h"
#include "sys/net.h"

/* Puts close_notify behind everything else; role tx held. RFC 8446, 6.1: it closes our direction only. */
static void say_goodbye(struct conn *conn)
{
    uint8_t bytes[TLS_FLIGHT_MAX];
    struct tls_buffer out = {.data = bytes, .cap = sizeof bytes};
    tls_session_alert(&conn->session, TLS_ALERT_CLOSE_NOTIFY, &out);
    if (send_append_held(conn, bytes, out.len))
        conn->close_sent = 1;
}

/* Tries to get everything out, close_notify last: true when the kernel has it all, or it can never have it.
 */
static bool end_sending(const struct sealed *sealed)
{
    struct conn *conn = sealed->conn;
    if (conn_failed(conn))
        return true;
    if (conn->plaintext)
        return send_flush(sealed) != -EAGAIN;
    handshake_progress(sealed);
    if (conn_failed(conn))
        return true;
    if (!conn->can_send || role_take(&conn->tx) != ROLE_TAKEN)
        return conn_failed(conn);
    int result = registry_current(sealed) ? send_flush_held(sealed) : 0;
    if (result == 0 && !conn->close_sent) {
        say_goodbye(conn);
        result = send_flush_held(sealed);
    }
    send_release(sealed);
    return result != -EAGAIN;
}

void closing_finish_step(const struct sealed *sealed)
{
    struct conn *conn = sealed->conn;
    if (!end_sending(sealed))
        return;
    conn->fin_due = 0;
    if (conn->write_shut)
        net_shutdown(sealed->fd, SHUT_WR);
}

_Atomic bool closing_linger_used;

/* Whether the kernel will answer the close with a reset: SO_LINGER with time 0, or data that the program has
 * not read. Then the peer must see just that, and no close_notify before it. */
static bool will_reset(const struct sealed *sealed)
{
    struct linger linger = {0};
    socklen_t len = sizeof linger;
    receive_discard(sealed);
    if (sealed->conn->readable > 0)
        return true;
    return closing_linger_used && net_getsockopt(sealed->fd, SOL_SOCKET, SO_LINGER, &linger, &len) == 0 &&
           linger.l_onoff && linger.l_linger == 0;
}

/* Whether the peer could miss something if the descriptor were simply closed now. */
static bool unfinished(const struct sealed *sealed)
{
    struct conn *conn = sealed->conn;
    handshake_progress(sealed);
    if (conn_failed(conn) || will_reset(sealed))
        return false;
    conn->fin_due = 1;
    bool sent = end_sending(sealed);
    if (conn_failed(conn) || conn->plaintext)
        return false;
    /* Before the handshake is over, the client's Finished would meet a closed socket: a reset, and data lost.
     */
    return !sent || !conn->established;
}

/* Time that an orphan, or a process's end, may take: briefly if there is nothing but the handshake itself to
 * finish. */
static void set_deadline(struct conn *conn)
{
    bool data = conn->to_send > 0 || conn->sent_data;
    conn->deadline_ms = net_now_ms() + (data ? (int64_t)config_get()->handshake_timeout_ms : CONN_BRIEF_MS);
}

static void make_orphan(const struct sealed *sealed)
{
    int fd = net_fcntl(sealed->fd, F_DUPFD_CLOEXEC, registry_own_base());
    if (fd < 0)
        return;
    set_deadline(sealed->conn);
    sealed->conn->fin_due = 1;
    registry_add(fd, sealed->conn, sealed->generation);
    registry_mark(fd, REGISTRY_ORPHAN);
    drive_add(fd);
}

void closing_release(const struct sealed *sealed)
{
    struct conn *conn = sealed->conn;
    bool outstanding = registry_marks(sealed->fd) & REGISTRY_OUTSTANDING, last;
    if (!registry_is_ours())
        return;
    if (registry_only_descriptor(conn) && !conn->connecting && unfinished(sealed))
        make_orphan(sealed);
    drive_drop(sealed->fd);
    if (!registry_remove(sealed->fd, &last)) {
        int other = outstanding ? registry_any(conn, sealed->fd) : -1;
        if (other >= 0)
            drive_add(other);
        return;
    }
    if (!last)
        return;
    atomic_store(&conn->unheld, 1);
    conn_reap(conn);
}

bool closing_orphan_step(const struct sealed *sealed, bool over)
{
    struct conn *conn = sealed->conn;
    bool last;
    if (!over && net_now_ms() < conn->deadline_ms)
        return false;
    if (!over && conn->to_send > 0)
        failure_note(conn, LOG_ERROR,
                     "closed by the program, and the peer did not take the rest in time: data is lost");
    if (!conn_failed(conn) && conn->established)
        receive_discard(sealed);
    drive_drop(sealed->fd);
    if (registry_remove(sealed->fd, &last) && last)
        atomic_store(&conn->unheld, 1);
    sys_close(sealed->fd);
    conn_reap(conn);
    return true;
}

int closing_shutdown(const struct sealed *sealed, int how)
{
    struct conn *conn = sealed->conn;
    if (how == SHUT_RD || conn_failed(conn) || conn->connecting || (how != SHUT_WR && how != SHUT_RDWR)) {
        int result = net_shutdown(sealed->fd, how);
        if (result == 0 && how != SHUT_WR)
            conn->read_shut = 1;
        return result;
    }
    if (how == SHUT_RDWR) {
        conn->read_shut = 1;
        net_shutdown(sealed->fd, SHUT_RD);
    }
    conn->fin_due = 1;
    bool before = atomic_exchange(&conn->write_shut, 1);
    if (before && !conn->fin_due)
        return net_shutdown(sealed->fd, SHUT_WR);
    closing_finish_step(sealed);
    if (conn->fin_due)
        drive_add(sealed->fd);
    return 0;
}

/* Marks what is left to be finished by this process. */
static void finish_at_exit(int fd)
{
    struct sealed sealed = registry_find(fd);
    if (!sealed.conn || (registry_marks(fd) & REGISTRY_ORPHAN) || !registry_only_holder(sealed.conn))
        return;
    if (sealed.conn->connecting || registry_any(sealed.conn, -1) != fd || !unfinished(&sealed))
        return;
    set_deadline(sealed.conn);
    sealed.conn->fin_due = 1;
    drive_add(fd);
}

static bool worth_waiting(int fd)
{
    struct sealed sealed = registry_find(fd);
    if (!sealed.conn || !(registry_marks(fd) & REGISTRY_OUTSTANDING) || sealed.conn->connecting)
        return false;
    return registry_only_holder(sealed.conn) && net_now_ms() < sealed.conn->deadline_ms;
}

void closing_at_exit(void)
{
    if (!registry_is_ours())
        return;
    for (int fd = 0; fd < registry_bound(); fd++)
        finish_at_exit(fd);
    for (int fd = 0; fd < registry_bound(); fd++) {
        while (worth_waiting(fd))
            drive_wait(-1, 0, net_now_ms() + 20);
    }
}
