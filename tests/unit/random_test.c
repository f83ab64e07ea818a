/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Random bytes, the same in every run, into both roles: nothing crashes, nothing completes, nothing forged is
 * delivered. Meant for the sanitizers; tests/fuzz/ goes further. */

#include "pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { ROUNDS = 4000 };

static struct pair pair;
static struct toy_hello hello;
static struct toy_buffer message, wire;

static size_t below(size_t bound)
{
    uint8_t bytes[4];
    endpoint_random(bytes, sizeof bytes);
    return toy_number(bytes, 4) % bound;
}

static enum pair_state any_state(void)
{
    return (enum pair_state)below(PAIR_SERVER_CONNECTED + 1);
}

static void random_bytes_complete_nothing(void **state)
{
    (void)state;
    uint8_t bytes[600];
    for (int i = 0; i < ROUNDS; i++) {
        size_t len = below(sizeof bytes);
        endpoint_random(bytes, len);
        pair_begin(&pair, i % 2 ? TLS_CLIENT : TLS_SERVER, TOY_CHACHA20);
        endpoint_receive(&pair.engine, bytes, len);
        assert_false(pair.engine.session.complete || pair.engine.session.can_send);
    }
}

/* Past the record layer: the content is random, the record is right, its keys are those of the moment. */
static void random_records_complete_nothing(void **state)
{
    (void)state;
    static const uint8_t types[] = {TOY_HANDSHAKE, TOY_HANDSHAKE, TOY_HANDSHAKE, TOY_ALERT, TOY_CCS};
    static const uint8_t messages[] = {1, 2, 4, 5, 8, 11, 13, 15, 20, 24, 254};
    uint8_t bytes[400];
    for (int i = 0; i < ROUNDS; i++) {
        enum pair_state where = any_state();
        pair_reach(&pair, where, TOY_CHACHA20);
        for (int record = 0; record < 3; record++) {
            size_t len = below(sizeof bytes);
            endpoint_random(bytes, len);
            if (len >= 4 && below(4) != 0) {
                bytes[0] = messages[below(sizeof messages)];
                bytes[1] = 0;
                bytes[2] = (uint8_t)((len - 4) >> 8);
                bytes[3] = (uint8_t)(len - 4);
            }
            pair_send(&pair, types[below(sizeof types)], bytes, len);
        }
        if (where != PAIR_CLIENT_CONNECTED && where != PAIR_SERVER_CONNECTED)
            assert_false(pair.engine.session.complete);
        assert_int_equal(pair.engine.data.len, 0);
    }
}

static void mutate(struct toy_buffer *bytes, size_t from)
{
    for (size_t n = 1 + below(4); n > 0 && bytes->len > from; n--) {
        size_t at = from + below(bytes->len - from);
        switch (below(4)) {
        case 0:
            bytes->data[at] ^= (uint8_t)(1 << below(8));
            break;
        case 1:
            bytes->data[at] = (uint8_t)below(256);
            break;
        case 2: /* take a byte out */
            memmove(bytes->data + at, bytes->data + at + 1, bytes->len - at - 1);
            bytes->len--;
            break;
        default: /* put one in */
            memmove(bytes->data + at + 1, bytes->data + at, bytes->len - at);
            bytes->len++;
        }
    }
    bytes->data[2] = (uint8_t)((bytes->len - 4) >> 8);
    bytes->data[3] = (uint8_t)(bytes->len - 4);
}

/* Whether the toy's own share is what the message still has. */
static bool share_is_whole(void)
{
    if (!toy_hello_decode(&hello, message.data, message.len))
        return false;
    const struct toy_extension *share = toy_hello_find(&hello, TOY_KEY_SHARE);
    return share != NULL && share->len == 38 && memcmp(share->body + 6, pair.toy.public_key, 32) == 0;
}

/* With the binder made right again, so that the checks behind it are reached; one that is accepted after all
 * must lead to a handshake that works, unless it is the share that changed. */
static void mutated_client_hellos_are_refused_or_work(void **state)
{
    (void)state;
    unsigned accepted = 0;
    for (int i = 0; i < ROUNDS; i++) {
        pair_begin(&pair, TLS_SERVER, TOY_CHACHA20);
        toy_client_hello(&pair.toy, &hello);
        toy_hello_insert(&hello, below(4), 0xfafa, "unknown", 7);
        toy_hello_encode(&hello, &message);
        mutate(&message, 4);
        toy_bind(&pair.toy, &message, 1);
        toy_transcript_add(&pair.toy, message.data, message.len);
        pair_send_message(&pair, &message);
        if (!pair.engine.session.can_send || !share_is_whole())
            continue;
        accepted++;
        pair_read_server_hello(&pair);
        pair_read_server_flight(&pair);
        pair_client_finished(&pair);
        pair_expect_connected(&pair);
    }
    assert_in_range(accepted, 1,
                    ROUNDS / 2); /* the random, the ticket age and the unknown extension may change */
}

static void mutated_server_hellos_complete_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        pair_begin(&pair, TLS_CLIENT, TOY_CHACHA20);
        if (i % 2)
            toy_server_hello(&pair.toy, &hello);
        else
            toy_retry_request(&pair.toy, &hello, "cookie", 6);
        toy_hello_encode(&hello, &message);
        mutate(&message, 4);
        pair_send_message(&pair, &message);
        assert_false(pair.engine.session.complete || pair.engine.session.can_send);
    }
}

/* Whatever authenticated records follow each other, exactly the content of those of type application_data
 * arrives. */
static void only_application_data_is_delivered(void **state)
{
    (void)state;
    uint8_t bytes[64];
    for (int i = 0; i < ROUNDS / 4; i++) {
        size_t expected = 0;
        pair_reach(&pair, i % 2 ? PAIR_CLIENT_CONNECTED : PAIR_SERVER_CONNECTED, TOY_CHACHA20);
        for (int record = 0; record < 20; record++) {
            uint8_t type = below(8) == 0 ? (uint8_t)below(256) : TOY_DATA;
            size_t len = below(sizeof bytes);
            endpoint_random(bytes, len);
            wire.len = 0;
            toy_seal(&pair.toy.tx, type, bytes, len, below(8), &wire);
            if (endpoint_receive(&pair.engine, wire.data, wire.len) == TLS_OK && type == TOY_DATA)
                expected += len;
        }
        if (pair.engine.events[TLS_EVENT_CLOSE] == 0)
            assert_int_equal(pair.engine.data.len, expected);
    }
}

static void portions_do_not_matter(void **state)
{
    (void)state;
    static struct toy_buffer stream;
    for (int i = 0; i < 200; i++) {
        pair_reach(&pair, i % 2 ? PAIR_CLIENT_CONNECTED : PAIR_SERVER_CONNECTED, TOY_CHACHA20);
        stream.len = 0;
        for (int record = 0; record < 10; record++)
            toy_seal(&pair.toy.tx, TOY_DATA, "0123456789abcdef", below(17), below(3), &stream);
        for (size_t at = 0, len = 0; at < stream.len; at += len) {
            len = 1 + below(40);
            len = len < stream.len - at ? len : stream.len - at;
            assert_int_equal(endpoint_receive(&pair.engine, stream.data + at, len), TLS_OK);
        }
        assert_int_equal(pair.engine.events[TLS_EVENT_DATA], 10);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_bytes_complete_nothing),
        cmocka_unit_test(random_records_complete_nothing),
        cmocka_unit_test(mutated_client_hellos_are_refused_or_work),
        cmocka_unit_test(mutated_server_hellos_complete_nothing),
        cmocka_unit_test(only_application_data_is_delivered),
        cmocka_unit_test(portions_do_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
