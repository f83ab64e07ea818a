/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "conn/status.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "conn/address.h"
#include "conn/describe.h"
#include "diag/log.h"
#include "shm/statusmem.h"
#include "sys/net.h"

_Atomic(struct statuspage_entry *) *status_entries;

static const size_t table_size = ARENA_SLOTS * sizeof *status_entries;

bool status_begin(void)
{
    void *table =
        net_mmap(table_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
    if (table == MAP_FAILED)
        return false;
    net_madvise(table, table_size, MADV_WIPEONFORK); /* a child has no entries of its parent's */
    status_entries = table;
    return true;
}

static struct statuspage_address publish_address(const struct address *address)
{
    struct statuspage_address published = {.family = address->family, .port = address->port};
    memcpy(published.bytes, address->bytes, sizeof published.bytes);
    return published;
}

static enum statuspage_state state_of(const struct conn *conn)
{
    static const uint8_t states[] = {
        [CONN_CONNECTING] = STATUSPAGE_CONNECTING, [CONN_HANDSHAKE] = STATUSPAGE_HANDSHAKE,
        [CONN_ESTABLISHED] = STATUSPAGE_SEALED,    [CONN_PEER_CLOSED] = STATUSPAGE_PEER_CLOSED,
        [CONN_PLAINTEXT] = STATUSPAGE_PLAINTEXT,   [CONN_GONE] = STATUSPAGE_UNUSED,
    };
    const size_t phase = conn_phase(conn); /* in shared memory: it may be anything */
    if (conn_failed(conn))
        return STATUSPAGE_FAILED;
    return phase < sizeof states ? (enum statuspage_state)states[phase] : STATUSPAGE_UNUSED;
}

/* What the handshake has agreed on. Before its end the thread that works on it writes there. */
static void publish_session(const struct conn *conn, struct statuspage_entry *entry)
{
    const struct tls_session *session = &conn->session;
    entry->suite = session->suite;
    entry->group = session->group;
    entry->handshake_us = conn->handshake_us;
    entry->identity_len = (uint8_t)tls_session_identity_len(session);
    memcpy(entry->identity, session->identity, sizeof entry->identity);
}

/* Writes all but the counts. If another thread is at it, that is enough: what changes later is the state. */
static void publish(const struct conn *conn, struct statuspage_entry *entry)
{
    if (!statusmem_begin_change(entry))
        return;
    entry->direction = conn->status.connects ? STATUSPAGE_OUT : STATUSPAGE_IN;
    entry->opened_us = conn->status.opened_us;
    entry->cookie = arena_cookie(arena_slot_of(conn));
    entry->local = publish_address(&conn->local);
    entry->peer = publish_address(&conn->peer);
    if (conn_is_established(conn))
        publish_session(conn, entry);
    statusmem_end_change(entry);
}

/* The entry again, with its state; the last thing that is written, since it makes a new entry visible. */
static void publish_state(const struct conn *conn, struct statuspage_entry *entry)
{
    atomic_store(&entry->error, atomic_load(&conn->status.error));
    atomic_store(&entry->state, (uint8_t)state_of(conn));
}

struct statuspage_entry *status_attach(const struct conn *conn)
{
    struct statuspage_entry *entry = statusmem_take(), *other = NULL;
    if (!atomic_compare_exchange_strong(&status_entries[arena_slot_of(conn)], &other, entry)) {
        statusmem_give(entry);
        return other;
    }
    publish(conn, entry);
    publish_state(conn, entry);
    return entry;
}

void status_open(struct conn *conn)
{
    if (conn->status.opened_us == 0)
        conn->status.opened_us = net_now_ns() / 1000;
    struct statuspage_entry *left = atomic_exchange(&status_entries[arena_slot_of(conn)], NULL);
    if (left)
        statusmem_give(left);
    status_attach(conn);
}

/* Microseconds since the connection was opened, or since `later` such microseconds. At least 1. */
static uint32_t elapsed_us(const struct conn *conn, uint32_t later)
{
    const int64_t us = net_now_ns() / 1000 - conn->status.opened_us - later;
    return us < 1 ? 1 : us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

static const char *how_it_ended(const struct conn *conn)
{
    const int error = atomic_load(&conn->status.error);
    if (error)
        return log_error_text(error);
    switch (conn_phase(conn)) {
    case CONN_CONNECTING:
    case CONN_HANDSHAKE:
        return "closed during the handshake";
    case CONN_PEER_CLOSED:
        return "the peer had closed it";
    case CONN_GONE:
    case CONN_ESTABLISHED:
    case CONN_PLAINTEXT:
        break;
    }
    return "closed here first";
}

/* Other processes may go on with it: that is no end. */
static void log_end(const struct conn *conn, const struct statuspage_entry *entry)
{
    char text[DESCRIBE_TEXT];
    const bool shared = atomic_load(&conn->holders.count) > 1;
    const enum log_level level = shared ? LOG_DEBUG : LOG_INFO;
    const int64_t age_ms = net_now_ms() - conn->status.opened_us / 1000;
    if (!log_enabled(level))
        return;
    log_line(level, "%s: closed after %lld.%03d s, %llu bytes sent, %llu received: %s",
             describe_conn(conn, text), (long long)(age_ms / 1000), (int)(age_ms % 1000),
             (unsigned long long)entry->sent_bytes, (unsigned long long)entry->received_bytes,
             shared ? "another process has it too" : how_it_ended(conn));
}

void status_close(struct conn *conn)
{
    struct statuspage_entry *entry = atomic_exchange(&status_entries[arena_slot_of(conn)], NULL);
    if (!entry)
        return;
    if (!conn_is_connecting(conn))
        log_end(conn, entry);
    const uint64_t sent = entry->sent_bytes, received = entry->received_bytes;
    statusmem_count(STATUSPAGE_CLOSED_SENT, sent);
    statusmem_count(STATUSPAGE_CLOSED_RECEIVED, received);
    PROBE4(close, arena_slot_of(conn), sent, received, elapsed_us(conn, 0));
    statusmem_give(entry);
}

static void note_handshake(struct conn *conn)
{
    conn->handshake_us = elapsed_us(conn, conn->handshake_us);
    PROBE5(handshake, arena_slot_of(conn), !conn->status.connects, conn->session.suite, conn->session.group,
           conn->handshake_us);
    statusmem_count(conn->status.connects ? STATUSPAGE_HANDSHAKES_OUT : STATUSPAGE_HANDSHAKES_IN, 1);
}

void status_phase(struct conn *conn, enum conn_phase phase)
{
    if (phase == CONN_HANDSHAKE && conn->status.opened_us)
        conn->handshake_us = elapsed_us(conn, 0); /* TCP has connected */
    else if (phase == CONN_ESTABLISHED)
        note_handshake(conn);
    else if (phase == CONN_PLAINTEXT)
        statusmem_count(STATUSPAGE_PLAINTEXT_SERVED, 1);
    struct statuspage_entry *entry =
        status_entries ? atomic_load(&status_entries[arena_slot_of(conn)]) : NULL;
    if (!entry) /* not in this process's table yet, or a connection of a forked child's that it does not use
                 */
        return;
    if (phase != CONN_PEER_CLOSED)
        publish(conn, entry);
    publish_state(conn, entry);
}

static enum statuspage_failure failure_of(const struct conn *conn, int error, bool not_tls)
{
    const struct tls_session *session = &conn->session;
    switch (error) {
    case EKEYREJECTED:
        return STATUSPAGE_KEY_REJECTED;
    case EPROTO:
        return not_tls ? STATUSPAGE_PLAINTEXT_REFUSED : STATUSPAGE_PROTOCOL;
    case EBADMSG:
        return STATUSPAGE_RECORD_DAMAGED;
    case ETIMEDOUT:
        return STATUSPAGE_TIMEOUT;
    case ENOKEY:
        return STATUSPAGE_NO_KEY;
    case EKEYREVOKED:
        return STATUSPAGE_KEY_REMOVED;
    case ECONNRESET:
        if (session->alert_in != TLS_ALERT_NONE)
            return STATUSPAGE_PEER_ALERT;
        if (conn_is_established(conn))
            return STATUSPAGE_TRUNCATED;
        return session->role == TLS_SERVER && !session->heard && conn->rx.have == 0
                   ? STATUSPAGE_PROBED
                   : STATUSPAGE_HANDSHAKE_ENDED;
    default:
        return STATUSPAGE_INTERNAL;
    }
}

void status_failed(struct conn *conn, int error, bool not_tls)
{
    const enum statuspage_failure failure = failure_of(conn, error, not_tls);
    statusmem_count_failure(failure);
    PROBE3(failure, arena_slot_of(conn), error, failure);
    struct statuspage_entry *entry =
        status_entries ? atomic_load(&status_entries[arena_slot_of(conn)]) : NULL;
    if (!entry)
        return;
    publish(conn, entry);
    publish_state(conn, entry);
}

void status_after_fork(void)
{
    statusmem_after_fork();
}
