/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Alerts in both directions (RFC 8446, 6; RFC 9846, 6). */

#include "pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct pair pair;
static struct toy_buffer content;

static const enum pair_state connected[] = {PAIR_CLIENT_CONNECTED, PAIR_SERVER_CONNECTED};

static enum tls_result send_alert(uint8_t level, uint8_t alert)
{
    return pair_send(&pair, TOY_ALERT, (const uint8_t[]){level, alert}, 2);
}

/* The engine failed without an alert of its own: none answers an alert. */
static void expect_ended_by_peer(enum tls_result result, uint8_t alert)
{
    uint8_t type;
    assert_int_equal(pair.engine.result, result);
    assert_int_equal(pair.engine.session.failure, result);
    assert_int_equal(pair.engine.session.alert_in, alert);
    assert_int_equal(pair.engine.session.alert_out, TLS_ALERT_NONE);
    assert_int_equal(pair.engine.data.len, 0);
    assert_false(pair_read(&pair, &type, &content));
    assert_int_equal(endpoint_send(&pair.engine, "a", 1), result);
}

static void close_notify_ends_one_direction(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        uint8_t type = 0;
        pair_reach(&pair, connected[i % 2], TOY_CHACHA20);
        assert_int_equal(send_alert((uint8_t)(1 + i / 2), TLS_ALERT_CLOSE_NOTIFY), TLS_OK);
        assert_int_equal(pair.engine.events[TLS_EVENT_CLOSE], 1);
        assert_true(pair.engine.session.closed_in);
        assert_int_equal(pair.engine.session.failure, TLS_OK);
        assert_int_equal(pair.engine.session.alert_in, TLS_ALERT_CLOSE_NOTIFY);
        assert_int_equal(endpoint_send(&pair.engine, "still here", 10), TLS_OK);
        assert_true(pair_read(&pair, &type, &content));
        assert_int_equal(type, TOY_DATA);
        assert_int_equal(content.len, 10);
    }
}

/* 6.1: what comes after close_notify is ignored; whether by an error or in silence, none of it is data. */
static void data_after_close_notify_is_not_delivered(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        pair_reach(&pair, connected[i], TOY_CHACHA20);
        assert_int_equal(send_alert(1, TLS_ALERT_CLOSE_NOTIFY), TLS_OK);
        pair_send(&pair, TOY_DATA, "late", 4);
        assert_int_equal(pair.engine.data.len, 0);
        assert_true(pair.engine.session.closed_in);
    }
}

static void close_notify_during_the_handshake_fails_it(void **state)
{
    (void)state;
    for (int where = PAIR_CLIENT_WAIT_SH; where <= PAIR_SERVER_CONNECTED; where++) {
        if (where == PAIR_CLIENT_CONNECTED || where == PAIR_SERVER_CONNECTED)
            continue;
        pair_reach(&pair, (enum pair_state)where, TOY_CHACHA20);
        send_alert(1, TLS_ALERT_CLOSE_NOTIFY);
        assert_int_equal(pair.engine.result, TLS_FAIL_PROTOCOL);
        assert_false(pair.engine.session.complete);
    }
}

static void user_canceled_is_passed_over(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        pair_reach(&pair, connected[i % 2], TOY_CHACHA20);
        assert_int_equal(send_alert((uint8_t)(1 + i / 2), TLS_ALERT_USER_CANCELED), TLS_OK);
        assert_int_equal(pair.engine.events[TLS_EVENT_NONE], 1);
        pair_expect_connected(&pair);
        assert_int_equal(send_alert(1, TLS_ALERT_CLOSE_NOTIFY), TLS_OK);
        assert_int_equal(pair.engine.events[TLS_EVENT_CLOSE], 1);
    }
}

/* RFC 8446, 6: each alert but these two is fatal whatever its level says, known or not. */
static void every_other_alert_is_fatal(void **state)
{
    (void)state;
    for (int alert = 0; alert < 2 * 256; alert++) {
        uint8_t description = (uint8_t)(alert / 2);
        if (description == TLS_ALERT_CLOSE_NOTIFY || description == TLS_ALERT_USER_CANCELED ||
            description == TLS_ALERT_NONE)
            continue;
        pair_reach(&pair, connected[alert % 2], TOY_CHACHA20);
        send_alert((uint8_t)(1 + alert / 2 % 2), description);
        expect_ended_by_peer(TLS_FAIL_PEER_ALERT, description);
    }
}

static void malformed_alerts_are_refused(void **state)
{
    (void)state;
    static const enum tls_alert alerts[] = {TLS_ALERT_DECODE_ERROR, TLS_ALERT_UNEXPECTED_MESSAGE,
                                            TLS_ALERT_ILLEGAL_PARAMETER, TLS_ALERT_NONE};
    static const enum pair_state states[] = {PAIR_CLIENT_WAIT_SH,       PAIR_CLIENT_WAIT_EE,
                                             PAIR_CLIENT_CONNECTED,     PAIR_SERVER_WAIT_CH,
                                             PAIR_SERVER_WAIT_FINISHED, PAIR_SERVER_CONNECTED};
    static const size_t lengths[] = {1, 3, 4};
    for (size_t i = 0; i < 6 * 3; i++) {
        pair_reach(&pair, states[i / 3], TOY_CHACHA20);
        pair_send(&pair, TOY_ALERT, "\1\0\1\0", lengths[i % 3]);
        pair_expect_one_of(&pair, TLS_FAIL_PROTOCOL, alerts);
    }
}

/* 5.4: an alert record of length zero is unexpected_message. */
static void empty_alerts_are_refused(void **state)
{
    (void)state;
    for (int where = PAIR_CLIENT_WAIT_SH; where <= PAIR_SERVER_CONNECTED; where++) {
        pair_reach(&pair, (enum pair_state)where, TOY_CHACHA20);
        pair_send(&pair, TOY_ALERT, NULL, 0);
        pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_UNEXPECTED_MESSAGE);
    }
}

static void an_alert_in_the_clear_is_refused_once_connected(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct toy_buffer wire = {.len = 0};
        pair_reach(&pair, connected[i % 2], TOY_CHACHA20);
        toy_plain_record(&wire, TOY_ALERT, i < 2 ? "\2\50" : "\1\0", 2);
        endpoint_receive(&pair.engine, wire.data, wire.len);
        pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_UNEXPECTED_MESSAGE);
    }
}

/* In place of a ServerHello two alerts say that the server refused our key (RFC 8446, 4.2.11, 6.2). Others
 * may mean that no suite or group is in common, or that an extension is missing: not another key. */
static void alerts_that_refuse_the_key_are_told_apart(void **state)
{
    (void)state;
    static const uint8_t key[] = {TLS_ALERT_DECRYPT_ERROR, TLS_ALERT_UNKNOWN_PSK_IDENTITY};
    static const uint8_t other[] = {
        TLS_ALERT_PROTOCOL_VERSION,  TLS_ALERT_INTERNAL_ERROR,    TLS_ALERT_DECODE_ERROR,
        TLS_ALERT_ACCESS_DENIED,     TLS_ALERT_ILLEGAL_PARAMETER, TLS_ALERT_HANDSHAKE_FAILURE,
        TLS_ALERT_MISSING_EXTENSION, TLS_ALERT_BAD_RECORD_MAC,    TLS_ALERT_INSUFFICIENT_SECURITY};
    for (size_t i = 0; i < sizeof key; i++) {
        pair_begin(&pair, TLS_CLIENT, TOY_CHACHA20);
        send_alert(2, key[i]);
        expect_ended_by_peer(TLS_FAIL_KEY, key[i]);
    }
    for (size_t i = 0; i < sizeof other; i++) {
        pair_begin(&pair, TLS_CLIENT, TOY_CHACHA20);
        send_alert(2, other[i]);
        expect_ended_by_peer(TLS_FAIL_PROTOCOL, other[i]);
    }
}

static void a_decrypt_error_in_place_of_finished_is_a_key_failure(void **state)
{
    (void)state;
    pair_reach(&pair, PAIR_SERVER_WAIT_FINISHED, TOY_CHACHA20);
    send_alert(2, TLS_ALERT_DECRYPT_ERROR);
    expect_ended_by_peer(TLS_FAIL_KEY, TLS_ALERT_DECRYPT_ERROR);
    assert_false(pair.engine.session.complete);
}

static void alerts_sent_are_sealed_once_keys_stand(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        uint8_t type = 0;
        pair_reach(&pair, connected[i], TOY_CHACHA20);
        size_t before = pair.engine.out.len;
        endpoint_alert(&pair.engine, TLS_ALERT_CLOSE_NOTIFY);
        assert_int_equal(pair.engine.out.data[before], TOY_DATA);
        assert_true(pair_read(&pair, &type, &content));
        assert_int_equal(type, TOY_ALERT);
        assert_int_equal(content.len, 2);
        assert_memory_equal(content.data, "\1\0", 2);
    }
}

static void alerts_sent_before_keys_are_plain_and_fatal(void **state)
{
    (void)state;
    pair_begin(&pair, TLS_SERVER, TOY_CHACHA20);
    endpoint_alert(&pair.engine, TLS_ALERT_INTERNAL_ERROR);
    assert_int_equal(pair.engine.out.len, 7);
    assert_memory_equal(pair.engine.out.data, "\25\3\3\0\2\2\120", 7);
}

/* An alert within a handshake message in pieces (5.1). */
static void an_alert_between_fragments_is_refused(void **state)
{
    (void)state;
    static const uint8_t start[] = {TOY_KEY_UPDATE, 0, 0};
    for (size_t i = 0; i < 2; i++) {
        pair_reach(&pair, connected[i], TOY_CHACHA20);
        assert_int_equal(pair_send(&pair, TOY_HANDSHAKE, start, sizeof start), TLS_OK);
        send_alert(1, TLS_ALERT_USER_CANCELED);
        pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_UNEXPECTED_MESSAGE);
    }
}

static void a_failure_from_outside_is_sticky_and_wipes_secrets(void **state)
{
    (void)state;
    static const uint8_t zeros[32];
    pair_reach(&pair, PAIR_CLIENT_CONNECTED, TOY_CHACHA20);
    tls_session_fail(&pair.engine.session, TLS_FAIL_PROTOCOL);
    tls_session_fail(&pair.engine.session, TLS_FAIL_KEY);
    assert_int_equal(pair.engine.session.failure, TLS_FAIL_PROTOCOL);
    assert_int_equal(endpoint_send(&pair.engine, "a", 1), TLS_FAIL_PROTOCOL);
    assert_memory_equal(pair.engine.session.rx.secret, zeros, 32);
    assert_memory_equal(pair.engine.session.tx.secret, zeros, 32);
    assert_memory_equal(pair.engine.session.rx.key, zeros, 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(close_notify_ends_one_direction),
        cmocka_unit_test(data_after_close_notify_is_not_delivered),
        cmocka_unit_test(close_notify_during_the_handshake_fails_it),
        cmocka_unit_test(user_canceled_is_passed_over),
        cmocka_unit_test(every_other_alert_is_fatal),
        cmocka_unit_test(malformed_alerts_are_refused),
        cmocka_unit_test(empty_alerts_are_refused),
        cmocka_unit_test(an_alert_in_the_clear_is_refused_once_connected),
        cmocka_unit_test(alerts_that_refuse_the_key_are_told_apart),
        cmocka_unit_test(a_decrypt_error_in_place_of_finished_is_a_key_failure),
        cmocka_unit_test(alerts_sent_are_sealed_once_keys_stand),
        cmocka_unit_test(alerts_sent_before_keys_are_plain_and_fatal),
        cmocka_unit_test(an_alert_between_fragments_is_refused),
        cmocka_unit_test(a_failure_from_outside_is_sticky_and_wipes_secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
