/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "conn/closing.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "config/config.h"
#include "conn/drive.h"
#include "conn/failure.h"
#include "conn/handshake.h"
#include "conn/look.h"
#include "conn/outbox.h"
#include "conn/own.h"
#include "conn/send.h"
#include "diag/log.h"
#include "sys/net.h"

enum { LOOK_MS = 20 }; /* there is no event for "all is sent" */

_Atomic bool closing_linger_used;

/* Puts close_notify behind everything else; role tx held. RFC 8446, 6.1: it closes our direction only. */
static void say_goodbye(struct conn *conn)
{
    uint8_t bytes[TLS_FLIGHT_MAX];
    struct tls_buffer out = {.data = bytes, .cap = sizeof bytes};
    if (conn->cut) /* not flushed, for want of memory: without its end the record cannot be followed by
                      anything */
        return;
    tls_session_alert(&conn->session, TLS_ALERT_CLOSE_NOTIFY, &out);
    if (outbox_append(conn, bytes, out.len))
        conn->close_sent = 1;
}

/* Tries to get everything out, close_notify last: true when the kernel has it all, or it can never have it.
 * `closing`: the program has closed the connection, and close_notify waits until the handshake is over, for
 * what comes with its end may be data, and then the end is to be a reset. */
static bool end_sending(const struct sealed *sealed, bool closing)
{
    struct conn *conn = sealed->conn;
    if (conn_failed(conn))
        return true;
    if (conn->plaintext) {
        int left = outbox_flush(sealed);
        return left != -EAGAIN && left != -EBUSY;
    }
    handshake_progress(sealed);
    if (conn_failed(conn))
        return true;
    if (!conn->can_send)
        return false;
    int taken = outbox_take_soon(sealed);
    if (taken <= 0)
        return taken == 0; /* failed, or somebody is in the kernel sending, and is not waited for */
    int result = registry_current(sealed) ? outbox_flush_held(sealed) : 0;
    if (result == 0 && !conn->close_sent && (conn->established || !closing)) {
        say_goodbye(conn);
        result = outbox_flush_held(sealed);
    }
    bool done = result != -EAGAIN && conn->close_sent;
    outbox_release(sealed);
    return done || (result < 0 && result != -EAGAIN);
}

/* SO_LINGER's seconds, -1: off. */
static int linger_time(const struct sealed *sealed)
{
    struct linger linger = {0};
    socklen_t len = sizeof linger;
    if ((!closing_linger_used && !sealed->conn->lingers) ||
        net_getsockopt(sealed->fd, SOL_SOCKET, SO_LINGER, &linger, &len) < 0 || !linger.l_onoff)
        return -1;
    return linger.l_linger;
}

bool closing_lingers(const struct sealed *sealed)
{
    return linger_time(sealed) > 0;
}

/* Whether the kernel will answer the close with a reset: SO_LINGER with time 0, or data that the program has
 * not read. Then the peer must see just that, and no close_notify before it. */
static bool will_reset(const struct sealed *sealed)
{
    look_discard(sealed);
    return sealed->conn->readable > 0 || linger_time(sealed) == 0;
}

void closing_finish_step(const struct sealed *sealed)
{
    struct conn *conn = sealed->conn;
    bool closing = registry_marks(sealed->fd) & REGISTRY_ORPHAN;
    if (!(closing && conn->established && will_reset(sealed)) && !end_sending(sealed, closing))
        return;
    conn->fin_due = 0;
    if (conn->write_shut ||
        (closing && conn->established && conn->close_sent && !atomic_exchange(&conn->write_shut, 1)))
        net_shutdown(sealed->fd, SHUT_WR);
}

/*
 * Whether the kernel has bytes that it could not send yet. A socket that is closed answers a close_notify of
 * the peer's (which is data, unlike the FIN of plain TCP) with a reset, and drops what it has not sent. What
 * is on its way arrives before that.
 */
static bool unsent(const struct sealed *sealed)
{
    int bytes = 0;
    return !sealed->conn->ended && !conn_failed(sealed->conn) &&
           net_ioctl(sealed->fd, SIOCOUTQNSD, &bytes) == 0 && bytes > 0;
}

/* Whether the peer could miss something if the descriptor were simply closed now. */
static bool unfinished(const struct sealed *sealed)
{
    struct conn *conn = sealed->conn;
    handshake_progress(sealed);
    if (conn_failed(conn) || will_reset(sealed))
        return false;
    conn->fin_due = 1;
    bool sent = end_sending(sealed, true);
    if (conn_failed(conn) || (conn->plaintext && sent))
        return false;
    /* Before the handshake is over, the client's Finished would meet a closed socket: a reset, and data lost.
     */
    if (!sent || !conn->established)
        return true;
    conn->fin_due = 0;
    if (!unsent(sealed))
        return false;
    const int on = 1; /* nothing follows: Nagle's algorithm need not hold the last segment */
    net_setsockopt(sealed->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return unsent(sealed);
}

/* Time that an orphan, or a process's end, may take: briefly if nothing of the program's stands here any
 * more. */
static void set_deadline(struct conn *conn)
{
    bool data = conn->to_send > 0 || (conn->sent_data && !conn->established);
    conn->deadline_ms = net_now_ms() + (data ? (int64_t)config_get()->handshake_timeout_ms : CONN_BRIEF_MS);
}

static void make_orphan(const struct sealed *sealed)
{
    int fd = own_duplicate(sealed->fd);
    if (fd < 0) {
        if (sealed->conn->to_send > 0)
            failure_note(sealed->conn, LOG_ERROR,
                         "closed by the program with data to be sent, and no descriptor is left to send it: "
                         "data is lost");
        return;
    }
    set_deadline(sealed->conn);
    if (sealed->conn->established && !sealed->conn->fin_due && !atomic_exchange(&sealed->conn->write_shut, 1))
        net_shutdown(fd, SHUT_WR); /* the kernel has it all: nothing depends on somebody's driving */
    registry_add(fd, sealed->conn, sealed->generation);
    registry_mark(fd, REGISTRY_ORPHAN);
    drive_add(fd);
}

static void discard(struct conn *conn)
{
    atomic_store(&conn->unheld, 1);
    conn_reap(conn);
}

/* Who holds a role at this moment has looked the descriptor up before it was hidden: let him finish, unless
 * he is parked in the kernel, where the socket itself is held. */
static void let_others_out(const struct sealed *sealed)
{
    struct conn *conn = sealed->conn;
    struct role *roles[] = {&conn->rx, &conn->tx};
    for (int i = 0; i < 2; i++) {
        if (roles[i] == &conn->tx && send_is_interrupted(conn))
            continue; /* by us: it goes on when this signal handler returns */
        enum role_result taken = i == 0 ? conn_take_rx(conn) : role_take(roles[i]);
        if (taken == ROLE_PARKED || taken == ROLE_REENTERED)
            continue;
        /* Nobody else will be told of it: what a dead sender has sealed must not be sealed again. */
        if (taken == ROLE_ABANDONED || (taken == ROLE_RESUMED && roles[i] == &conn->tx))
            failure_set(sealed, EIO, "a process died while it was sending or reading");
        role_release(roles[i]);
    }
}

bool closing_release(const struct sealed *sealed)
{
    struct conn *conn = sealed->conn;
    bool left, last;
    if (conn == &registry_dead || !registry_is_ours())
        return false;
    bool outstanding = registry_marks(sealed->fd) & REGISTRY_OUTSTANDING;
    bool tried = conn->connecting || registry_only_descriptor(conn);
    if (tried && !conn->connecting && unfinished(sealed))
        make_orphan(sealed);
    drive_drop(sealed->fd);
    if (!registry_hide(sealed, &left, &last))
        return false;
    let_others_out(sealed);
    if (!left) {
        int other = outstanding ? registry_any(conn, sealed->fd) : -1;
        if (other >= 0)
            drive_add(other);
    }
    if (last && !tried &&
        !conn_failed(conn)) { /* the other holder closed at the same moment, and thought so too of us */
        conn->fin_due = 1;
        make_orphan(sealed);
    } else if (last) {
        discard(conn);
    }
    return true;
}

void closing_close(const struct sealed *sealed)
{
    bool hidden = closing_release(sealed);
    sys_close(sealed->fd);
    if (hidden)
        registry_show(sealed->fd);
}

bool closing_orphan_step(const struct sealed *sealed, bool over)
{
    struct conn *conn = sealed->conn;
    bool left, last;
    int64_t now = net_now_ms();
    if (over && now < conn->deadline_ms && unsent(sealed)) {
        look_discard(sealed);
        conn->look_ms = now + LOOK_MS;
        return false;
    }
    if (!over && now < conn->deadline_ms)
        return false;
    if (!over && conn->to_send > 0)
        failure_note(conn, LOG_ERROR,
                     "closed by the program, and the peer did not take the rest in time: data is lost");
    if (!conn_failed(conn) && conn->established)
        look_discard(sealed);
    drive_drop(sealed->fd);
    if (!registry_hide(sealed, &left, &last)) /* another thread was first */
        return true;
    sys_close(sealed->fd);
    registry_show(sealed->fd);
    if (last)
        discard(conn);
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
    atomic_store(&conn->write_shut, 1);
    closing_finish_step(sealed);
    if (conn->fin_due)
        drive_add(sealed->fd);
    return 0;
}

/* Gives up this process's part in a connection; if it was the last, finishes it as a close would. */
static void finish_at_exit(int fd)
{
    struct sealed sealed = registry_find(fd);
    if (!sealed.conn || sealed.conn == &registry_dead || (registry_marks(fd) & REGISTRY_ORPHAN))
        return;
    if (sealed.conn->connecting || registry_any(sealed.conn, -1) != fd || !registry_leave(sealed.conn))
        return;
    if (!unfinished(&sealed)) {
        drive_drop(fd);
        return;
    }
    set_deadline(sealed.conn);
    drive_add(fd);
}

static bool worth_waiting(int fd)
{
    struct sealed sealed = registry_find(fd);
    struct conn *conn = sealed.conn;
    if (!conn || !(registry_marks(fd) & REGISTRY_OUTSTANDING) || conn->connecting ||
        net_now_ms() >= conn->deadline_ms)
        return false;
    if (registry_marks(fd) & REGISTRY_ORPHAN)
        return true;
    return atomic_load(&conn->holders) == 0 &&
           (!conn->established || conn->to_send > 0 || conn->fin_due || unsent(&sealed));
}

static void wait_all(void)
{
    for (int fd = 0; fd < registry_bound(); fd++) {
        while (drive_outstanding() && worth_waiting(fd))
            drive_wait(-1, 0, net_now_ms() + LOOK_MS);
    }
}

void closing_wait_orphans(void)
{
    wait_all();
}

/* What nobody holds any more goes back to the tree. */
static void give_back(int fd)
{
    struct sealed sealed = registry_find(fd);
    if (sealed.conn && sealed.conn != &registry_dead && !(registry_marks(fd) & REGISTRY_ORPHAN) &&
        atomic_load(&sealed.conn->holders) == 0)
        discard(sealed.conn);
}

void closing_at_exit(void)
{
    static _Atomic bool done;
    if (!registry_is_ours() || atomic_exchange(&done, true))
        return;
    for (int fd = 0; fd < registry_bound(); fd++)
        finish_at_exit(fd);
    wait_all();
    for (int fd = 0; fd < registry_bound(); fd++)
        give_back(fd);
}
