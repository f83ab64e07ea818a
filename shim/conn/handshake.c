/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "conn/handshake.h"

#include <string.h>

#include "config/config.h"
#include "config/keyring.h"
#include "conn/drive.h"
#include "conn/failure.h"
#include "conn/open.h"
#include "conn/outbox.h"
#include "conn/reach.h"
#include "crypto/secret.h"
#include "diag/keylog.h"
#include "diag/log.h"
#include "sys/net.h"

enum {
    COLLECT = ARENA_CHUNK_SIZE - (int)sizeof(struct conn_piece), /* room for records in rx_chunk */
    ROUNDS = 8,    /* with the kernel in one go: a peer must not keep the program in here */
    SLICE_MS = 10, /* another thread may finish what this one waits for; so it looks again */
};

static struct tls_handshake *state_of(const struct conn *conn)
{
    return (struct tls_handshake *)(void *)arena_chunk(conn->handshake);
}

static struct tls_config engine_config(const struct keyring *keys)
{
    const struct config *config = config_get();
    return (struct tls_config){
        .psks = keys->psks,
        .psk_count = keys->count,
        .memos = keys->memos,
        .memo_count = keys->memo_count,
        .suites = config->suites,
        .suite_count = config->suite_count,
        .keylog = config->keylog_file ? keylog_write : NULL,
    };
}

static int start_client(const struct sealed *sealed)
{
    struct conn *conn = sealed->conn;
    uint8_t bytes[TLS_FLIGHT_MAX];
    struct tls_buffer out = {.data = bytes, .cap = sizeof bytes};
    const struct keyring *keys = keyring_current();
    if (!keys)
        return -ENOKEY;
    struct tls_config config = engine_config(keys);
    enum tls_result result = tls_client_begin(&conn->session, state_of(conn), &config, &out);
    /* For log lines until the server has chosen one. */
    conn->session.identity_len = (uint8_t)keys->psks[0].identity_len;
    memcpy(conn->session.identity, keys->psks[0].identity, conn->session.identity_len);
    keyring_release(keys);
    if (result != TLS_OK) {
        failure_from(sealed, &conn->session, result);
        return -conn->error;
    }
    if (!outbox_append(conn, bytes, out.len))
        return -ENOBUFS;
    if (!conn->connecting)
        outbox_flush_held(sealed);
    return 0;
}

int handshake_start(const struct sealed *sealed)
{
    struct conn *conn = sealed->conn;
    if (conn->session.role == TLS_CLIENT)
        return start_client(sealed);
    tls_server_begin(&conn->session, state_of(conn));
    return 0;
}

/* 1: connected, 0: not yet, -errno: the connection could not be made. SO_ERROR is left for the program to
 * read. */
static int look_connected(const struct sealed *sealed)
{
    struct conn *conn = sealed->conn;
    struct pollfd look = {.fd = sealed->fd, .events = POLLOUT};
    if (!conn->connecting)
        return 1;
    if (net_ppoll(&look, 1, &(struct timespec){0}) <= 0)
        return 0;
    if (look.revents & (POLLERR | POLLHUP | POLLNVAL))
        return -ENOTCONN;
    conn->deadline_ms = net_now_ms() + config_get()->handshake_timeout_ms;
    conn->connecting = 0;
    return 1;
}

static void finish(const struct sealed *sealed)
{
    struct conn *conn = sealed->conn;
    arena_ref state = conn->handshake;
    tls_handshake_wipe(state_of(conn));
    conn->handshake = 0;
    arena_chunk_give(state);
    conn->established = 1;
    drive_settle(sealed);
    if (log_enabled(LOG_INFO)) {
        char text[80] = "sealed with ";
        open_name_local(sealed);
        strncat(text, tls_suite_name(conn->session.suite), sizeof text - 16);
        failure_note(conn, LOG_INFO, text);
    }
}

/* A record before we can send: both roles are ours, and the engine may answer. */
static enum tls_result take_both(const struct sealed *sealed, const struct tls_config *config,
                                 uint8_t *record, size_t len)
{
    struct conn *conn = sealed->conn;
    uint8_t bytes[TLS_FLIGHT_MAX];
    struct tls_buffer out = {.data = bytes, .cap = sizeof bytes};
    enum tls_result result = tls_handshake_record(&conn->session, state_of(conn), config, record, len, &out);
    if (out.len > 0 && !outbox_append(conn, bytes, out.len))
        result = TLS_FAIL_INTERNAL;
    conn->flight_alone = out.len > 0 && conn->queue.total == 0;
    conn->can_send = conn->session.can_send;
    outbox_flush_held(sealed);
    if (result != TLS_OK)
        failure_from(sealed, &conn->session, result);
    else if (conn->session.complete)
        finish(sealed);
    return result;
}

/*
 * A record for a server that can send already, and whose writer may be at work at this moment, or parked in
 * the kernel. The engine gets a copy of the session without the sending half, and any alert is sent by
 * outbox_alert(), which keeps away from a writer: two ciphertexts under one nonce would be the end of the
 * seal.
 */
static enum tls_result take_receiving(const struct sealed *sealed, const struct tls_config *config,
                                      uint8_t *record, size_t len)
{
    struct conn *conn = sealed->conn;
    struct tls_session copy;
    uint8_t bytes[TLS_FLIGHT_MAX];
    struct tls_buffer out = {.data = bytes, .cap = sizeof bytes};
    memcpy(&copy, &conn->session, sizeof copy);
    memset(&copy.tx, 0, sizeof copy.tx);
    enum tls_result result = tls_handshake_record(&copy, state_of(conn), config, record, len, &out);
    enum tls_alert alert = (enum tls_alert)copy.alert_out;
    if (result == TLS_OK) {
        conn->session.rx = copy.rx;
        conn->session.rx_keys = copy.rx_keys;
        conn->session.heard = copy.heard;
        conn->session.ccs_window = copy.ccs_window;
        conn->session.skip_early = copy.skip_early;
        conn->session.state = copy.state;
        conn->session.complete = copy.complete;
        conn->session.message = copy.message;
        conn->session.alert_in = copy.alert_in;
        if (copy.complete)
            finish(sealed);
    } else {
        outbox_alert(sealed, alert);
        failure_from(sealed, &copy, result);
    }
    secret_wipe(&copy, sizeof copy);
    return result;
}

static enum tls_result take_record(const struct sealed *sealed, uint8_t *record, size_t len)
{
    struct conn *conn = sealed->conn;
    const struct keyring *keys = keyring_current();
    if (!keys) {
        failure_set(sealed, ENOKEY, "there is no usable key");
        return TLS_FAIL_INTERNAL;
    }
    struct tls_config config = engine_config(keys);
    enum tls_result result = TLS_FAIL_INTERNAL;
    if (conn->can_send) {
        result = take_receiving(sealed, &config, record, len);
    } else if (outbox_take(sealed)) {
        result = take_both(sealed, &config, record, len);
        outbox_release(sealed);
    } else {
        failure_set(sealed, EIO, "the handshake was interrupted in the middle of a message");
    }
    keyring_release(keys);
    return result;
}

/* Processes whole records among the `have` bytes in rx_chunk; gives how many bytes were used, or -1 on
 * failure. */
static long process(const struct sealed *sealed, size_t have)
{
    struct conn *conn = sealed->conn;
    uint8_t *data = conn_rx_data(conn);
    size_t used = 0, size;
    while (!conn->established && used < have) {
        enum tls_result result = tls_record_size(&conn->session, data + used, have - used, &size);
        if (result != TLS_OK) {
            outbox_alert(sealed, (enum tls_alert)conn->session.alert_out);
            failure_from(sealed, &conn->session, result);
            return -1;
        }
        if (size == 0 || size > have - used)
            break;
        if (take_record(sealed, data + used, size) != TLS_OK)
            return -1;
        used += size;
    }
    return (long)used;
}

/* Whether a peer that does not seal is to be served, and this is one: its first byte does not start a TLS
 * handshake. */
static bool speaks_plaintext(const struct conn *conn, const uint8_t *data, size_t have)
{
    return config_get()->accept_plaintext && conn->session.role == TLS_SERVER && !conn->session.heard &&
           have > 0 && data[0] != 22;
}

static void become_plaintext(const struct sealed *sealed)
{
    struct conn *conn = sealed->conn;
    failure_note(conn, LOG_WARN,
                 "the peer does not seal, and SOCKSEAL_PLAINTEXT=accept serves it in the clear");
    arena_chunk_give(conn->rx_chunk);
    conn->rx_chunk = 0;
    conn->rx_have = 0;
    conn->plaintext = 1;
    conn->established = 1;
    drive_settle(sealed);
}

/* All that a server gets before it has answered is handshake; later, and at a client, data may follow the
 * handshake, which must stay in the kernel. */
static bool only_handshake_can_come(const struct conn *conn)
{
    return conn->session.role == TLS_SERVER && !conn->can_send && !config_get()->accept_plaintext;
}

/* One round with the kernel: 1 to go on, 0 when there is nothing more, or the peer has to answer first, -1 on
 * failure. Role rx held. */
static int advance(const struct sealed *sealed)
{
    struct conn *conn = sealed->conn;
    const bool could_send = conn->can_send;
    if (!conn->rx_chunk && !(conn->rx_chunk = arena_chunk_take())) {
        failure_set(sealed, ENOBUFS, "no memory for the handshake");
        return -1;
    }
    const bool peek = !only_handshake_can_come(conn);
    uint8_t *data = conn_rx_data(conn);
    const uint32_t before = conn->rx_have;
    long got = net_recv(sealed->fd, data + before, COLLECT - before, MSG_DONTWAIT | (peek ? MSG_PEEK : 0));
    if (got == -EAGAIN || got == -EINTR)
        return 0;
    if (got <= 0) {
        failure_set(sealed, ECONNRESET, "the connection ended during the handshake");
        return -1;
    }
    if (speaks_plaintext(conn, data, (size_t)got)) {
        become_plaintext(sealed);
        return 0;
    }
    size_t have = before + (size_t)got;
    long used = process(sealed, have);
    if (used < 0)
        return -1;
    bool over = conn->established;
    size_t take = over ? (size_t)used - before : (size_t)got;
    if (peek)
        net_recv(sealed->fd, NULL, take, MSG_TRUNC | MSG_DONTWAIT);
    conn->rx_have = over ? 0 : (uint32_t)(have - (size_t)used);
    memmove(data, data + used, conn->rx_have);
    if (conn->rx_have == 0) {
        arena_chunk_give(conn->rx_chunk);
        conn->rx_chunk = 0;
    }
    return !over && could_send == conn->can_send;
}

int handshake_progress(const struct sealed *sealed)
{
    struct conn *conn = sealed->conn;
    if (conn_failed(conn))
        return -conn->error;
    if (conn->established)
        return 0;
    int connected = look_connected(sealed);
    if (connected <= 0)
        return connected;
    if (outbox_flush(sealed) == -EBUSY)
        return -EBUSY; /* its sender may have been stopped, and what comes may need both roles */
    const bool could_send = conn->can_send;
    enum role_result taken;
    if (!role_take_soon(&conn->rx, &taken))
        return -EBUSY;
    if (taken == ROLE_PARKED || taken == ROLE_REENTERED)
        return 0;
    if (!reach_rx(sealed))
        return -conn->error;
    if (registry_current(sealed) && !conn->established && !conn_failed(conn)) {
        if (taken == ROLE_ABANDONED)
            failure_set(sealed, EIO, "a process died in the middle of the handshake");
        for (int round = 0; round < ROUNDS && !conn_failed(conn) && advance(sealed) > 0; round++) {
        }
    }
    conn_release(conn, &conn->rx);
    if (conn->established || conn->can_send != could_send)
        drive_review(sealed);
    return conn_failed(conn) ? -conn->error : 0;
}

static bool expired(const struct conn *conn)
{
    return !conn->established && !conn->connecting && !conn_failed(conn) && net_now_ms() >= conn->deadline_ms;
}

void handshake_expire(const struct sealed *sealed)
{
    struct conn *conn = sealed->conn;
    if (!expired(conn) || !role_try(&conn->rx) || !reach_rx(sealed))
        return;
    if (registry_current(sealed) && expired(conn)) {
        if (config_get()->accept_plaintext && conn->session.role == TLS_SERVER && !conn->session.heard &&
            conn->rx_have == 0)
            become_plaintext(sealed); /* a client that waits for a server that speaks first */
        else
            failure_set(sealed, ETIMEDOUT, "the peer did not finish the handshake in time");
    }
    if (registry_current(sealed) && conn_failed(conn) && role_try(&conn->tx)) {
        tls_session_fail(&conn->session, TLS_FAIL_INTERNAL); /* its secrets are of no use any more */
        if (conn->handshake)
            tls_handshake_wipe(state_of(conn));
        conn_release(conn, &conn->tx);
    }
    conn_release(conn, &conn->rx);
}

int handshake_wait(const struct sealed *sealed, bool sending, int64_t until_ms)
{
    struct conn *conn = sealed->conn;
    for (;;) {
        handshake_expire(sealed);
        if (conn_failed(conn))
            return -conn->error;
        if (conn->established || (sending && conn->can_send))
            return 1;
        int64_t now = net_now_ms(), slice = now + SLICE_MS;
        if (now >= until_ms)
            return 0;
        short events = conn->cipher_left ? POLLIN | POLLOUT : POLLIN;
        if (conn->connecting)
            events = POLLOUT;
        int ready = drive_wait_for(sealed->fd, events, slice < until_ms ? slice : until_ms);
        if (ready == -EINTR)
            return -EINTR;
        int result = handshake_progress(sealed);
        if (result < 0 && result != -EBUSY)
            return result;
    }
}
