/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/*
 * Two engines with a wire between them that changes what passes. Whatever it does:
 *   - each side gets a prefix of what the other one sent, and no end before the last byte;
 *   - two sides that are complete have the same secrets, suite and group;
 *   - an untouched wire delivers all.
 */

#include <string.h>

#include "crypto/aead.h"
#include "endpoint.h"
#include "frames.h"
#include "pair.h"

const unsigned harness_runs = 600;

enum { CONTENT_MAX = 1024, WIRE_MAX = TOY_BUFFER_MAX / 2 };

/* The first number of a frame chooses the side: 0 to the client, 1 to the server. */
enum { FLIP, DROP, INSERT, REPEAT, CUT, SWAP, CROSS, PASS, WRITE, UPDATE, CLOSE, KINDS };

struct side {
    struct endpoint endpoint;
    struct toy_buffer incoming; /* on its way to this side */
    struct toy_buffer written;
    bool touched, closed;
};

static struct side sides[2];

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    static const struct frames_kinds kinds = {KINDS, NULL};
    return frames_mutate(&kinds, data, size, max, seed);
}

static void collect(unsigned from)
{
    struct toy_buffer *out = &sides[from].endpoint.out;
    if (sides[!from].incoming.len + out->len < WIRE_MAX)
        toy_put(&sides[!from].incoming, out->data, out->len);
    else
        sides[!from].touched = true; /* the rest is lost */
    out->len = 0;
}

static void pass(unsigned to, size_t len)
{
    struct toy_buffer *incoming = &sides[to].incoming;
    static struct toy_buffer part;
    if (len > incoming->len)
        len = incoming->len;
    part.len = 0;
    toy_put(&part, incoming->data, len);
    incoming->len -= len;
    memmove(incoming->data, incoming->data + len, incoming->len);
    if (part.len > 0)
        (void)endpoint_receive(&sides[to].endpoint, part.data, part.len);
    collect(to);
}

static void flip(struct toy_buffer *wire, size_t at, uint8_t mask)
{
    if (at < wire->len)
        wire->data[at] ^= mask;
}

static void drop(struct toy_buffer *wire, size_t at, size_t len)
{
    if (at >= wire->len)
        return;
    len = len > wire->len - at ? wire->len - at : len;
    memmove(wire->data + at, wire->data + at + len, wire->len - at - len);
    wire->len -= len;
}

static void insert(struct toy_buffer *wire, size_t at, const uint8_t *bytes, size_t len)
{
    if (at > wire->len || wire->len + len > WIRE_MAX || len == 0)
        return;
    memmove(wire->data + at + len, wire->data + at, wire->len - at);
    memcpy(wire->data + at, bytes, len);
    wire->len += len;
}

/* Exchanges the first two records. */
static void swap(struct toy_buffer *wire)
{
    static struct toy_buffer first;
    if (wire->len < 5)
        return;
    size_t size = 5 + toy_number(wire->data + 3, 2);
    if (wire->len < size + 5)
        return;
    size_t second = 5 + toy_number(wire->data + size + 3, 2);
    if (wire->len < size + second)
        return;
    first.len = 0;
    toy_put(&first, wire->data, size);
    memmove(wire->data, wire->data + size, second);
    memcpy(wire->data + second, first.data, size);
}

/* Bytes that travelled before, or that go the other way, once more. */
static void copy(struct toy_buffer *to, const struct toy_buffer *from, size_t at, size_t len)
{
    static uint8_t bytes[WIRE_MAX];
    if (at >= from->len)
        return;
    len = len > from->len - at ? from->len - at : len;
    memcpy(bytes, from->data + at, len);
    insert(to, to->len, bytes, len);
}

static void tamper(unsigned kind, unsigned to, struct input *input)
{
    struct toy_buffer *wire = &sides[to].incoming;
    size_t at = input_number(input), len = input_number(input);
    sides[to].touched = true;
    if (kind == FLIP)
        flip(wire, at, (uint8_t)len);
    else if (kind == DROP)
        drop(wire, at, len);
    else if (kind == INSERT)
        insert(wire, at, input->at, input->left);
    else if (kind == REPEAT)
        copy(wire, wire, at, len);
    else if (kind == CUT)
        wire->len = at < wire->len ? at : wire->len;
    else if (kind == SWAP)
        swap(wire);
    else
        copy(wire, &sides[!to].incoming, at, len);
}

static void act(unsigned kind, unsigned from, struct input *input)
{
    static uint8_t bytes[CONTENT_MAX];
    struct side *side = &sides[from];
    if (!side->endpoint.session.can_send || side->closed || side->endpoint.session.failure != TLS_OK)
        return;
    size_t len = input_number(input) % CONTENT_MAX;
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(side->written.len + i);
    if (kind == WRITE && side->written.len < WIRE_MAX && endpoint_send(&side->endpoint, bytes, len) == TLS_OK)
        toy_put(&side->written, bytes, len);
    else if (kind == UPDATE && side->endpoint.session.complete)
        (void)endpoint_key_update(&side->endpoint, len & 1);
    else if (kind == CLOSE) {
        endpoint_alert(&side->endpoint, TLS_ALERT_CLOSE_NOTIFY);
        side->closed = true;
    }
    collect(from);
}

static void check(unsigned of)
{
    const struct endpoint *endpoint = &sides[of].endpoint;
    const struct toy_buffer *written = &sides[!of].written;
    REQUIRE(endpoint->data.len <= written->len);
    REQUIRE(memcmp(endpoint->data.data, written->data, endpoint->data.len) == 0);
    if (endpoint->events[TLS_EVENT_CLOSE])
        REQUIRE(sides[!of].closed && endpoint->data.len == written->len);
}

static void check_both(void)
{
    const struct tls_session *client = &sides[0].endpoint.session, *server = &sides[1].endpoint.session;
    check(0);
    check(1);
    if (!client->complete || !server->complete || client->failure || server->failure)
        return;
    REQUIRE(client->suite == server->suite && client->group == server->group);
    if (client->tx.updates == server->rx.updates)
        REQUIRE(memcmp(client->tx.secret, server->rx.secret, 32) == 0);
    if (server->tx.updates == client->rx.updates)
        REQUIRE(memcmp(server->tx.secret, client->rx.secret, 32) == 0);
}

static void begin(uint8_t options)
{
    size_t count;
    const uint16_t *suites = pair_suites(&count);
    for (unsigned i = 0; i < 2; i++) {
        struct side *side = &sides[i];
        endpoint_init(&side->endpoint, options & 4 ? NULL : &suites[(options & 3) % count],
                      options & 4 ? 0 : 1, true);
        if (options & (8 << i))
            side->endpoint.config.group_count = 0;
        side->endpoint.in_place = options & 32;
        side->incoming.len = side->written.len = 0;
        side->touched = side->closed = false;
        REQUIRE(endpoint_begin(&side->endpoint, i ? TLS_SERVER : TLS_CLIENT) == TLS_OK);
    }
    collect(0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input script = {data, size};
    struct frame frame;
    begin(input_byte(&script));
    for (unsigned steps = 0; steps < 48 && frames_next(&script, &frame); steps++) {
        struct input input = {frame.content, frame.len};
        unsigned kind = frame.kind % KINDS, side = input_byte(&input) & 1;
        if (kind == PASS)
            pass(side, frame.len > 1 ? input_number(&input) : SIZE_MAX);
        else if (kind >= WRITE)
            act(kind, side, &input);
        else
            tamper(kind, side, &input);
        check_both();
    }
    for (unsigned turn = 0; turn < 8; turn++)
        pass(!(turn & 1), SIZE_MAX);
    check_both();
    for (unsigned i = 0; i < 2; i++)
        if (!sides[0].touched && !sides[1].touched) {
            REQUIRE(sides[i].endpoint.result == TLS_OK && sides[i].endpoint.session.complete);
            REQUIRE(sides[i].endpoint.data.len == sides[!i].written.len);
        }
    return 0;
}
