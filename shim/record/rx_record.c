/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "record/rx_record.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "conn/error.h"
#include "conn/status.h"
#include "crypto/secret.h"
#include "diag/limit.h"
#include "record/tx_flush.h"
#include "sys/net.h"

enum {
    /* Smaller content is decrypted where it is, and copied to the program's memory. */
    DIRECT_FROM = 2048,
    /* Smaller content is copied to the queue's last chunk. Larger content keeps its own chunk. */
    COPY_BELOW = 4096,
};

bool rx_record_has_chunk(struct conn *conn)
{
    if (!conn->rx.chunk && !(conn->rx.chunk = arena_chunk_take(conn)))
        limit_line(LOG_ERROR, "a sealed connection cannot receive: no memory is left for its records");
    return conn->rx.chunk;
}

bool rx_record_keep(struct conn *conn, const uint8_t *data, size_t len)
{
    if (!rx_record_has_chunk(conn))
        return false;
    memcpy(conn_rx_data(conn), data, len);
    conn->rx.have = (uint32_t)len;
    return true;
}

struct rx_step rx_record_fail(const struct conn_handle *handle, enum tls_result result)
{
    tx_flush_alert(handle, (enum tls_alert)handle->conn->session.alert_out);
    error_from_tls(handle, &handle->conn->session, result);
    return rx_error(-handle->conn->status.error);
}

int rx_record_truncated(const struct conn_handle *handle)
{
    if (handle->conn->status.read_shut || conn_peer_closed(handle->conn))
        return 0;
    error_set(
        handle, ECONNRESET,
        "the stream ends without close_notify: the peer was ended by a signal, or the connection was cut");
    /* Another thread may have failed the connection first, and shut the socket down. */
    return -atomic_load(&handle->conn->status.error);
}

/* Acts on a record without data for the program. */
static struct rx_step act_on(const struct conn_handle *handle, enum tls_event event)
{
    struct conn *conn = handle->conn;
    switch (event) {
    case TLS_EVENT_CLOSE:
        conn_enter(conn, CONN_PEER_CLOSED);
        fdtable_shutdown(handle, SHUT_RD); /* from now on the kernel, too, reports readable, and the end */
        return rx_is(RX_END);
    case TLS_EVENT_KEY_UPDATE_ASKED:
        conn_tx_set(conn, TX_KEY_UPDATE);
        tx_flush_key_update(handle);
        break;
    case TLS_EVENT_DATA:
    case TLS_EVENT_NONE:
    case TLS_EVENT_KEY_UPDATE:
        break;
    }
    return rx_is(RX_OTHER);
}

/* Data has come. From a client it acknowledges the server's flight. From a server it may have been sent
 * before the client's Finished arrived there, and acknowledges nothing. */
static void acknowledges(struct conn *conn)
{
    if (conn->session.role == TLS_SERVER)
        conn_tx_clear(conn, TX_PUSH);
}

/* A server's first data has come. The client's Finished was an answer for TCP, which delays acknowledgements
 * from then on, and a server that writes its answer in two small parts would wait for one (Nagle's
 * algorithm). On plain TCP the first answer is acknowledged at once. */
static void acknowledge_first(const struct conn_handle *handle)
{
    struct conn *conn = handle->conn;
    const int on = 1;
    if (conn->rx.answered)
        return;
    conn->rx.answered = 1;
    if (conn->session.role == TLS_CLIENT && fdtable_current(handle))
        net_setsockopt(handle->fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
}

/* Adds a record's content, at `data` in rx.chunk, to the queue. False: no memory. */
static bool add_to_queue(struct conn *conn, uint8_t *data, size_t len)
{
    struct conn_rx *rx = &conn->rx;
    bool added = true;
    if (len < COPY_BELOW && rx->queue.first) {
        added = chunks_append(conn, &rx->queue, data, len, SIZE_MAX) == len;
        secret_wipe(data, len);
    } else {
        chunks_adopt(conn, &rx->queue, rx->chunk, TLS_RECORD_HEADER, (uint32_t)len);
        rx->chunk = 0;
    }
    atomic_store_explicit(&rx->readable, rx->queue.total, memory_order_release);
    return added;
}

/* Decrypts a record whose content goes to the program's memory: a large one straight there. (Of a padded
 * record, which ends one that the sender's kernel took in part, zeros remain there behind the content.) */
static enum tls_result decrypt_to_memory(struct tls_session *session, uint8_t *record, size_t size,
                                         struct iov_cursor *memory, size_t *len, enum tls_event *event)
{
    size_t here = 0, most = size < TLS_SEAL_OVERHEAD ? 0 : size - TLS_SEAL_OVERHEAD;
    uint8_t *in_place = record + TLS_RECORD_HEADER;
    uint8_t *to = most < DIRECT_FROM ? NULL : iov_cursor_piece(memory, &here);
    if (to && here >= most) {
        enum tls_result result = tls_session_open(session, record, size, to, len, event);
        if (result == TLS_OK && *event == TLS_EVENT_DATA)
            iov_cursor_advance(memory, *len);
        return result;
    }
    enum tls_result result = tls_session_open(session, record, size, in_place, len, event);
    if (result == TLS_OK && *event == TLS_EVENT_DATA)
        iov_cursor_scatter(memory, in_place, *len);
    if (result == TLS_OK)
        secret_wipe(in_place, *len); /* the buffer outlives the call */
    return result;
}

struct rx_step rx_record_take(const struct conn_handle *handle, uint8_t *record, size_t size,
                              struct iov_cursor *memory)
{
    struct conn *conn = handle->conn;
    enum tls_event event = TLS_EVENT_NONE;
    size_t len = 0;
    uint8_t *queued = memory ? NULL : conn_rx_data(conn) + TLS_RECORD_HEADER;
    enum tls_result result = memory ? decrypt_to_memory(&conn->session, record, size, memory, &len, &event)
                                    : tls_session_open(&conn->session, record, size, queued, &len, &event);
    if (result != TLS_OK)
        return rx_record_fail(handle, result);
    conn->rx.bulk = event == TLS_EVENT_DATA && len == TLS_PLAINTEXT_MAX;
    if (event != TLS_EVENT_DATA || len == 0)
        return act_on(handle, event);
    status_received(conn, handle->slot, len);
    if (!memory && !add_to_queue(conn, queued, len)) {
        error_set(handle, ENOBUFS, "no memory for received data");
        return rx_error(-ENOBUFS);
    }
    acknowledges(conn);
    acknowledge_first(handle);
    return rx_is(RX_DATA);
}

struct rx_step rx_record_take_all(const struct conn_handle *handle, uint8_t *data, size_t len,
                                  struct iov_cursor *memory, size_t *used)
{
    struct conn *conn = handle->conn;
    struct rx_step step = rx_is(RX_OTHER);
    size_t size;
    for (*used = 0; *used < len; *used += size) {
        if (tls_record_size(&conn->session, data + *used, len - *used, &size) != TLS_OK || size == 0 ||
            size > len - *used)
            break;
        if (!memory && !rx_record_has_chunk(conn))
            return rx_error(-ENOBUFS);
        step = rx_record_take(handle, data + *used, size, memory);
        if (step.kind == RX_ERROR)
            return step;
        if (!memory) { /* the bytes were peeked at, and are still in the kernel */
            conn->rx.decrypted += (uint32_t)size;
            conn->rx.byte_is_next = 0;
        }
        if (step.kind == RX_END) {
            *used += size;
            break;
        }
    }
    return step;
}
