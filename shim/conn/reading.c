/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "conn/reading.h"

#include <errno.h>
#include <string.h>

#include "conn/blocking.h"
#include "conn/inbox.h"
#include "conn/scratch.h"

enum {
    DIRECT_FROM = 2048, /* smaller content is opened aside and copied */
    MARKER_MAX = 2048,  /* a marker up to this size is taken along with what follows it */
};

struct reading reading_of(const struct sealed *sealed, const struct iovec *iov, size_t count, size_t len,
                          int flags)
{
    size_t low = (size_t)sealed->conn->low_water, need = flags & MSG_WAITALL ? len : low > 1 ? low : 1;
    return (struct reading){.sealed = sealed,
                            .next = iov,
                            .pieces = count,
                            .left = len,
                            .need = need < len ? need : len,
                            .flags = flags};
}

uint8_t *reading_room(struct reading *reading, size_t *len)
{
    for (; reading->here == 0 && reading->pieces > 0; reading->pieces--) {
        reading->to = reading->next->iov_base;
        reading->here = reading->next->iov_len;
        reading->next++;
    }
    *len = reading->here;
    return reading->to;
}

void reading_moved(struct reading *reading, size_t len)
{
    reading->to += len;
    reading->here -= len;
    reading->left -= len;
    reading->done += len;
}

static void put(struct reading *reading, const uint8_t *data, size_t len)
{
    while (len > 0) {
        size_t here;
        uint8_t *to = reading_room(reading, &here);
        if (here > len)
            here = len;
        memcpy(to, data, here);
        reading_moved(reading, here);
        data += here;
        len -= here;
    }
}

/* Hands out what stands in the inbox. Once that is empty, its marker is to be taken out of the kernel: by
 * inbox_settle(), or with what follows it, by receive_into(). */
static void serve_inbox(struct reading *reading)
{
    struct conn *conn = reading->sealed->conn;
    size_t len;
    while (reading->left > 0 && conn->inbox.total > 0) {
        const uint8_t *data = conn_bytes_head(&conn->inbox, &len);
        if (len > reading->left)
            len = reading->left;
        put(reading, data, len);
        conn_bytes_drop(&conn->inbox, len);
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
static int open_record(struct reading *reading, uint8_t *record, size_t size)
{
    struct conn *conn = reading->sealed->conn;
    struct tls_session *session = &conn->session;
    const size_t overhead = tls_session_overhead(session);
    size_t here = 0, len = 0, inner = size < overhead ? 0 : size - overhead + 1;
    enum tls_event event = TLS_EVENT_NONE;
    uint8_t *in_place = record + TLS_RECORD_HEADER;
    uint8_t *to = inner < DIRECT_FROM ? NULL : reading_room(reading, &here);
    bool direct = to && here >= inner;
    enum tls_result result = direct ? open_direct(session, record, size, to, inner, &len, &event)
                                    : tls_session_open(session, record, size, in_place, &len, &event);
    if (result != TLS_OK)
        return inbox_fail(reading->sealed, result);
    conn->bulk = event == TLS_EVENT_DATA && len == TLS_PLAINTEXT_MAX;
    if (event != TLS_EVENT_DATA)
        return inbox_event(reading->sealed, event);
    if (direct)
        reading_moved(reading, len);
    else
        put(reading, in_place, len);
    inbox_acknowledges(conn);
    return INBOX_DATA;
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
static int open_records(struct reading *reading, uint8_t *data, size_t len)
{
    struct conn *conn = reading->sealed->conn;
    size_t at = 0, size;
    while (at < len) {
        enum tls_result result = tls_record_size(&conn->session, data + at, len - at, &size);
        if (result != TLS_OK)
            return inbox_fail(reading->sealed, result);
        if (size == 0 || size > len - at)
            return keep_part(conn, data + at, len - at);
        int what = open_record(reading, data + at, size);
        if (what < 0 || what == INBOX_END) /* RFC 8446, 6.1: what follows a close_notify is ignored */
            return what < 0 ? what : 0;
        at += size;
    }
    return 0;
}

static int reached_end(struct reading *reading)
{
    reading->at_end = true;
    return inbox_cut(reading->sealed);
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
static int receive_into(struct reading *reading, size_t whole, uint8_t *buffer, size_t cap, int flags)
{
    struct conn *conn = reading->sealed->conn;
    const size_t overhead = tls_session_overhead(&conn->session);
    size_t first = whole ? whole - conn->rx_have : 0, more = reading->left;
    if (whole)
        more -= whole - overhead;
    size_t marker = conn->stale, second = marker + cipher_for(more, overhead);
    if (second > cap)
        second = cap;
    struct iovec iov[2] = {{whole ? conn_rx_data(conn) + conn->rx_have : NULL, first}, {buffer, second}};
    struct msghdr message = {.msg_iov = whole ? iov : iov + 1, .msg_iovlen = whole && second ? 2 : 1};
    ssize_t got = blocking_receive_message(reading->sealed, &message, flags);
    if (got < 0)
        return (int)got;
    if (got == 0)
        return reached_end(reading);
    reading->drained = (size_t)got < first + second;
    size_t used = (size_t)got < first ? (size_t)got : first;
    conn->rx_have += (uint32_t)used;
    if (used < first)
        return 0;
    if (marker > (size_t)got - used)
        marker = (size_t)got - used;
    conn->stale -= (uint32_t)marker;
    if (whole) {
        conn->rx_have = 0;
        int what = open_record(reading, conn_rx_data(conn), whole);
        if (what < 0 || what == INBOX_END)
            return what < 0 ? what : 0;
    }
    return open_records(reading, buffer + marker, (size_t)got - used - marker);
}

static void give_back(uint8_t **buffer)
{
    scratch_give(*buffer);
}

static int receive_large(struct reading *reading, size_t whole, int flags)
{
    uint8_t *buffer __attribute__((cleanup(give_back))) = scratch_take();
    return buffer ? receive_into(reading, whole, buffer, SCRATCH_SIZE, flags) : -ENOBUFS;
}

static int receive_small(struct reading *reading, size_t whole, int flags)
{
    uint8_t buffer[MARKER_MAX + SCRATCH_SMALL + TLS_SEAL_OVERHEAD_MAX];
    return receive_into(reading, whole, buffer, sizeof buffer, flags);
}

/* The header of a record is not whole: the few bytes of it are put in front again. */
static int complete_header(struct reading *reading, int flags)
{
    struct conn *conn = reading->sealed->conn;
    ssize_t got = blocking_receive(reading->sealed, conn_rx_data(conn) + conn->rx_have,
                                   TLS_RECORD_HEADER - conn->rx_have, flags);
    if (got < 0)
        return (int)got;
    if (got == 0)
        return reached_end(reading);
    conn->rx_have += (uint32_t)got;
    return 0;
}

/* One step towards more data: 0, -errno. */
static int fetch(struct reading *reading, int flags)
{
    struct conn *conn = reading->sealed->conn;
    size_t whole = 0;
    flags &= ~(MSG_WAITALL | MSG_PEEK | MSG_TRUNC);
    if (conn->stale > MARKER_MAX || conn->rx_have > 0 || conn->part_marks || !(flags & MSG_DONTWAIT))
        inbox_settle(reading->sealed);
    if (conn->rx_have > 0) {
        if (conn->rx_have < TLS_RECORD_HEADER)
            return complete_header(reading, flags);
        if (tls_record_size(&conn->session, conn_rx_data(conn), TLS_RECORD_HEADER, &whole) != TLS_OK)
            return inbox_fail(reading->sealed, TLS_FAIL_PROTOCOL);
        size_t overhead = tls_session_overhead(&conn->session);
        if (whole < overhead || whole - overhead > reading->left) {
            int what = inbox_fill(reading->sealed, flags);
            return what == INBOX_CUT ? reached_end(reading) : what < 0 ? what : 0;
        }
    }
    int result = reading->left <= SCRATCH_SMALL ? receive_small(reading, whole, flags)
                                                : receive_large(reading, whole, flags);
    inbox_rest(conn);
    return result;
}

static bool over(const struct reading *reading)
{
    const struct conn *conn = reading->sealed->conn;
    return reading->left == 0 || conn->ended || reading->at_end || conn_failed(conn) ||
           (reading->drained && reading->done >= reading->need);
}

/* After a fetch, whose result this is: whether another is needed. If not, *result is that of all: 0 or
 * -errno.
 */
static bool goes_on(struct reading *reading, int *result)
{
    struct conn *conn = reading->sealed->conn;
    if (*result == -ESTALE)
        return false;
    if (conn->inbox.total > 0)
        serve_inbox(reading);
    if (*result == 0 && !registry_current(reading->sealed)) { /* closed by another thread meanwhile */
        *result = reading->at_end || conn->ended ? 0 : -EBADF;
        return false;
    }
    if (*result < 0)
        return false;
    if (reading->done < reading->need)
        reading->drained = false;
    if (reading->done == 0 && ++reading->empty % INBOX_EMPTY_MAX == 0 &&
        !blocking_allowed(reading->sealed->fd, reading->flags)) {
        *result = -EAGAIN;
        return false;
    }
    return !over(reading);
}

static int fetch_all(struct reading *reading)
{
    int result;
    do {
        bool enough = reading->done >= reading->need;
        result = fetch(reading, reading->flags | (enough ? MSG_DONTWAIT : 0));
    } while (goes_on(reading, &result));
    return result;
}

/* What the program is told. */
static ssize_t outcome(struct reading *reading, int result)
{
    struct conn *conn = reading->sealed->conn;
    if (result == -ESTALE)
        return -ESTALE;
    inbox_settle(reading->sealed);
    if (reading->done > 0)
        inbox_remember(conn, result);
    if (reading->done > 0 || result == 0)
        return conn_failed(conn) && reading->done == 0 ? -conn->error : (ssize_t)reading->done;
    return result;
}

ssize_t reading_run(struct reading *reading)
{
    struct conn *conn = reading->sealed->conn;
    if (conn->inbox.total > 0)
        serve_inbox(reading);
    int kept = reading->done == 0 ? inbox_recall(conn) : 0;
    return kept < 0 ? kept : outcome(reading, over(reading) ? 0 : fetch_all(reading));
}

/* `buffer` has `cap` bytes for the ciphertext. */
static inline ssize_t read_once(const struct sealed *sealed, void *to, size_t len, int flags, uint8_t *buffer,
                                size_t cap)
{
    struct conn *conn = sealed->conn;
    size_t ask = cipher_for(len, tls_session_overhead(&conn->session));
    if (ask > cap)
        ask = cap;
    ssize_t got = blocking_receive(sealed, buffer, ask, flags);
    if (got == -ESTALE)
        return -ESTALE;
    struct reading reading = {
        .sealed = sealed, .to = to, .here = len, .left = len, .need = 1, .flags = flags};
    int result = (int)got;
    if (got > 0) {
        reading.drained = (size_t)got < ask;
        result = open_records(&reading, buffer, (size_t)got);
        if (result == 0 && reading.done > 0 && (reading.drained || reading.left == 0) && !conn->rx_chunk)
            return (ssize_t)reading.done;
        inbox_rest(conn);
    } else if (got == 0) {
        result = reached_end(&reading);
    }
    return outcome(&reading, goes_on(&reading, &result) ? fetch_all(&reading) : result);
}

ssize_t reading_once(const struct sealed *sealed, void *to, size_t len, int flags)
{
    if (len <= SCRATCH_SMALL) {
        uint8_t small[SCRATCH_SMALL + TLS_SEAL_OVERHEAD_MAX];
        return read_once(sealed, to, len, flags, small, sizeof small);
    }
    uint8_t *buffer __attribute__((cleanup(give_back))) = scratch_take();
    return buffer ? read_once(sealed, to, len, flags, buffer, SCRATCH_SIZE) : -ENOBUFS;
}
