/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* KeyUpdate in both directions (RFC 8446, 4.6.3; RFC 9846, 4.7.3). */

#include "pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct pair pair;
static struct toy_buffer content;

static const enum pair_state connected[] = {PAIR_CLIENT_CONNECTED, PAIR_SERVER_CONNECTED};

static void everywhere(void (*test)(enum pair_state state, uint16_t suite))
{
    size_t count;
    const uint16_t *suites = pair_suites(&count);
    for (size_t i = 0; i < 2 * count; i++)
        test(connected[i % 2], suites[i / 2]);
}

static enum tls_result send_update(uint8_t request)
{
    return pair_send(&pair, TOY_HANDSHAKE, (const uint8_t[]){TOY_KEY_UPDATE, 0, 0, 1, request}, 5);
}

/* The engine's KeyUpdate, sealed under the old key; then the toy takes the new one. */
static void read_update(uint8_t request)
{
    uint8_t type = 0;
    assert_true(pair_read(&pair, &type, &content));
    assert_int_equal(type, TOY_HANDSHAKE);
    assert_int_equal(content.len, 5);
    assert_memory_equal(content.data, ((const uint8_t[]){TOY_KEY_UPDATE, 0, 0, 1, request}), 5);
    toy_keys_update(&pair.toy.rx);
}

static void receive_updates(enum pair_state state, uint16_t suite)
{
    pair_reach(&pair, state, suite);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(send_update(0), TLS_OK);
        toy_keys_update(&pair.toy.tx);
        assert_int_equal(pair.engine.events[TLS_EVENT_KEY_UPDATE], i + 1);
        assert_int_equal(pair.engine.session.rx.sequence, 0);
        assert_int_equal(pair.engine.session.rx.updates, i + 1);
        pair_expect_connected(&pair);
    }
    assert_int_equal(pair.engine.events[TLS_EVENT_KEY_UPDATE_ASKED], 0);
}

static void the_peers_new_keys_are_taken(void **state)
{
    (void)state;
    everywhere(receive_updates);
}

static void answer_updates(enum pair_state state, uint16_t suite)
{
    pair_reach(&pair, state, suite);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(send_update(1), TLS_OK);
        toy_keys_update(&pair.toy.tx);
        assert_int_equal(pair.engine.events[TLS_EVENT_KEY_UPDATE_ASKED], i + 1);
        assert_int_equal(endpoint_key_update(&pair.engine, false), TLS_OK);
        assert_int_equal(pair.engine.session.tx.sequence, 0);
        read_update(0);
        pair_expect_connected(&pair);
    }
}

static void a_requested_update_is_answered(void **state)
{
    (void)state;
    everywhere(answer_updates);
}

static void send_updates(enum pair_state state, uint16_t suite)
{
    pair_reach(&pair, state, suite);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(endpoint_key_update(&pair.engine, i % 2), TLS_OK);
        assert_int_equal(pair.engine.session.tx.updates, i + 1);
        read_update(i % 2);
        pair_expect_connected(&pair);
    }
}

static void our_own_updates_are_understood(void **state)
{
    (void)state;
    everywhere(send_updates);
}

static void many_updates_in_a_row_are_followed(void **state)
{
    (void)state;
    pair_reach(&pair, PAIR_CLIENT_CONNECTED, TOY_CHACHA20);
    for (unsigned i = 0; i < 1000; i++) {
        assert_int_equal(send_update(i % 2), TLS_OK);
        toy_keys_update(&pair.toy.tx);
    }
    assert_int_equal(pair.engine.session.rx.updates, 1000);
    assert_int_equal(endpoint_key_update(&pair.engine, false), TLS_OK);
    read_update(0);
    pair_expect_connected(&pair);
}

static void other_values_are_refused(void **state)
{
    (void)state;
    for (int value = 2; value < 256; value++) {
        pair_reach(&pair, connected[value % 2], TOY_CHACHA20);
        send_update((uint8_t)value);
        pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_ILLEGAL_PARAMETER);
    }
}

static void other_lengths_are_refused(void **state)
{
    (void)state;
    static const size_t lengths[] = {0, 2, 3, 100};
    for (size_t i = 0; i < 8; i++) {
        static const uint8_t zeros[100];
        struct toy_buffer message = {.len = 0};
        toy_message(&message, TOY_KEY_UPDATE, zeros, lengths[i / 2]);
        pair_reach(&pair, connected[i % 2], TOY_CHACHA20);
        pair_send_message(&pair, &message);
        pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_DECODE_ERROR);
    }
}

static void an_update_before_finished_is_refused(void **state)
{
    (void)state;
    for (int where = PAIR_CLIENT_WAIT_SH; where <= PAIR_SERVER_CONNECTED; where++) {
        if (where == PAIR_CLIENT_CONNECTED || where == PAIR_SERVER_CONNECTED)
            continue;
        pair_reach(&pair, (enum pair_state)where, TOY_CHACHA20);
        send_update(0);
        pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_UNEXPECTED_MESSAGE);
    }
}

/* 5.1: the keys change after it, so that nothing may follow it in its record. */
static void a_message_behind_an_update_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        static const uint8_t two[] = {TOY_KEY_UPDATE, 0, 0, 1, 0, TOY_KEY_UPDATE, 0, 0, 1, 0};
        pair_reach(&pair, connected[i % 2], TOY_CHACHA20);
        pair_send(&pair, TOY_HANDSHAKE, two, i < 2 ? sizeof two : 6);
        pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_UNEXPECTED_MESSAGE);
    }
}

static void data_under_the_old_key_is_refused(void **state)
{
    (void)state;
    pair_reach(&pair, PAIR_SERVER_CONNECTED, TOY_CHACHA20);
    assert_int_equal(send_update(0), TLS_OK);
    pair_send(&pair, TOY_DATA, "old key", 7);
    pair_expect_failure(&pair, TLS_FAIL_RECORD, TLS_ALERT_BAD_RECORD_MAC);
}

static void an_update_in_pieces_is_accepted(void **state)
{
    (void)state;
    static const uint8_t update[] = {TOY_KEY_UPDATE, 0, 0, 1, 1};
    for (size_t i = 0; i < 2; i++) {
        pair_reach(&pair, connected[i], TOY_CHACHA20);
        for (size_t byte = 0; byte < sizeof update; byte++)
            assert_int_equal(pair_send(&pair, TOY_HANDSHAKE, update + byte, 1), TLS_OK);
        toy_keys_update(&pair.toy.tx);
        assert_int_equal(pair.engine.events[TLS_EVENT_KEY_UPDATE_ASKED], 1);
        pair_expect_connected(&pair);
    }
}

static void data_between_the_pieces_of_an_update_is_refused(void **state)
{
    (void)state;
    for (size_t len = 1; len < 5; len++) {
        static const uint8_t update[] = {TOY_KEY_UPDATE, 0, 0, 1, 0};
        pair_reach(&pair, connected[len % 2], TOY_CHACHA20);
        assert_int_equal(pair_send(&pair, TOY_HANDSHAKE, update, len), TLS_OK);
        pair_send(&pair, TOY_DATA, "between", 7);
        pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_UNEXPECTED_MESSAGE);
    }
}

/* RFC 9846, 4.7.3: at most 2^48 - 1 updates a direction. A request of the peer beyond is ignored, and the
 * session goes on; an update of our own beyond is refused. */
static void no_update_is_sent_beyond_the_bound(void **state)
{
    (void)state;
    static const uint64_t limit = (UINT64_C(1) << 48) - 1;
    pair_reach(&pair, PAIR_CLIENT_CONNECTED, TOY_CHACHA20);
    pair.engine.session.tx.updates = limit - 1;
    assert_int_equal(endpoint_key_update(&pair.engine, false), TLS_OK);
    read_update(0);
    assert_int_equal(send_update(1), TLS_OK);
    toy_keys_update(&pair.toy.tx);
    assert_int_equal(pair.engine.events[TLS_EVENT_KEY_UPDATE_ASKED], 0);
    pair_expect_connected(&pair);
    size_t before = pair.engine.out.len;
    assert_int_equal(endpoint_key_update(&pair.engine, false), TLS_FAIL_LIMIT);
    assert_int_equal(pair.engine.out.len, before);
}

/* With no other limits than the suite's. */
static bool wants(uint32_t now)
{
    static const struct tls_renewal never = {UINT64_MAX, UINT32_MAX};
    return tls_session_wants_key_update(&pair.engine.session, &never, now);
}

static const struct tls_renewal limits = {.bytes = 10, .seconds = 120};

static void keys_are_renewed_after_so_many_bytes(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        pair_reach(&pair, connected[i], TOY_CHACHA20);
        for (int round = 0; round < 3; round++) {
            assert_false(tls_session_wants_key_update(&pair.engine.session, &limits, 7));
            assert_int_equal(endpoint_send(&pair.engine, "nine byte", 9), TLS_OK);
            assert_false(tls_session_wants_key_update(&pair.engine.session, &limits, 7));
            assert_int_equal(endpoint_send(&pair.engine, "x", 1), TLS_OK);
            assert_true(tls_session_wants_key_update(&pair.engine.session, &limits, 7));
            assert_int_equal(endpoint_key_update(&pair.engine, false), TLS_OK);
        }
    }
}

/* The time counts from the first use of a key, whatever the clock says; it may pass its end. */
static void keys_are_renewed_after_so_much_time(void **state)
{
    (void)state;
    static const uint32_t starts[] = {0, 1, 1000, UINT32_MAX - 200, UINT32_MAX - 60, UINT32_MAX - 1};
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        uint32_t now = starts[i];
        pair_reach(&pair, PAIR_CLIENT_CONNECTED, TOY_CHACHA20);
        for (int round = 0; round < 3; round++) {
            assert_false(tls_session_wants_key_update(&pair.engine.session, &limits, now));
            assert_false(tls_session_wants_key_update(&pair.engine.session, &limits, now + 119));
            assert_true(tls_session_wants_key_update(&pair.engine.session, &limits, now + 120));
            assert_true(tls_session_wants_key_update(&pair.engine.session, &limits, now + 5000));
            assert_int_equal(endpoint_key_update(&pair.engine, false), TLS_OK);
            now += 5000;
        }
    }
}

static void no_update_is_wanted_before_the_handshake_is_complete(void **state)
{
    (void)state;
    static const struct tls_renewal at_once = {0, 0};
    pair_reach(&pair, PAIR_SERVER_WAIT_FINISHED, TOY_CHACHA20);
    assert_true(pair.engine.session.can_send);
    assert_int_equal(endpoint_send(&pair.engine, "early", 5), TLS_OK);
    assert_false(tls_session_wants_key_update(&pair.engine.session, &at_once, 1000));
}

static uint8_t renew(void)
{
    uint8_t type, bytes[TLS_FLIGHT_MAX];
    struct tls_buffer out = {.data = bytes, .cap = sizeof bytes};
    assert_int_equal(tls_session_renew(&pair.engine.session, &out), TLS_OK);
    assert_true(toy_open(&pair.toy.rx, bytes, out.len, &type, &content));
    toy_keys_update(&pair.toy.rx);
    assert_int_equal(content.len, 5);
    assert_int_equal(content.data[0], TOY_KEY_UPDATE);
    return content.data[4];
}

/* A peer that renews its keys by itself, or has sent nothing, is asked for nothing. */
static void a_peer_that_keeps_its_keys_is_asked_for_new_ones(void **state)
{
    (void)state;
    pair_reach(&pair, PAIR_CLIENT_CONNECTED, TOY_CHACHA20);
    for (int i = 0; i < 4; i++)
        assert_int_equal(renew(), 0);
    assert_int_equal(pair_send(&pair, TOY_DATA, "x", 1), TLS_OK);
    assert_int_equal(renew(), 0);
    assert_int_equal(renew(), 1);
    assert_int_equal(renew(), 1);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(send_update(0), TLS_OK);
        toy_keys_update(&pair.toy.tx);
        assert_int_equal(pair_send(&pair, TOY_DATA, "x", 1), TLS_OK);
        assert_int_equal(renew(), 0);
    }
    assert_int_equal(renew(), 0);
    assert_int_equal(renew(), 1);
    pair.engine.data.len = 0;
    pair_expect_connected(&pair);
}

static void aegis_keys_are_renewed_before_2_to_the_48_records(void **state)
{
    (void)state;
    size_t count;
    const uint16_t *suites = pair_suites(&count);
    if (count < 2)
        skip();
    for (size_t i = 1; i < count; i++) {
        pair_reach(&pair, PAIR_CLIENT_CONNECTED, suites[i]);
        assert_false(wants(0));
        pair.engine.session.tx.sequence = (UINT64_C(1) << 48) - 1;
        assert_true(wants(0));
        pair.toy.rx.sequence = pair.engine.session.tx.sequence;
        assert_int_equal(endpoint_key_update(&pair.engine, false), TLS_OK);
        assert_false(wants(0));
        read_update(0);
        pair_expect_connected(&pair);
    }
}

/* RFC 8446, 5.5: the bound itself, for a caller that did not renew its keys. */
static void no_aegis_record_is_sealed_past_2_to_the_48(void **state)
{
    (void)state;
    size_t count;
    const uint16_t *suites = pair_suites(&count);
    if (count < 2)
        skip();
    for (size_t i = 1; i < count; i++) {
        pair_reach(&pair, PAIR_SERVER_CONNECTED, suites[i]);
        pair.engine.session.tx.sequence = UINT64_C(1) << 48;
        size_t before = pair.engine.out.len;
        assert_int_equal(endpoint_send(&pair.engine, "a", 1), TLS_FAIL_LIMIT);
        assert_int_equal(pair.engine.out.len, before);
    }
}

/* A caller that asks first would otherwise never get to its data. */
static void no_update_is_wanted_that_could_not_be_sent(void **state)
{
    (void)state;
    size_t count;
    const uint16_t *suites = pair_suites(&count);
    pair_reach(&pair, PAIR_CLIENT_CONNECTED, suites[count - 1]);
    pair.engine.session.tx.sequence = (UINT64_C(1) << 48) - 1;
    pair.engine.session.tx.updates = (UINT64_C(1) << 48) - 1;
    assert_false(wants(0));
    assert_int_equal(endpoint_send(&pair.engine, "a", 1), TLS_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_peers_new_keys_are_taken),
        cmocka_unit_test(a_requested_update_is_answered),
        cmocka_unit_test(our_own_updates_are_understood),
        cmocka_unit_test(many_updates_in_a_row_are_followed),
        cmocka_unit_test(other_values_are_refused),
        cmocka_unit_test(other_lengths_are_refused),
        cmocka_unit_test(an_update_before_finished_is_refused),
        cmocka_unit_test(a_message_behind_an_update_is_refused),
        cmocka_unit_test(data_under_the_old_key_is_refused),
        cmocka_unit_test(an_update_in_pieces_is_accepted),
        cmocka_unit_test(data_between_the_pieces_of_an_update_is_refused),
        cmocka_unit_test(no_update_is_sent_beyond_the_bound),
        cmocka_unit_test(keys_are_renewed_after_so_many_bytes),
        cmocka_unit_test(keys_are_renewed_after_so_much_time),
        cmocka_unit_test(no_update_is_wanted_before_the_handshake_is_complete),
        cmocka_unit_test(a_peer_that_keeps_its_keys_is_asked_for_new_ones),
        cmocka_unit_test(aegis_keys_are_renewed_before_2_to_the_48_records),
        cmocka_unit_test(no_aegis_record_is_sealed_past_2_to_the_48),
        cmocka_unit_test(no_update_is_wanted_that_could_not_be_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
