/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "conn/receive.h"

#include <string.h>

#include "conn/blocking.h"
#include "conn/drive.h"
#include "conn/failure.h"
#include "conn/handshake.h"
#include "conn/inbox.h"
#include "conn/open.h"
#include "conn/outbox.h"
#include "conn/scratch.h"
#include "conn/send.h"
#include "conn/waiting.h"
#include "sys/net.h"
#include "sys/real.h"

enum {
    DIRECT_FROM = 2048, /* smaller content is opened aside and copied */
    MARKER_MAX = 2048,  /* a marker up to this size is taken along with what follows it */
};

/* A receiving call of the program: where its bytes go, how far it got, and how many bytes it waits for. */
struct reading {
    const struct sealed *sealed;
    const struct iovec *iov;
    size_t count, index, offset;
    size_t left, done, need;
    int flags;
    bool drained; /* the kernel's queue was seen empty */
    bool at_end;  /* ... for ever */
};

static struct reading reading_of(const struct sealed *sealed, const struct iovec *iov, size_t count,
                                 size_t len, int flags)
{
    size_t low = (size_t)sealed->conn->low_water, need = flags & MSG_WAITALL ? len : low > 1 ? low : 1;
    return (struct reading){.sealed = sealed,
                            .iov = iov,
                            .count = count,
                            .left = len,
                            .need = need < len ? need : len,
                            .flags = flags};
}

/* The program's memory at the cursor, and how much of it lies in one piece. */
static uint8_t *room(struct reading *reading, size_t *len)
{
    while (reading->index < reading->count && reading->offset == reading->iov[reading->index].iov_len) {
        reading->index++;
        reading->offset = 0;
    }
    if (reading->index == reading->count) {
        *len = 0;
        return NULL;
    }
    *len = reading->iov[reading->index].iov_len - reading->offset;
    return (uint8_t *)reading->iov[reading->index].iov_base + reading->offset;
}

static void moved(struct reading *reading, size_t len)
{
    reading->offset += len;
    reading->left -= len;
    reading->done += len;
}

static void put(struct reading *reading, const uint8_t *data, size_t len)
{
    while (len > 0) {
        size_t here;
        uint8_t *to = room(reading, &here);
        if (here > len)
            here = len;
        memcpy(to, data, here);
        moved(reading, here);
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
 * a moment: the byte is put back, since a program may count on memory that a read did not fill. (Padding,
 * which no known peer uses with records this large, leaves zeros there.) */
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
    struct tls_session *session = &reading->sealed->conn->session;
    const size_t overhead = tls_session_overhead(session);
    size_t here, len = 0, inner = size < overhead ? 0 : size - overhead + 1;
    enum tls_event event = TLS_EVENT_NONE;
    uint8_t *to = room(reading, &here), *in_place = record + TLS_RECORD_HEADER;
    if (here < inner || inner < DIRECT_FROM)
        to = in_place;
    enum tls_result result = to == in_place ? tls_session_open(session, record, size, to, &len, &event)
                                            : open_direct(session, record, size, to, inner, &len, &event);
    if (result != TLS_OK)
        return inbox_fail(reading->sealed, result);
    reading->sealed->conn->bulk = event == TLS_EVENT_DATA && len == TLS_PLAINTEXT_MAX;
    if (event != TLS_EVENT_DATA)
        return inbox_event(reading->sealed, event);
    if (to == in_place)
        put(reading, to, len);
    else
        moved(reading, len);
    inbox_acknowledges(reading->sealed->conn);
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
    ssize_t got = inbox_receive(reading->sealed, &message, flags);
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
    struct iovec iov = {conn_rx_data(conn) + conn->rx_have, TLS_RECORD_HEADER - conn->rx_have};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    ssize_t got = inbox_receive(reading->sealed, &message, flags);
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

/* Fetches until the call is over: 0 or -errno. */
static int fetch_all(struct reading *reading)
{
    struct conn *conn = reading->sealed->conn;
    int result = 0;
    unsigned empty = 0; /* records in a row that held nothing for the program */
    while (!over(reading)) {
        bool enough = reading->done >= reading->need;
        result = fetch(reading, reading->flags | (enough ? MSG_DONTWAIT : 0));
        if (result == -ESTALE)
            return -ESTALE;
        if (conn->inbox.total > 0)
            serve_inbox(reading);
        if (result == 0 && !registry_current(reading->sealed)) /* closed by another thread meanwhile */
            return reading->at_end || conn->ended ? 0 : -EBADF;
        if (result < 0)
            return result;
        if (reading->done < reading->need)
            reading->drained = false;
        if (reading->done == 0 && ++empty % INBOX_EMPTY_MAX == 0 &&
            !blocking_allowed(reading->sealed->fd, reading->flags))
            return -EAGAIN;
    }
    return 0;
}

/* Reads with the role held. A short count means that the kernel's queue was seen empty, as edge-triggered
 * programs expect. */
static ssize_t read_held(struct reading *reading)
{
    struct conn *conn = reading->sealed->conn;
    if (conn->inbox.total > 0)
        serve_inbox(reading);
    if (reading->done == 0 && conn->pending)
        return -atomic_exchange(&conn->pending, 0);
    int result = fetch_all(reading);
    if (result == -ESTALE)
        return -ESTALE;
    inbox_settle(reading->sealed);
    if (reading->done > 0)
        inbox_remember(conn, result);
    if (reading->done > 0 || result == 0)
        return conn_failed(conn) && reading->done == 0 ? -conn->error : (ssize_t)reading->done;
    return result;
}

/* MSG_PEEK: gathers records in the inbox until there is as much as the program looks for, or the kernel has
 * no more. */
static ssize_t peek_held(struct reading *reading)
{
    struct conn *conn = reading->sealed->conn;
    int result = 0;
    while (conn->inbox.total < reading->left && conn->inbox.total < CONN_QUEUE_MAX && !conn->ended &&
           !conn_failed(conn)) {
        result =
            inbox_fill(reading->sealed, conn->inbox.total ? MSG_DONTWAIT : reading->flags & MSG_DONTWAIT);
        if (result == -ESTALE)
            return -ESTALE;
        if (result == INBOX_CUT)
            result = conn->inbox.total ? -EAGAIN : inbox_cut(reading->sealed);
        if (result <= 0)
            break;
    }
    if (conn->inbox.total == 0) {
        inbox_rest(conn);
        if (conn->pending)
            return -atomic_exchange(&conn->pending, 0);
        return conn_failed(conn) ? -conn->error : conn->ended ? 0 : result;
    }
    size_t here, skip = 0;
    for (uint8_t *to = room(reading, &here); here > 0; to = room(reading, &here)) {
        size_t part = conn_bytes_copy(&conn->inbox, skip, to, here);
        if (part == 0)
            break;
        skip += part;
        moved(reading, part);
    }
    return (ssize_t)reading->done;
}

/* Whether we are in a signal handler above this thread's own blocked read (send.c: above_own_write). */
static bool above_own_read(const struct conn *conn)
{
    bool parked;
    return role_mine(&conn->rx, &parked) &&
           (!parked || (uintptr_t)__builtin_frame_address(0) < conn->reader_frame);
}

int receive_begin(const struct sealed *sealed, int flags)
{
    struct conn *conn = sealed->conn;
    uint8_t byte;
    for (;;) {
        if (above_own_read(conn))
            return -EAGAIN; /* in the middle of a record that the interrupted call is collecting */
        switch (role_take(&conn->rx)) {
        case ROLE_TAKEN:
        case ROLE_RESUMED:
            if (registry_current(sealed))
                return 0;
            role_release(&conn->rx);
            return CONN_LOOK_AGAIN;
        case ROLE_REENTERED:
            return -EAGAIN;
        case ROLE_ABANDONED:
            failure_set(sealed, EIO, "a process died while it was reading");
            conn_release(conn, &conn->rx);
            return -EIO;
        case ROLE_PARKED: /* somebody waits in the kernel: wait beside him, as the kernel decides */
            if (real()->recv(sealed->fd, &byte, 1, MSG_PEEK | (flags & MSG_DONTWAIT)) < 0)
                return -errno;
            sys_call3(SYS_sched_yield, 0, 0, 0);
        }
    }
}

/* Before the handshake is over: 1 when it is, 0 or -errno for the program. */
static int wait_established(const struct sealed *sealed, int flags)
{
    struct conn *conn = sealed->conn;
    int result = handshake_progress(sealed);
    if (conn->connecting) {
        int waited = open_wait_connected(sealed, flags);
        if (waited < 0)
            return waited;
    } else if (result < 0) {
        return result;
    }
    if (conn->established)
        return 1;
    if (!blocking_allowed(sealed->fd, flags))
        return -EAGAIN;
    int64_t limit = blocking_limit(sealed->fd, SO_RCVTIMEO);
    for (;;) {
        result = handshake_wait(sealed, false, limit);
        if (result == -EINTR && blocking_restarts())
            continue;
        return result == 0 ? -EAGAIN : result;
    }
}

/* MSG_TRUNC on TCP throws the bytes away and leaves the program's memory alone (tcp(7)). */
static ssize_t discard_message(const struct sealed *sealed, size_t len, int flags)
{
    uint8_t nowhere[2048];
    size_t done = 0;
    while (done < len) {
        struct iovec iov = {nowhere, len - done < sizeof nowhere ? len - done : sizeof nowhere};
        ssize_t got = receive_message(sealed, &iov, 1, (flags & ~MSG_TRUNC) | (done ? MSG_DONTWAIT : 0));
        if (got <= 0)
            return done ? (ssize_t)done : got;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

/* MSG_PEEK with MSG_WAITALL: the kernel cannot wait for us, since the marker makes the descriptor readable.
 */
static bool peek_again(const struct reading *reading, ssize_t got, int64_t until_ms)
{
    const struct conn *conn = reading->sealed->conn;
    struct pollfd look = {.fd = reading->sealed->fd, .events = POLLRDHUP};
    if (!(reading->flags & MSG_WAITALL) || got <= 0 || (size_t)got >= reading->need || conn->ended ||
        conn_failed(conn))
        return false;
    if (!blocking_allowed(reading->sealed->fd, reading->flags) || net_now_ms() >= until_ms)
        return false;
    return net_ppoll(&look, 1, &(struct timespec){.tv_nsec = 1000000}) == 0;
}

/* From a peer that does not seal (SOCKSEAL_PLAINTEXT=accept). What was written before that was known may
 * still stand in the queue, and the peer may wait for it. */
static ssize_t receive_plain(const struct sealed *sealed, const struct iovec *iov, size_t count, int flags)
{
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = count};
    if (sealed->conn->to_send > 0)
        outbox_flush(sealed);
    int waited = drive_outstanding() ? waiting_before_read(sealed->fd, flags) : 0;
    if (waited < 0)
        return waited;
    ssize_t got = real()->recvmsg(sealed->fd, &message, flags);
    return got < 0 ? -errno : got;
}

ssize_t receive_message(const struct sealed *sealed, const struct iovec *iov, size_t count, int flags)
{
    struct conn *conn = sealed->conn;
    if (!conn->established) {
        int result = wait_established(sealed, flags);
        if (result <= 0)
            return result;
    }
    if (conn->plaintext)
        return receive_plain(sealed, iov, count, flags);
    size_t len = 0;
    for (size_t i = 0; i < count; i++)
        len += iov[i].iov_len;
    if (len == 0)
        return 0;
    if ((flags & MSG_TRUNC) && !(flags & MSG_PEEK))
        return discard_message(sealed, len, flags);
    const bool gather = (flags & (MSG_PEEK | MSG_WAITALL)) == (MSG_PEEK | MSG_WAITALL);
    int64_t until_ms = gather ? blocking_limit(sealed->fd, SO_RCVTIMEO) : 0;
    for (;;) {
        int result = receive_begin(sealed, flags);
        if (result < 0)
            return result;
        struct reading reading = reading_of(sealed, iov, count, len, flags);
        ssize_t got = flags & MSG_PEEK ? peek_held(&reading) : read_held(&reading);
        if (got == -ESTALE) {
            if (reading.done > 0)
                return (ssize_t)reading.done;
            continue;
        }
        conn_release(conn, &conn->rx);
        if (!gather || !peek_again(&reading, got, until_ms))
            return got;
    }
}
