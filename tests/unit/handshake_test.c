/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Rules that hold in every state of the handshake: alerts and pieces between messages, bounds, compatibility
 * mode. */

#include "pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct pair pair;
static struct toy_hello hello;
static struct toy_buffer message;

static const enum pair_state waiting[] = {
    PAIR_CLIENT_WAIT_SH, PAIR_CLIENT_WAIT_SH_RETRIED, PAIR_CLIENT_WAIT_EE,      PAIR_CLIENT_WAIT_FINISHED,
    PAIR_SERVER_WAIT_CH, PAIR_SERVER_WAIT_CH_RETRIED, PAIR_SERVER_WAIT_FINISHED};

enum { WAITING = sizeof waiting / sizeof *waiting };

/* Sends the first bytes of the message that the state waits for. */
static void send_a_fragment(enum pair_state state)
{
    static const uint8_t types[] = {
        [PAIR_CLIENT_WAIT_SH] = TOY_SERVER_HELLO,         [PAIR_CLIENT_WAIT_SH_RETRIED] = TOY_SERVER_HELLO,
        [PAIR_CLIENT_WAIT_EE] = TOY_ENCRYPTED_EXTENSIONS, [PAIR_CLIENT_WAIT_FINISHED] = TOY_FINISHED,
        [PAIR_SERVER_WAIT_CH] = TOY_CLIENT_HELLO,         [PAIR_SERVER_WAIT_CH_RETRIED] = TOY_CLIENT_HELLO,
        [PAIR_SERVER_WAIT_FINISHED] = TOY_FINISHED};
    uint8_t start[] = {types[state], 0, 0};
    assert_int_equal(pair_send(&pair, TOY_HANDSHAKE, start, sizeof start), TLS_OK);
}

/* RFC 8446, 5.1. */
static void an_alert_within_a_message_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < WAITING; i++) {
        pair_reach(&pair, waiting[i], TOY_CHACHA20);
        send_a_fragment(waiting[i]);
        pair_send(&pair, TOY_ALERT, "\1\132", 2);
        pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_UNEXPECTED_MESSAGE);
    }
}

static void application_data_within_a_message_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < WAITING; i++) {
        pair_reach(&pair, waiting[i], TOY_CHACHA20);
        send_a_fragment(waiting[i]);
        pair_send(&pair, TOY_DATA, "between", 7);
        pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_UNEXPECTED_MESSAGE);
    }
}

static void a_change_cipher_spec_within_a_message_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < WAITING; i++) {
        struct toy_buffer wire = {.len = 0};
        pair_reach(&pair, waiting[i], TOY_CHACHA20);
        send_a_fragment(waiting[i]);
        toy_plain_record(&wire, TOY_CCS, "\1", 1);
        endpoint_receive(&pair.engine, wire.data, wire.len);
        pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_UNEXPECTED_MESSAGE);
    }
}

/* RFC 9846, 6.1: user_canceled is no error. */
static void user_canceled_is_passed_over(void **state)
{
    (void)state;
    static const uint8_t no_extensions[] = {0, 0};
    pair_begin(&pair, TLS_CLIENT, TOY_CHACHA20);
    assert_int_equal(pair_send(&pair, TOY_ALERT, "\1\132", 2), TLS_OK);
    toy_server_hello(&pair.toy, &hello);
    assert_int_equal(pair_server_hello(&pair, &hello), TLS_OK);
    assert_int_equal(pair_send(&pair, TOY_ALERT, "\1\132", 2), TLS_OK);
    assert_int_equal(pair_encrypted_extensions(&pair, no_extensions, sizeof no_extensions), TLS_OK);
    assert_int_equal(pair_server_finished(&pair), TLS_OK);
    pair_read_client_finished(&pair);
    pair_expect_connected(&pair);
    pair_reach(&pair, PAIR_SERVER_WAIT_FINISHED, TOY_CHACHA20);
    assert_int_equal(pair_send(&pair, TOY_ALERT, "\2\132", 2), TLS_OK);
    assert_int_equal(pair_client_finished(&pair), TLS_OK);
    pair_expect_connected(&pair);
}

/* What the peer's alert says about keys (RFC 8446, 6.2). */
static enum tls_result meaning(uint8_t alert)
{
    return alert == TLS_ALERT_DECRYPT_ERROR || alert == TLS_ALERT_UNKNOWN_PSK_IDENTITY ? TLS_FAIL_KEY
                                                                                       : TLS_FAIL_PROTOCOL;
}

static void each_alert_ends_the_handshake(void **state)
{
    (void)state;
    static const uint8_t alerts[] = {TLS_ALERT_CLOSE_NOTIFY,
                                     TLS_ALERT_HANDSHAKE_FAILURE,
                                     TLS_ALERT_ILLEGAL_PARAMETER,
                                     TLS_ALERT_INTERNAL_ERROR,
                                     TLS_ALERT_DECRYPT_ERROR,
                                     TLS_ALERT_UNKNOWN_PSK_IDENTITY,
                                     200};
    for (size_t i = 0; i < WAITING * sizeof alerts; i++) {
        enum pair_state where = waiting[i % WAITING];
        uint8_t alert = alerts[i / WAITING];
        pair_reach(&pair, where, TOY_CHACHA20);
        size_t before = pair.engine.out.len;
        pair_send(&pair, TOY_ALERT, (const uint8_t[]){1, alert}, 2);
        assert_int_equal(pair.engine.result, meaning(alert));
        assert_int_equal(pair.engine.session.alert_in, alert);
        assert_false(pair.engine.session.complete);
        assert_true(pair.engine.out.len == before || alert == TLS_ALERT_CLOSE_NOTIFY);
    }
}

/* A client that could not use our ServerHello has no keys for its alert; one that has sent a protected record
 * has. */
static void a_plain_alert_to_a_server_counts_before_the_first_protected_record_only(void **state)
{
    (void)state;
    struct toy_buffer wire = {.len = 0};
    toy_plain_record(&wire, TOY_ALERT, "\2\57", 2);
    pair_reach(&pair, PAIR_SERVER_WAIT_FINISHED, TOY_CHACHA20);
    assert_int_equal(endpoint_receive(&pair.engine, wire.data, wire.len), TLS_FAIL_PROTOCOL);
    assert_int_equal(pair.engine.session.alert_in, TLS_ALERT_ILLEGAL_PARAMETER);
    pair_reach(&pair, PAIR_SERVER_WAIT_FINISHED, TOY_CHACHA20);
    assert_int_equal(pair_send(&pair, TOY_ALERT, "\1\132", 2), TLS_OK);
    endpoint_receive(&pair.engine, wire.data, wire.len);
    pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_UNEXPECTED_MESSAGE);
}

static uint8_t message_awaited(enum pair_state state)
{
    switch (state) {
    case PAIR_CLIENT_WAIT_SH:
    case PAIR_CLIENT_WAIT_SH_RETRIED:
        return TOY_SERVER_HELLO;
    case PAIR_CLIENT_WAIT_EE:
        return TOY_ENCRYPTED_EXTENSIONS;
    case PAIR_SERVER_WAIT_CH:
    case PAIR_SERVER_WAIT_CH_RETRIED:
        return TOY_CLIENT_HELLO;
    default:
        return TOY_FINISHED;
    }
}

/* The longest body of that message, by the lengths of its vectors. */
static size_t longest_body(uint8_t type)
{
    switch (type) {
    case TOY_SERVER_HELLO:
        return 2 + 32 + 1 + 32 + 2 + 1 + 2 + 65535;
    case TOY_ENCRYPTED_EXTENSIONS:
        return 2 + 65535;
    case TOY_CLIENT_HELLO:
        return 2 + 32 + 1 + 32 + 2 + 65534 + 1 + 255 + 2 + 65535;
    default:
        return 32;
    }
}

/* RFC 8446, 6.2: a length that cannot be is decode_error. The header settles it. */
static void a_message_longer_than_it_can_be_does_not_decode(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * WAITING; i++) {
        enum pair_state where = waiting[i / 2];
        uint8_t type = message_awaited(where);
        size_t len = i % 2 ? 0xffffff : longest_body(type) + 1;
        uint8_t header[] = {type, (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len};
        pair_reach(&pair, where, TOY_CHACHA20);
        pair_send(&pair, TOY_HANDSHAKE, header, sizeof header);
        pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_DECODE_ERROR);
    }
}

/* A server's message that is possible and still longer than a client has room for. */
static void a_servers_message_of_an_unreasonable_length_is_refused(void **state)
{
    (void)state;
    static const enum pair_state states[] = {PAIR_CLIENT_WAIT_SH, PAIR_CLIENT_WAIT_EE};
    for (size_t i = 0; i < 2; i++) {
        uint8_t header[] = {message_awaited(states[i]), 0, 0xf0, 0};
        pair_reach(&pair, states[i], TOY_CHACHA20);
        pair_send(&pair, TOY_HANDSHAKE, header, sizeof header);
        pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_ILLEGAL_PARAMETER);
    }
}

/* A ClientHello with `count` empty extensions of types that nobody has. */
static enum tls_result send_extensions(size_t count)
{
    struct toy_buffer whole = {.len = 0};
    pair_begin(&pair, TLS_SERVER, TOY_CHACHA20);
    toy_client_hello(&pair.toy, &hello);
    toy_hello_encode(&hello, &message);
    size_t block = 4 + 2 + 32 + 1 + 2 + hello.suites_len + 1 + 1;
    toy_put(&whole, message.data, block);
    toy_put_number(&whole, message.len - block - 2 + 4 * count, 2);
    for (size_t i = 0; i < count; i++) {
        toy_put_number(&whole, 0xf000 + i, 2);
        toy_put_number(&whole, 0, 2);
    }
    toy_put(&whole, message.data + block + 2, message.len - block - 2);
    whole.data[2] = (uint8_t)((whole.len - 4) >> 8);
    whole.data[3] = (uint8_t)(whole.len - 4);
    toy_bind(&pair.toy, &whole, 1);
    return pair_send_message(&pair, &whole);
}

/* RFC 8446, 4.1.2: a server ignores those that it does not know. */
static void many_extensions_are_taken(void **state)
{
    (void)state;
    static const size_t counts[] = {40, 65, 1900};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(send_extensions(counts[i]), TLS_OK);
        assert_true(pair.engine.session.can_send);
    }
}

/* A second ClientHello that a client has no room for: refused, rather than sent in part. */
static void a_cookie_too_long_to_echo_is_refused(void **state)
{
    (void)state;
    static const enum tls_alert alerts[] = {TLS_ALERT_ILLEGAL_PARAMETER, TLS_ALERT_INTERNAL_ERROR,
                                            TLS_ALERT_HANDSHAKE_FAILURE, TLS_ALERT_NONE};
    static uint8_t cookie[18080];
    pair_begin(&pair, TLS_CLIENT, TOY_CHACHA20);
    toy_retry_request(&pair.toy, &hello, cookie, sizeof cookie);
    pair_retry_request(&pair, &hello);
    assert_int_not_equal(pair.engine.result, TLS_OK);
    pair_expect_one_of(&pair, pair.engine.result, alerts);
}

static size_t count_ccs(size_t from)
{
    const struct toy_buffer *out = &pair.engine.out;
    size_t found = 0;
    for (size_t at = from; at < out->len; at += 5 + toy_number(out->data + at + 3, 2))
        found += out->data[at] == TOY_CCS;
    return found;
}

/* RFC 8446, D.4: one change_cipher_spec, right after the first of HelloRetryRequest and ServerHello. */
static void a_retried_client_with_a_session_id_gets_one_change_cipher_spec(void **state)
{
    (void)state;
    pair_begin(&pair, TLS_SERVER, TOY_CHACHA20);
    pair_shareless_hello(&pair, &hello);
    hello.session_id_len = 32;
    assert_int_equal(pair_client_hello(&pair, &hello, 1), TLS_OK);
    assert_int_equal(count_ccs(0), 1);
    pair_read_retry_request(&pair);
    assert_int_equal(pair.toy.peer.session_id_len, 32);
    size_t before = pair.engine.out.len;
    pair_second_hello(&pair, &hello);
    hello.session_id_len = 32;
    struct toy_buffer wire = {.len = 0};
    toy_plain_record(&wire, TOY_CCS, "\1", 1);
    assert_int_equal(endpoint_receive(&pair.engine, wire.data, wire.len), TLS_OK);
    assert_int_equal(pair_client_hello(&pair, &hello, 1), TLS_OK);
    assert_int_equal(count_ccs(before), 0);
    pair_read_server_hello(&pair);
    pair_read_server_flight(&pair);
    assert_int_equal(pair_client_finished(&pair), TLS_OK);
    pair_expect_connected(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_alert_within_a_message_is_refused),
        cmocka_unit_test(application_data_within_a_message_is_refused),
        cmocka_unit_test(a_change_cipher_spec_within_a_message_is_refused),
        cmocka_unit_test(user_canceled_is_passed_over),
        cmocka_unit_test(each_alert_ends_the_handshake),
        cmocka_unit_test(a_plain_alert_to_a_server_counts_before_the_first_protected_record_only),
        cmocka_unit_test(a_message_longer_than_it_can_be_does_not_decode),
        cmocka_unit_test(a_servers_message_of_an_unreasonable_length_is_refused),
        cmocka_unit_test(many_extensions_are_taken),
        cmocka_unit_test(a_cookie_too_long_to_echo_is_refused),
        cmocka_unit_test(a_retried_client_with_a_session_id_gets_one_change_cipher_spec),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
