/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/*
 * A handshake between two engines with every bit on the wire flipped in turn, and cut at every length. A flip
 * must end in an error on at least one side; where it changed a length, the receiver may wait for bytes that
 * never come. Both sides complete only when the flip is in a byte that RFC 8446, 5.1 says to ignore, the low
 * half of a plaintext record's legacy_record_version, and then with the same secrets.
 */

#include "endpoint.h"
#include "pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* The flights of a handshake in turn. */
enum flight { CLIENT_HELLO, SERVER_FLIGHT, CLIENT_FINISHED, FLIGHTS };

static struct endpoint client, server;
static struct toy_buffer flight;

/* What happens to one flight: `mask` is xored into byte `at`, and no more than `cut` bytes arrive. */
struct tampering {
    enum flight flight;
    size_t at;
    uint8_t mask;
    size_t cut;
};

static void deliver(enum flight which, const struct tampering *tampering)
{
    struct endpoint *from = which == SERVER_FLIGHT ? &server : &client;
    struct endpoint *to = which == SERVER_FLIGHT ? &client : &server;
    flight.len = 0;
    toy_put(&flight, from->out.data, from->out.len);
    from->out.len = 0;
    if (which == tampering->flight) {
        flight.data[tampering->at] ^= tampering->mask;
        flight.len = tampering->cut < flight.len ? tampering->cut : flight.len;
    }
    if (flight.len > 0)
        (void)endpoint_receive(to, flight.data, flight.len);
}

/* Runs a handshake; `before`, if not NULL, takes the tampered flight as it was. Gives the flight's length. */
static size_t run(uint16_t suite, const struct tampering *tampering, struct toy_buffer *before)
{
    size_t len = 0;
    endpoint_init(&client, &suite, 1, true);
    endpoint_init(&server, &suite, 1, true);
    assert_int_equal(endpoint_begin(&server, TLS_SERVER), TLS_OK);
    assert_int_equal(endpoint_begin(&client, TLS_CLIENT), TLS_OK);
    for (int which = CLIENT_HELLO; which < FLIGHTS; which++) {
        const struct endpoint *from = which == SERVER_FLIGHT ? &server : &client;
        if (which == (int)tampering->flight) {
            len = from->out.len;
            if (before != NULL)
                *before = from->out;
        }
        deliver((enum flight)which, tampering);
    }
    /* What is left is alerts. */
    const struct tampering none = {.flight = FLIGHTS};
    deliver(SERVER_FLIGHT, &none);
    deliver(CLIENT_FINISHED, &none);
    return len;
}

enum kind { ORDINARY, IGNORED, LENGTH };

/* What byte `at` of a flight is. */
static enum kind kind_of(const struct toy_buffer *bytes, size_t at)
{
    size_t record = 0, size = 0;
    for (; at >= record + (size = 5 + toy_number(bytes->data + record + 3, 2)); record += size)
        ;
    size_t offset = at - record;
    bool plain_handshake = bytes->data[record] == TOY_HANDSHAKE;
    if (offset == 2 && plain_handshake)
        return IGNORED;
    if (offset == 3 || offset == 4 || (plain_handshake && offset > 5 && offset < 9))
        return LENGTH;
    return ORDINARY;
}

static void judge(enum kind kind, const struct tampering *tampering)
{
    bool both = client.session.complete && server.session.complete;
    bool failed = client.result != TLS_OK || server.result != TLS_OK;
    if (kind == IGNORED) {
        assert_true(both && !failed);
        assert_memory_equal(client.session.tx.secret, server.session.rx.secret, 32);
        assert_memory_equal(server.session.tx.secret, client.session.rx.secret, 32);
        return;
    }
    if (both || !(failed || kind == LENGTH))
        fail_msg("flight %d, byte %zu, mask %02x: %s", (int)tampering->flight, tampering->at, tampering->mask,
                 both ? "both sides complete" : "neither side fails");
    assert_int_equal(client.data.len + server.data.len, 0);
}

static void flip_every_bit(enum flight which)
{
    static struct toy_buffer original;
    size_t count;
    const uint16_t *suites = pair_suites(&count);
    for (size_t s = 0; s < count; s++) {
        struct tampering tampering = {.flight = which, .cut = SIZE_MAX};
        size_t bits = 8 * run(suites[s], &tampering, NULL);
        assert_true(client.session.complete && server.session.complete);
        assert_true(bits > 8 * 30);
        for (size_t bit = 0; bit < bits; bit++) {
            tampering.at = bit / 8;
            tampering.mask = (uint8_t)(1 << bit % 8);
            run(suites[s], &tampering, &original);
            judge(kind_of(&original, tampering.at), &tampering);
        }
    }
}

static void every_bit_of_the_client_hello_counts(void **state)
{
    (void)state;
    flip_every_bit(CLIENT_HELLO);
}

static void every_bit_of_the_servers_flight_counts(void **state)
{
    (void)state;
    flip_every_bit(SERVER_FLIGHT);
}

static void every_bit_of_the_clients_finished_counts(void **state)
{
    (void)state;
    flip_every_bit(CLIENT_FINISHED);
}

static void no_flight_cut_short_completes(void **state)
{
    (void)state;
    size_t count;
    const uint16_t *suites = pair_suites(&count);
    for (size_t i = 0; i < FLIGHTS * count; i++) {
        struct tampering tampering = {.flight = (enum flight)(i % FLIGHTS)};
        for (size_t len = 1; tampering.cut < len; tampering.cut++) {
            len = run(suites[i / FLIGHTS], &tampering, NULL);
            if (tampering.cut == len)
                break;
            assert_false(client.session.complete && server.session.complete);
            assert_int_equal(client.result, TLS_OK);
            assert_int_equal(server.result, TLS_OK);
        }
    }
}

/* Flips each byte of a HelloRetryRequest: the client refuses it, or its second ClientHello does not bind to
 * what the server sent. */
static void every_bit_of_a_retry_request_counts(void **state)
{
    (void)state;
    static struct pair fresh, pair;
    static struct toy_hello hello;
    struct toy_buffer message, wire = {.len = 0};
    pair_begin(&fresh, TLS_CLIENT, TOY_CHACHA20);
    toy_retry_request(&fresh.toy, &hello, "cookie", 6);
    toy_hello_encode(&hello, &message);
    toy_plain_record(&wire, TOY_HANDSHAKE, message.data, message.len);
    toy_transcript_retry(&fresh.toy);
    toy_transcript_add(&fresh.toy, message.data, message.len);
    for (size_t bit = 8 * 5; bit < 8 * wire.len; bit++) {
        uint8_t binder[32];
        pair = fresh;
        pair.engine.config.psks = pair.engine.psks;
        pair.engine.config.suites = pair.engine.suites;
        pair.engine.out.len = 0;
        wire.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        enum tls_result result = endpoint_receive(&pair.engine, wire.data, wire.len);
        wire.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (result != TLS_OK || pair.engine.out.len == 0)
            continue;
        toy_binder(&pair.toy, pair.engine.out.data + 5, pair.engine.out.len - 5, 1, binder);
        assert_memory_not_equal(pair.engine.out.data + pair.engine.out.len - 32, binder, 32);
    }
}

/* Both ClientHellos of a retried handshake. */
static void every_bit_of_a_retried_client_hello_counts(void **state)
{
    (void)state;
    static struct pair pair;
    static struct toy_hello hello;
    struct toy_buffer message;
    size_t bits = 8;
    for (size_t i = 2 * 8 * 4; i < 2 * bits; i++) {
        bool second = i % 2;
        pair_reach(&pair, second ? PAIR_SERVER_WAIT_CH_RETRIED : PAIR_SERVER_WAIT_CH, TOY_CHACHA20);
        size_t before = pair.engine.out.len;
        if (second)
            pair_second_hello(&pair, &hello);
        else
            pair_shareless_hello(&pair, &hello);
        toy_hello_encode(&hello, &message);
        toy_bind(&pair.toy, &message, 1);
        bits = 8 * message.len;
        message.data[i / 2 / 8] ^= (uint8_t)(1 << i / 2 % 8);
        assert_int_not_equal(pair_send_message(&pair, &message), TLS_OK);
        assert_int_equal(pair.engine.out.len, before + 7);
        assert_int_equal(pair.engine.out.data[before], TOY_ALERT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_bit_of_the_client_hello_counts),
        cmocka_unit_test(every_bit_of_the_servers_flight_counts),
        cmocka_unit_test(every_bit_of_the_clients_finished_counts),
        cmocka_unit_test(no_flight_cut_short_completes),
        cmocka_unit_test(every_bit_of_a_retry_request_counts),
        cmocka_unit_test(every_bit_of_a_retried_client_hello_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
