/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "record/handshake.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

#include "config/config.h"
#include "config/keyring.h"
#include "conn/describe.h"
#include "conn/error.h"
#include "conn/hold.h"
#include "conn/pending.h"
#include "crypto/deep.h"
#include "crypto/secret.h"
#include "diag/log.h"
#include "record/handshake_keys.h"
#include "record/handshake_timeout.h"
#include "record/plaintext.h"
#include "record/rx_low_water.h"
#include "record/sysio.h"
#include "record/tx_flush.h"
#include "record/txbuf.h"
#include "shm/scratch.h"
#include "sys/net.h"
#include "sys/ro_after_init.h"

enum {
    /* Room for records in rx.chunk. */
    COLLECT = CONN_RX_ROOM,
    /* System calls in one go: a peer must not keep the program in here. */
    ROUNDS = 8,
};

RO_AFTER_INIT void (*handshake_advanced)(const struct conn_handle *handle);

/* Queues what the engine has written to `out`, and the rest of a long ClientHello. False: no memory. */
static bool queue_flight(struct conn *conn, struct tls_session *session, struct tls_handshake *state,
                         struct tls_buffer *out)
{
    bool queued = txbuf_append(conn, out->data, out->len);
    for (out->len = 0; queued && tls_handshake_more(session, state, out); out->len = 0)
        queued = txbuf_append(conn, out->data, out->len);
    return queued;
}

/* What the engine works on: copies. Another process that shares the connection may
 * write to its memory at any moment. The engine checks what it counts with once, and then uses it. */
struct handshake_work {
    struct tls_session session;
    struct tls_key_pair pair;
    struct tls_handshake state;
    size_t used; /* so much of it was copied: tls_handshake_used() */
    uint8_t record[TLS_RECORD_MAX];
    size_t len; /* of the record */
};

_Static_assert(sizeof(struct handshake_work) <= SCRATCH_SIZE, "it fits a scratch buffer");

/* Copies the session, the state and a record; the locks are held that the caller of the engine needs. */
static void begin_work(struct handshake_work *work, const struct conn *conn, const uint8_t *record,
                       size_t len)
{
    work->session = conn->session;
    work->used = tls_handshake_copy(&work->state, conn_handshake(conn));
    work->len = len < sizeof work->record ? len : sizeof work->record;
    memcpy(work->record, record, work->len);
    if (work->session.role == TLS_CLIENT)
        work->pair = conn->pair;
}

/* Copies the state back, which may have been wiped. */
static void keep_state(struct handshake_work *work, struct conn *conn)
{
    const size_t used = tls_handshake_used(&work->state);
    if (work->used < used)
        work->used = used;
    memcpy(conn_handshake(conn), &work->state, work->used);
    if (work->session.role == TLS_CLIENT)
        conn->pair = work->pair;
}

static void wipe_work(struct handshake_work *work)
{
    secret_wipe(&work->session, sizeof work->session);
    secret_wipe(&work->pair, sizeof work->pair);
    secret_wipe(&work->state, work->used);
    secret_wipe(work->record, work->len);
}

/* Has the engine write a ClientHello, and queues it. 0 or -errno. */
static int offer(const struct conn_handle *handle, struct handshake_work *work)
{
    struct conn *conn = handle->conn;
    uint8_t bytes[TLS_FLIGHT_MAX];
    struct tls_buffer out = {.data = bytes, .cap = sizeof bytes};
    const struct keyring *keys = keyring_current();
    begin_work(work, conn, bytes, 0);
    int result =
        keys ? handshake_keys_offer(handle, keys, &work->session, &work->state, &work->pair, &out) : -ENOKEY;
    keyring_release(keys);
    if (result == 0 && !queue_flight(conn, &work->session, &work->state, &out))
        result = -ENOBUFS;
    conn->session = work->session;
    keep_state(work, conn);
    return result;
}

static int start_client(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    struct handshake_work *work = (struct handshake_work *)(void *)scratch_take();
    if (!work)
        return -ENOBUFS;
    const int result = offer(handle, work);
    wipe_work(work);
    scratch_give((uint8_t *)work);
    if (result == 0 && !conn_is_connecting(conn))
        tx_flush_locked(handle);
    return result;
}

int handshake_start(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    if (conn->session.role == TLS_CLIENT)
        return start_client(handle);
    tls_server_begin(&conn->session, conn_handshake(conn));
    return 0;
}

void handshake_hold(struct conn *conn)
{
    atomic_store(&conn->tx.holds_hello, 1);
}

/* TCP is connected: whether the connection is to be treated as if it were not, for a moment that begins with
 * the first call of this. */
static bool holds_hello(struct conn *conn)
{
    enum { HOLD_MS = 40 }; /* TCP_DELACK_MIN of the kernel */
    int64_t unset = INT64_MAX;
    if (!conn->tx.holds_hello)
        return false;
    atomic_compare_exchange_strong(&conn->status.deadline_ms, &unset, net_now_ms() + HOLD_MS);
    return net_now_ms() < conn->status.deadline_ms;
}

/* Whether TCP is connected: 1, 0 (not yet), or -errno (the attempt has failed). SO_ERROR is left for the
 * program to read. */
static int check_connected(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    struct pollfd polled = {.fd = handle->fd, .events = POLLOUT};
    if (!conn_is_connecting(conn))
        return 1;
    if (net_ppoll(&polled, 1, &(struct timespec){0}) <= 0)
        return 0;
    if (polled.revents & (POLLERR | POLLHUP | POLLNVAL))
        return -ENOTCONN;
    if (holds_hello(conn))
        return 0;
    handshake_unhold(conn);
    conn_connected(conn);
    return 1;
}

static void finish(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    arena_ref state = conn->handshake;
    tls_handshake_wipe(conn_handshake(conn));
    conn->handshake = 0;
    arena_chunk_give(conn, state);
    handshake_keys_note(conn);
    describe_learn_local(conn, handle->fd);
    conn_enter(conn, CONN_ESTABLISHED);
    handshake_keys_forget();
    if (conn->rx.attention & RX_LOW_WATER)
        rx_low_water_apply(handle);
    pending_settle(handle);
    if (log_enabled(LOG_INFO)) {
        const uint32_t took_us = conn->handshake_us;
        char text[96];
        snprintf(text, sizeof text, "sealed with %s and %s, handshake %u.%03u ms",
                 tls_suite_name(conn->session.suite), tls_group_name(conn->session.group), took_us / 1000,
                 took_us % 1000);
        error_note(handle, LOG_INFO, text);
    }
}

/* A record before sending keys are installed: both locks are held, and the engine may answer. */
static enum tls_result take_both(const struct conn_handle *handle, const struct tls_config *config,
                                 struct handshake_work *work)
{
    struct conn *conn = handle->conn;
    uint8_t bytes[TLS_FLIGHT_MAX];
    struct tls_buffer out = {.data = bytes, .cap = sizeof bytes};
    enum tls_result result =
        tls_handshake_record(&work->session, &work->state, config, work->record, work->len, &out);
    const bool answered = out.len > 0;
    if (!queue_flight(conn, &work->session, &work->state, &out))
        result = TLS_FAIL_INTERNAL;
    conn->session = work->session;
    keep_state(work, conn);
    if (answered && conn->tx.queue.total == 0)
        conn_tx_set(conn, TX_PUSH);
    else
        conn_tx_clear(conn, TX_PUSH);
    conn_set_can_send(conn, work->session.can_send);
    tx_flush_locked(handle);
    if (result != TLS_OK)
        error_from_tls(handle, &work->session, result);
    else if (work->session.complete)
        finish(handle);
    return result;
}

/*
 * A record for a server that has sending keys already. Its writer may be at work at this moment, or blocked
 * in a system call, so tx_lock is not taken. The engine gets a copy of the session without the sending half,
 * and an alert is sent by tx_flush_alert(), which takes tx_lock or does nothing. Otherwise two ciphertexts
 * might be made under one nonce, which would give both away.
 */
static enum tls_result take_receiving(const struct conn_handle *handle, const struct tls_config *config,
                                      struct handshake_work *work)
{
    struct conn *conn = handle->conn;
    struct tls_session *copy = &work->session;
    uint8_t bytes[TLS_FLIGHT_MAX];
    struct tls_buffer out = {.data = bytes, .cap = sizeof bytes};
    memset(&copy->tx, 0, sizeof copy->tx);
    enum tls_result result = tls_handshake_record(copy, &work->state, config, work->record, work->len, &out);
    enum tls_alert alert = (enum tls_alert)copy->alert_out;
    keep_state(work, conn);
    if (result == TLS_OK) {
        conn->session.rx = copy->rx;
        conn->session.rx_keys = copy->rx_keys;
        conn->session.heard = copy->heard;
        conn->session.ccs_window = copy->ccs_window;
        conn->session.skip_early = copy->skip_early;
        conn->session.state = copy->state;
        conn->session.complete = copy->complete;
        conn->session.message = copy->message;
        conn->session.alert_in = copy->alert_in;
        if (copy->complete)
            finish(handle);
    } else {
        tx_flush_alert(handle, alert);
        error_from_tls(handle, copy, result);
    }
    return result;
}

static enum tls_result take_with(const struct conn_handle *handle, struct handshake_work *work,
                                 const uint8_t *record, size_t len)
{
    struct conn *conn = handle->conn;
    const struct keyring *keys = keyring_current();
    if (!keys) {
        error_set(handle, ENOKEY, "there is no usable key");
        return TLS_FAIL_INTERNAL;
    }
    const struct handshake_keys scope = handshake_keys_of(conn, keys);
    struct tls_config config = handshake_keys_config(&scope, &work->pair);
    enum tls_result result = TLS_FAIL_INTERNAL;
    if (conn->tx.can_send) {
        begin_work(work, conn, record, len);
        result = take_receiving(handle, &config, work);
    } else if (hold_tx(handle, HOLD_WAIT) == HOLD_TAKEN) {
        begin_work(work, conn, record, len);
        result = take_both(handle, &config, work);
        tx_flush_release(handle);
    } else {
        error_set(handle, EIO, "the handshake was interrupted in the middle of a message");
    }
    keyring_release(keys);
    return result;
}

static enum tls_result take_record(const struct conn_handle *handle, const uint8_t *record, size_t len)
{
    struct handshake_work *work = (struct handshake_work *)(void *)scratch_take();
    if (!work) {
        error_set(handle, ENOBUFS, "no memory for the handshake");
        return TLS_FAIL_INTERNAL;
    }
    work->used = work->len = 0;
    enum tls_result result = take_with(handle, work, record, len);
    wipe_work(work);
    scratch_give((uint8_t *)work);
    return result;
}

/* Takes the whole records among the `have` bytes in rx.chunk. Gives how many bytes these are, or -1 on
 * failure. */
static long process(const struct conn_handle *handle, size_t have)
{
    struct conn *conn = handle->conn;
    uint8_t *data = conn_rx_data(conn);
    size_t used = 0, size;
    while (!conn_is_established(conn) && used < have) {
        enum tls_result result = tls_record_size(&conn->session, data + used, have - used, &size);
        if (result != TLS_OK) {
            tx_flush_alert(handle, (enum tls_alert)conn->session.alert_out);
            error_from_tls(handle, &conn->session, result);
            return -1;
        }
        if (size == 0 || size > have - used)
            break;
        if (take_record(handle, data + used, size) != TLS_OK)
            return -1;
        used += size;
    }
    return (long)used;
}

/* Before a server has answered, all that it receives is handshake. Later, and at a client, data may follow
 * the handshake, and must stay in the kernel. */
static bool only_handshake_can_come(const struct conn *conn)
{
    return conn->session.role == TLS_SERVER && !conn->tx.can_send && !config_get()->accept_plaintext;
}

/* Whether TCP has heard no end of the peer's direction. */
static bool peer_is_open(const struct conn_handle *handle)
{
    uint8_t state = TCP_CLOSE; /* the first byte of struct tcp_info */
    socklen_t len = sizeof state;
    return net_getsockopt(handle->fd, IPPROTO_TCP, TCP_INFO, &state, &len) == 0 &&
           (state == TCP_ESTABLISHED || state == TCP_FIN_WAIT1 || state == TCP_FIN_WAIT2);
}

/* recv(2) for the handshake. When the program has shut the reading side, the kernel says 0 where it has
 * nothing yet, as at the end: -EAGAIN then. */
static long receive(const struct conn_handle *handle, uint8_t *data, size_t len, int flags)
{
    const struct conn_status *status = &handle->conn->status;
    const bool was_shut = status->read_shut, open = was_shut && peer_is_open(handle);
    long got = net_recv(handle->fd, data, len, MSG_DONTWAIT | flags);
    return got == 0 && status->read_shut && (open || !was_shut) ? -EAGAIN : got;
}

/* The stream ended, or the kernel reported an error, before the handshake was complete. Gives -1. */
static int end_early(const struct conn_handle *handle, size_t have)
{
    const struct tls_session *session = &handle->conn->session;
    if (session->role == TLS_SERVER && !session->heard && have == 0)
        error_set_at(handle, LOG_INFO, ECONNRESET,
                     "the peer went away without sending anything, as who looks whether the port is open");
    else
        error_set(handle, ECONNRESET, "the connection ended during the handshake");
    return -1;
}

/* Receives once, and takes the whole records: 1 to go on; 0 when there is nothing more, or when the peer has
 * to answer first; -1 on failure. rx_lock held. */
static int advance(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    const bool could_send = conn->tx.can_send;
    if (!conn->rx.chunk && !(conn->rx.chunk = arena_chunk_take(conn))) {
        error_set(handle, ENOBUFS, "no memory for the handshake");
        return -1;
    }
    const bool peek = !only_handshake_can_come(conn);
    uint8_t *data = conn_rx_data(conn);
    const size_t before = conn_rx_have(conn);
    long got = receive(handle, data + before, COLLECT - before, peek ? MSG_PEEK : 0);
    if (got == -EAGAIN || got == -EINTR)
        return 0;
    if (got <= 0)
        return end_early(handle, before);
    if (plaintext_is_spoken(conn, data, (size_t)got)) {
        plaintext_begin(handle);
        return 0;
    }
    handshake_timeout_note_answer(conn);
    size_t have = before + (size_t)got;
    long used = process(handle, have);
    if (used < 0)
        return -1;
    bool over = conn_is_established(conn);
    size_t take = !over ? (size_t)got : (size_t)used > before ? (size_t)used - before : 0;
    const uint32_t left = over ? 0 : (uint32_t)(have - (size_t)used);
    if (peek)
        sysio_drop(handle->fd, take);
    conn->rx.have = left;
    memmove(data, data + used, left);
    if (left == 0) {
        arena_chunk_give(conn, conn->rx.chunk);
        conn->rx.chunk = 0;
    }
    return !over && could_send == conn->tx.can_send;
}

void handshake_after_fork(void)
{
    deep_after_fork();
}

/* How often messages were about to be taken, and have been. */
static _Atomic uint32_t moves_begun, moves_ended;

uint32_t handshake_mark(void)
{
    return atomic_load(&moves_ended);
}

bool handshake_moved_since(uint32_t mark)
{
    return atomic_load(&moves_begun) != mark;
}

int handshake_progress(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    if (conn_failed(conn))
        return -conn->status.error;
    if (conn_is_established(conn))
        return 0;
    int connected = check_connected(handle);
    if (connected <= 0)
        return connected;
    if (tx_flush(handle) == -EBUSY)
        return -EBUSY; /* its sender may have been stopped, and a record may need both locks */
    const bool could_send = conn->tx.can_send;
    const enum hold_result held = hold_rx(handle, HOLD_SOON);
    if (held == HOLD_BUSY)
        return -EBUSY;
    if (held == HOLD_FAILED)
        return -conn->status.error;
    if (held != HOLD_TAKEN)
        return 0;
    if (!conn_is_established(conn) && !conn_failed(conn)) {
        atomic_fetch_add(&moves_begun, 1);
        for (int round = 0; round < ROUNDS && !conn_failed(conn) && advance(handle) > 0; round++) {
        }
        atomic_fetch_add(&moves_ended, 1);
    }
    conn_release_rx(conn);
    if (handshake_advanced && (conn_is_established(conn) || conn->tx.can_send != could_send))
        handshake_advanced(handle);
    if (!conn_failed(conn))
        return 0;
    handshake_keys_forget();
    return -conn->status.error;
}
