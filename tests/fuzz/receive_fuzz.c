/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/*
 * The receiving calls on one end of a pair of TCP sockets (a Unix socket knows no MSG_TRUNC that discards),
 * while the other end gets the peer's records in arbitrary segments. Reads have arbitrary sizes, pieces and
 * flags. The calls are held to:
 *   - what is read is what was sent, in order; what is peeked at too;
 *   - a read finds what has arrived whole, and FIONREAD counts no more than that;
 *   - while a whole record's data is unread, the kernel reports the descriptor readable;
 *   - the end comes after the last byte: 0 after close_notify, else an error.
 */

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config/config.h"
#include "diag/log.h"
#include "frames.h"
#include "io/close.h"
#include "io/recv.h"
#include "pair.h"
#include "record/rx_probe.h"

const unsigned harness_runs = 4000;

/* DATA: length (2), padding (1). INNER: a TLSInnerPlaintext. RAW: bytes. PASS: so many bytes (2) go into the
 * socket. READ: size (2), flags (1). PROBE, FIN. */
enum { DATA, INNER, RAW, PASS, READ, COUNT, READY, FIN, KINDS };

enum { OPTION_PEEK = 1, OPTION_WAIT_ALL = 2, OPTION_PIECES = 4, OPTION_FAST = 8, OPTION_TRUNC = 16 };

enum { STREAM_MAX = 1 << 17 };

static struct {
    int fd, other;
    struct conn_handle handle;
    struct toy_keys keys;
    struct toy_buffer wire; /* sealed, not in the socket yet */
    uint8_t stream[STREAM_MAX];
    size_t sent;    /* bytes of plaintext sealed */
    size_t arrived; /* of these, in records that are in the socket whole */
    size_t read;
    /* The records on the wire: where each ends, and how much plaintext stands before that. */
    struct {
        size_t end, plain;
        bool closes; /* it is a close_notify */
    } records[64];
    size_t record_count, records_in, wire_in;
    bool bad;    /* something was sealed or sent that may end the connection, or is none of ours */
    bool closed; /* a close_notify was sealed */
    bool ended;  /* it has arrived */
    bool fin;
} now;

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    static const struct frames_kinds kinds = {KINDS, NULL};
    return frames_mutate(&kinds, data, size, max, seed);
}

static void swallow(enum log_level level, const char *text)
{
    (void)level;
    (void)text;
}

/* An established server of each suite, made once. */
static const struct pair *established(unsigned suite)
{
    static struct pair *pairs[4];
    size_t count;
    const uint16_t *suites = pair_suites(&count);
    struct pair **pair = &pairs[suite % count];
    if (!*pair) {
        *pair = malloc(sizeof **pair);
        REQUIRE(*pair);
        pair_reach(*pair, PAIR_SERVER_CONNECTED, suites[suite % count]);
    }
    return *pair;
}

/* Segments arrive as they are sent, and the end leaves no TIME_WAIT behind. */
static void make_pair(void)
{
    static int listener = -1;
    const struct linger reset = {.l_onoff = 1};
    const int on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    if (listener < 0) {
        listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        REQUIRE(bind(listener, (struct sockaddr *)&address, len) == 0 && listen(listener, 16) == 0);
    }
    REQUIRE(getsockname(listener, (struct sockaddr *)&address, &len) == 0);
    now.other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(connect(now.other, (struct sockaddr *)&address, len) == 0);
    now.fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    REQUIRE(now.fd >= 0);
    REQUIRE(setsockopt(now.other, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) == 0);
    REQUIRE(setsockopt(now.other, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0);
}

static void begin(uint8_t options)
{
    const struct pair *pair = established(options & 1 ? options >> 1 : 0);
    make_pair();
    config_load();
    log_divert(swallow);
    REQUIRE(fdtable_init());
    struct conn *conn = conn_new(TLS_SERVER, false);
    REQUIRE(conn);
    memset(&now.sent, 0, sizeof now - offsetof(__typeof__(now), sent));
    now.wire.len = 0;
    now.keys = pair->toy.tx;
    conn->session = pair->engine.session;
    arena_set_cookie(arena_slot_of(conn), fdtable_cookie(now.fd));
    fdtable_add(now.fd, conn, atomic_load(&conn->generation));
    now.handle = fdtable_find(now.fd);
    conn_set_can_send(conn, true);
    conn_enter(conn, CONN_ESTABLISHED);
}

static void end(void)
{
    close(now.other);
    close_fd(&now.handle);
}

static bool has_room(size_t len)
{
    return now.record_count < 64 && now.sent + len < STREAM_MAX && now.wire.len < STREAM_MAX - 40000;
}

/* A record was put on the wire whole, and holds `len` bytes more of the stream. */
static void note_record(size_t len)
{
    if (!now.bad && !now.closed)
        now.sent += len;
    now.records[now.record_count].closes = false;
    now.records[now.record_count].end = now.wire_in + now.wire.len;
    now.records[now.record_count++].plain = now.sent;
}

static void put_data(struct input *input)
{
    size_t len = input_number(input), padding = input_byte(input);
    if (len > TLS_PLAINTEXT_MAX || !has_room(len))
        return;
    for (size_t i = 0; i < len; i++)
        now.stream[now.sent + i] = (uint8_t)((now.sent + i) * 7 >> 2);
    padding = padding > TLS_PLAINTEXT_MAX - len ? 0 : padding;
    toy_seal(&now.keys, TOY_DATA, now.stream + now.sent, len, padding, &now.wire);
    note_record(len);
}

static void put_inner(const struct frame *frame)
{
    size_t len = frame->len;
    if (len > 600 || !has_room(len))
        return;
    toy_seal_inner(&now.keys, frame->content, len, &now.wire);
    while (len > 0 && frame->content[len - 1] == 0)
        len--;
    uint8_t type = len ? frame->content[len - 1] : 0;
    bool update = type == TOY_HANDSHAKE && len == 6 && memcmp(frame->content, "\x18\0\0\1", 4) == 0 &&
                  frame->content[4] < 2;
    if (type == TOY_DATA) {
        memcpy(now.stream + now.sent, frame->content, len - 1);
        note_record(len - 1);
        return;
    }
    note_record(0);
    if (update)
        toy_keys_update(&now.keys);
    else if (type == TOY_ALERT && len == 3 && frame->content[1] == 0)
        now.records[now.record_count - 1].closes = now.closed = true;
    else
        now.bad = true;
}

static void put_raw(const struct frame *frame)
{
    if (frame->len > 600 || !has_room(frame->len) || frame->len == 0)
        return;
    toy_put(&now.wire, frame->content, frame->len);
    now.bad = true;
}

static void pass(size_t len)
{
    len = len > now.wire.len ? now.wire.len : len;
    if (len == 0 || now.fin)
        return;
    ssize_t put = send(now.other, now.wire.data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (put <= 0)
        return;
    now.wire_in += (size_t)put;
    now.wire.len -= (size_t)put;
    memmove(now.wire.data, now.wire.data + put, now.wire.len);
    while (now.records_in < now.record_count && now.records[now.records_in].end <= now.wire_in) {
        now.ended |= now.records[now.records_in].closes;
        now.arrived = now.records[now.records_in++].plain;
    }
}

/* While data is unread, the kernel says so. */
static void check_readable(void)
{
    struct pollfd polled = {.fd = now.fd, .events = POLLIN};
    if (now.read < now.arrived && !now.bad)
        REQUIRE(poll(&polled, 1, 0) == 1 && (polled.revents & POLLIN));
}

static ssize_t receive(uint8_t *to, size_t len, unsigned options)
{
    int flags = MSG_DONTWAIT | (options & OPTION_PEEK ? MSG_PEEK : 0) |
                (options & OPTION_WAIT_ALL ? MSG_WAITALL : 0) | (options & OPTION_TRUNC ? MSG_TRUNC : 0);
    struct iovec pieces[3] = {{to, len / 3}, {to + len / 3, len / 3}, {to + len / 3 * 2, len - len / 3 * 2}};
    struct iovec whole = {to, len};
    struct io_result got = io_is(IO_NOT_FAST);
    if (options & OPTION_FAST)
        got = recv_fast(&now.handle, to, len, flags);
    while (got.status != IO_DONE)
        got = options & OPTION_PIECES ? recv_message(&now.handle, pieces, 3, flags)
                                      : recv_message(&now.handle, &whole, 1, flags);
    return got.value;
}

static void take(struct input *input)
{
    size_t len = input_number(input) % 40000;
    const unsigned options = input_byte(input);
    uint8_t *memory = malloc(len ? len : 1);
    REQUIRE(memory);
    const size_t left = now.arrived - now.read;
    ssize_t got = receive(memory, len, options);
    if (got > 0) {
        REQUIRE((size_t)got <= len && (size_t)got <= left);
        if (!(options & OPTION_TRUNC))
            REQUIRE(memcmp(memory, now.stream + now.read, (size_t)got) == 0);
        if (!(options & OPTION_PEEK))
            now.read += (size_t)got;
    } else if (got == 0) {
        REQUIRE(len == 0 || (left == 0 && (now.ended || now.bad)));
    } else {
        REQUIRE(left == 0 || now.bad || len == 0);
        REQUIRE(got == -EAGAIN || now.bad || (now.fin && got == -ECONNRESET));
    }
    free(memory);
}

static void step(const struct frame *frame)
{
    struct input input = {frame->content, frame->len};
    switch (frame->kind % KINDS) {
    case DATA:
        put_data(&input);
        break;
    case INNER:
        put_inner(frame);
        break;
    case RAW:
        put_raw(frame);
        break;
    case PASS:
        pass(frame->len ? input_number(&input) : SIZE_MAX);
        break;
    case READ:
        take(&input);
        break;
    case COUNT:
        REQUIRE(rx_probe_available(&now.handle) <= now.arrived - now.read);
        break;
    case READY: {
        const bool ready = rx_probe_ready(&now.handle);
        REQUIRE(now.bad || ready == (now.read < now.arrived || now.ended || now.fin));
        break;
    }
    default:
        /* It fails once the other side has ended the connection. */
        REQUIRE(shutdown(now.other, SHUT_WR) == 0 || now.fin || now.bad || now.closed);
        now.fin = true;
    }
    check_readable();
}

/* All that has arrived can be read, and what is read then is the end or an error. */
static void read_to_end(void)
{
    struct input all = {(const uint8_t *)"\x1f\xff\x08", 3};
    for (unsigned times = 0; times < 64 && now.read < now.arrived; times++) {
        take(&all);
        all = (struct input){(const uint8_t *)"\x1f\xff", 2};
    }
    REQUIRE(now.read == now.arrived || now.bad);
    if (now.fin && !now.bad) {
        uint8_t byte;
        const ssize_t end_of_stream = now.ended ? 0 : -ECONNRESET;
        REQUIRE(receive(&byte, 1, 0) == end_of_stream);
        REQUIRE(receive(&byte, 1, 0) == end_of_stream);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input script = {data, size};
    struct frame frame;
    begin(input_byte(&script));
    for (unsigned steps = 0; steps < 48 && frames_next(&script, &frame); steps++)
        step(&frame);
    pass(SIZE_MAX);
    read_to_end();
    end();
    return 0;
}
