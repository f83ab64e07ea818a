/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "io/rx_fetch.h"

#include <errno.h>
#include <string.h>

#include "record/rx_queue.h"
#include "record/sysio.h"
#include "shm/scratch.h"

enum {
    DIRECT_FROM = 2048, /* smaller content is opened aside and copied */
    MARKER_MAX = 2048,  /* a marker up to this size is taken along with what follows it */
};

struct rx_fetch rx_fetch_of(const struct conn_handle *handle, const struct iovec *iov, size_t count,
                            size_t len, int flags)
{
    size_t low = (size_t)handle->conn->low_water, need = flags & MSG_WAITALL ? len : low > 1 ? low : 1;
    return (struct rx_fetch){.handle = handle,
                             .next = iov,
                             .pieces = count,
                             .left = len,
                             .need = need < len ? need : len,
                             .flags = flags};
}

uint8_t *rx_fetch_room(struct rx_fetch *fetch, size_t *len)
{
    for (; fetch->here == 0 && fetch->pieces > 0; fetch->pieces--) {
        fetch->to = fetch->next->iov_base;
        fetch->here = fetch->next->iov_len;
        fetch->next++;
    }
    *len = fetch->here;
    return fetch->to;
}

void rx_fetch_moved(struct rx_fetch *fetch, size_t len)
{
    fetch->to += len;
    fetch->here -= len;
    fetch->left -= len;
    fetch->done += len;
}

static void put(struct rx_fetch *fetch, const uint8_t *data, size_t len)
{
    while (len > 0) {
        size_t here;
        uint8_t *to = rx_fetch_room(fetch, &here);
        if (here > len)
            here = len;
        memcpy(to, data, here);
        rx_fetch_moved(fetch, here);
        data += here;
        len -= here;
    }
}

/* Hands out what stands in the inbox. Once that is empty, its marker is to be taken out of the kernel: by
 * rx_queue_settle(), or with what follows it, by receive_into(). */
static void serve_inbox(struct rx_fetch *fetch)
{
    struct conn *conn = fetch->handle->conn;
    size_t len;
    while (fetch->left > 0 && conn->inbox.total > 0) {
        const uint8_t *data = chunks_head(&conn->inbox, &len);
        if (len > fetch->left)
            len = fetch->left;
        put(fetch, data, len);
        chunks_drop(&conn->inbox, len);
    }
    atomic_store_explicit(&conn->readable, conn->inbox.total, memory_order_release);
}

/* Opens a record straight into the program's memory. The content type behind the content is written there for
 * a moment: the byte is put back, since a program may count on memory that a read did not fill. (Of a padded
 * record this size, which ends one that the kernel took in part, zeros stay there.) */
static enum tls_result open_direct(struct tls_session *session, uint8_t *record, size_t size, uint8_t *to,
                                   size_t inner, size_t *len, enum tls_event *event)
{
    uint8_t behind = to[inner - 1];
    enum tls_result result = tls_session_open(session, record, size, to, len, event);
    to[inner - 1] = behind;
    return result;
}

/* Opens one whole record; what it holds fits what is left, by the way the bytes were asked for. */
static int open_record(struct rx_fetch *fetch, uint8_t *record, size_t size)
{
    struct conn *conn = fetch->handle->conn;
    struct tls_session *session = &conn->session;
    const size_t overhead = tls_session_overhead(session);
    size_t here = 0, len = 0, inner = size < overhead ? 0 : size - overhead + 1;
    enum tls_event event = TLS_EVENT_NONE;
    uint8_t *in_place = record + TLS_RECORD_HEADER;
    uint8_t *to = inner < DIRECT_FROM ? NULL : rx_fetch_room(fetch, &here);
    bool direct = to && here >= inner;
    enum tls_result result = direct ? open_direct(session, record, size, to, inner, &len, &event)
                                    : tls_session_open(session, record, size, in_place, &len, &event);
    if (result != TLS_OK)
        return rx_queue_fail(fetch->handle, result);
    conn->bulk = event == TLS_EVENT_DATA && len == TLS_PLAINTEXT_MAX;
    if (event != TLS_EVENT_DATA)
        return rx_queue_event(fetch->handle, event);
    if (direct)
        rx_fetch_moved(fetch, len);
    else
        put(fetch, in_place, len);
    rx_queue_acknowledges(conn);
    return RX_DATA;
}

/* Keeps the start of a record that is not whole yet. */
static int keep_part(struct conn *conn, const uint8_t *data, size_t len)
{
    if (!conn->rx_chunk && !(conn->rx_chunk = arena_chunk_take()))
        return -ENOBUFS;
    memcpy(conn_rx_data(conn), data, len);
    conn->rx_have = (uint32_t)len;
    return 0;
}

/* Opens the records in a buffer and keeps the rest. */
static int open_records(struct rx_fetch *fetch, uint8_t *data, size_t len)
{
    struct conn *conn = fetch->handle->conn;
    size_t at = 0, size;
    while (at < len) {
        enum tls_result result = tls_record_size(&conn->session, data + at, len - at, &size);
        if (result != TLS_OK)
            return rx_queue_fail(fetch->handle, result);
        if (size == 0 || size > len - at)
            return keep_part(conn, data + at, len - at);
        int what = open_record(fetch, data + at, size);
        if (what < 0 || what == RX_END) /* RFC 8446, 6.1: what follows a close_notify is ignored */
            return what < 0 ? what : 0;
        at += size;
    }
    return 0;
}

static int reached_end(struct rx_fetch *fetch)
{
    fetch->at_end = true;
    return rx_queue_truncated(fetch->handle);
}

/* As much ciphertext as certainly fits, opened, `room` bytes: whole records in it are either fewer than fill
 * these, at the most that one holds (RFC 8446, 5.1), or they bring all the overhead that is added here. */
static size_t cipher_for(size_t room, size_t overhead)
{
    return room + (room + TLS_PLAINTEXT_MAX - 1) / TLS_PLAINTEXT_MAX * overhead;
}

/*
 * One call of the kernel, for at most as much ciphertext as certainly fits, opened, the memory that is left:
 * `whole` is the size of the record begun in rx_chunk (0: none begun), its content fits. The first part
 * completes that record in its chunk, the second takes further ones in `buffer`, behind a marker that may
 * still stand before them. -errno, or 0; reading->drained tells whether the kernel had less than we asked.
 */
static int receive_into(struct rx_fetch *fetch, size_t whole, uint8_t *buffer, size_t cap, int flags)
{
    struct conn *conn = fetch->handle->conn;
    const size_t overhead = tls_session_overhead(&conn->session);
    size_t first = whole ? whole - conn->rx_have : 0, more = fetch->left;
    if (whole)
        more -= whole - overhead;
    size_t marker = conn->decrypted, second = marker + cipher_for(more, overhead);
    if (second > cap)
        second = cap;
    struct iovec iov[2] = {{whole ? conn_rx_data(conn) + conn->rx_have : NULL, first}, {buffer, second}};
    struct msghdr message = {.msg_iov = whole ? iov : iov + 1, .msg_iovlen = whole && second ? 2 : 1};
    ssize_t got = sysio_recvmsg(fetch->handle, &message, flags);
    if (got < 0)
        return (int)got;
    if (got == 0)
        return reached_end(fetch);
    fetch->drained = (size_t)got < first + second;
    size_t used = (size_t)got < first ? (size_t)got : first;
    conn->rx_have += (uint32_t)used;
    if (used < first)
        return 0;
    if (marker > (size_t)got - used)
        marker = (size_t)got - used;
    conn->decrypted -= (uint32_t)marker;
    if (whole) {
        conn->rx_have = 0;
        int what = open_record(fetch, conn_rx_data(conn), whole);
        if (what < 0 || what == RX_END)
            return what < 0 ? what : 0;
    }
    return open_records(fetch, buffer + marker, (size_t)got - used - marker);
}

static void give_back(uint8_t **buffer)
{
    scratch_give(*buffer);
}

static int receive_large(struct rx_fetch *fetch, size_t whole, int flags)
{
    uint8_t *buffer __attribute__((cleanup(give_back))) = scratch_take();
    return buffer ? receive_into(fetch, whole, buffer, SCRATCH_SIZE, flags) : -ENOBUFS;
}

static int receive_small(struct rx_fetch *fetch, size_t whole, int flags)
{
    uint8_t buffer[MARKER_MAX + SCRATCH_SMALL + TLS_SEAL_OVERHEAD_MAX];
    return receive_into(fetch, whole, buffer, sizeof buffer, flags);
}

/* The header of a record is not whole: the few bytes of it are put in front again. */
static int complete_header(struct rx_fetch *fetch, int flags)
{
    struct conn *conn = fetch->handle->conn;
    ssize_t got = sysio_recv(fetch->handle, conn_rx_data(conn) + conn->rx_have,
                             TLS_RECORD_HEADER - conn->rx_have, flags);
    if (got < 0)
        return (int)got;
    if (got == 0)
        return reached_end(fetch);
    conn->rx_have += (uint32_t)got;
    return 0;
}

/* One step towards more data: 0, -errno. */
static int fetch_once(struct rx_fetch *fetch, int flags)
{
    struct conn *conn = fetch->handle->conn;
    size_t whole = 0;
    flags &= ~(MSG_WAITALL | MSG_PEEK | MSG_TRUNC);
    if (conn->decrypted > MARKER_MAX || conn->rx_have > 0 || conn->partial_marks || !(flags & MSG_DONTWAIT))
        rx_queue_settle(fetch->handle);
    if (conn->rx_have > 0) {
        if (conn->rx_have < TLS_RECORD_HEADER)
            return complete_header(fetch, flags);
        if (tls_record_size(&conn->session, conn_rx_data(conn), TLS_RECORD_HEADER, &whole) != TLS_OK)
            return rx_queue_fail(fetch->handle, TLS_FAIL_PROTOCOL);
        size_t overhead = tls_session_overhead(&conn->session);
        if (whole < overhead || whole - overhead > fetch->left) {
            int what = rx_queue_fill(fetch->handle, flags);
            return what == RX_TRUNCATED ? reached_end(fetch) : what < 0 ? what : 0;
        }
    }
    int result = fetch->left <= SCRATCH_SMALL ? receive_small(fetch, whole, flags)
                                              : receive_large(fetch, whole, flags);
    rx_queue_free_idle_chunk(conn);
    return result;
}

static bool over(const struct rx_fetch *fetch)
{
    const struct conn *conn = fetch->handle->conn;
    return fetch->left == 0 || conn->ended || fetch->at_end || conn_failed(conn) ||
           (fetch->drained && fetch->done >= fetch->need);
}

/* After a fetch, whose result this is: whether another is needed. If not, *result is that of all: 0 or
 * -errno.
 */
static bool goes_on(struct rx_fetch *fetch, int *result)
{
    struct conn *conn = fetch->handle->conn;
    if (*result == -ESTALE)
        return false;
    if (conn->inbox.total > 0)
        serve_inbox(fetch);
    if (*result == 0 && !fdtable_current(fetch->handle)) { /* closed by another thread meanwhile */
        *result = fetch->at_end || conn->ended ? 0 : -EBADF;
        return false;
    }
    if (*result < 0)
        return false;
    if (fetch->done < fetch->need)
        fetch->drained = false;
    if (fetch->done == 0 && ++fetch->empty % RX_EMPTY_MAX == 0 &&
        !sysio_may_block(fetch->handle->fd, fetch->flags)) {
        *result = -EAGAIN;
        return false;
    }
    return !over(fetch);
}

static int fetch_all(struct rx_fetch *fetch)
{
    int result;
    do {
        bool enough = fetch->done >= fetch->need;
        result = fetch_once(fetch, fetch->flags | (enough ? MSG_DONTWAIT : 0));
    } while (goes_on(fetch, &result));
    return result;
}

/* What the program is told. */
static ssize_t outcome(struct rx_fetch *fetch, int result)
{
    struct conn *conn = fetch->handle->conn;
    if (result == -ESTALE)
        return -ESTALE;
    rx_queue_settle(fetch->handle);
    if (fetch->done > 0)
        rx_queue_save_so_error(conn, result);
    if (fetch->done > 0 || result == 0)
        return conn_failed(conn) && fetch->done == 0 ? -conn->error : (ssize_t)fetch->done;
    return result;
}

ssize_t rx_fetch_run(struct rx_fetch *fetch)
{
    struct conn *conn = fetch->handle->conn;
    if (conn->inbox.total > 0)
        serve_inbox(fetch);
    int kept = fetch->done == 0 ? rx_queue_take_so_error(conn) : 0;
    return kept < 0 ? kept : outcome(fetch, over(fetch) ? 0 : fetch_all(fetch));
}

/* `buffer` has `cap` bytes for the ciphertext. */
static inline ssize_t read_once(const struct conn_handle *handle, void *to, size_t len, int flags,
                                uint8_t *buffer, size_t cap)
{
    struct conn *conn = handle->conn;
    size_t ask = cipher_for(len, tls_session_overhead(&conn->session));
    if (ask > cap)
        ask = cap;
    ssize_t got = sysio_recv(handle, buffer, ask, flags);
    if (got == -ESTALE)
        return -ESTALE;
    struct rx_fetch fetch = {.handle = handle, .to = to, .here = len, .left = len, .need = 1, .flags = flags};
    int result = (int)got;
    if (got > 0) {
        fetch.drained = (size_t)got < ask;
        result = open_records(&fetch, buffer, (size_t)got);
        if (result == 0 && fetch.done > 0 && (fetch.drained || fetch.left == 0) && !conn->rx_chunk)
            return (ssize_t)fetch.done;
        rx_queue_free_idle_chunk(conn);
    } else if (got == 0) {
        result = reached_end(&fetch);
    }
    return outcome(&fetch, goes_on(&fetch, &result) ? fetch_all(&fetch) : result);
}

ssize_t rx_fetch_once(const struct conn_handle *handle, void *to, size_t len, int flags)
{
    if (len <= SCRATCH_SMALL) {
        uint8_t small[SCRATCH_SMALL + TLS_SEAL_OVERHEAD_MAX];
        return read_once(handle, to, len, flags, small, sizeof small);
    }
    uint8_t *buffer __attribute__((cleanup(give_back))) = scratch_take();
    return buffer ? read_once(handle, to, len, flags, buffer, SCRATCH_SIZE) : -ENOBUFS;
}
