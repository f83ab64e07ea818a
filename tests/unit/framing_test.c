/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* tls_record_size(), sequence numbers at their end, and change_cipher_spec (RFC 8446, 5, 5.1, 5.2, 5.3). */

#include "pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct pair pair;

static const enum pair_state states[] = {
    PAIR_CLIENT_WAIT_SH, PAIR_CLIENT_WAIT_SH_RETRIED, PAIR_CLIENT_WAIT_EE,       PAIR_CLIENT_CONNECTED,
    PAIR_SERVER_WAIT_CH, PAIR_SERVER_WAIT_CH_RETRIED, PAIR_SERVER_WAIT_FINISHED, PAIR_SERVER_CONNECTED};

enum { STATES = sizeof states / sizeof *states };

static bool keys_stand(enum pair_state state)
{
    return state != PAIR_CLIENT_WAIT_SH && state != PAIR_CLIENT_WAIT_SH_RETRIED &&
           state != PAIR_SERVER_WAIT_CH && state != PAIR_SERVER_WAIT_CH_RETRIED;
}

static void a_header_is_not_judged_before_it_is_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < STATES; i++) {
        uint8_t header[] = {keys_stand(states[i]) ? TOY_DATA : TOY_HANDSHAKE, 3, 3, 0, 100};
        pair_reach(&pair, states[i], TOY_CHACHA20);
        for (size_t have = 0; have < sizeof header; have++) {
            size_t size = 77;
            assert_int_equal(tls_record_size(&pair.engine.session, header, have, &size), TLS_OK);
            assert_int_equal(size, 0);
        }
        size_t size = 0;
        assert_int_equal(tls_record_size(&pair.engine.session, header, sizeof header, &size), TLS_OK);
        assert_int_equal(size, 105);
        assert_int_equal(tls_record_size(&pair.engine.session, (const uint8_t[]){99}, 0, &size), TLS_OK);
        assert_int_equal(size, 0);
    }
}

/* A type that no record has is refused at its first byte, so that a peer of another protocol is told apart at
 * once. */
static void types_that_no_record_has_are_refused_at_once(void **state)
{
    (void)state;
    for (int i = 0; i < 256 * STATES; i++) {
        int type = i / STATES;
        if (type >= TOY_CCS && type <= TOY_DATA)
            continue;
        uint8_t first = (uint8_t)type;
        size_t size = 0;
        pair_reach(&pair, states[i % STATES], TOY_CHACHA20);
        pair.engine.result = tls_record_size(&pair.engine.session, &first, 1, &size);
        pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_UNEXPECTED_MESSAGE);
    }
}

static void versions_that_no_record_has_are_refused(void **state)
{
    (void)state;
    static const enum tls_alert alerts[] = {TLS_ALERT_PROTOCOL_VERSION, TLS_ALERT_DECODE_ERROR,
                                            TLS_ALERT_UNEXPECTED_MESSAGE, TLS_ALERT_ILLEGAL_PARAMETER,
                                            TLS_ALERT_NONE};
    for (size_t i = 0; i < 4 * STATES; i++) {
        static const uint8_t majors[] = {0, 2, 4, 0x54};
        uint8_t header[] = {keys_stand(states[i / 4]) ? TOY_DATA : TOY_HANDSHAKE, majors[i % 4]};
        size_t size = 0;
        pair_reach(&pair, states[i / 4], TOY_CHACHA20);
        pair.engine.result = tls_record_size(&pair.engine.session, header, sizeof header, &size);
        pair_expect_one_of(&pair, TLS_FAIL_PROTOCOL, alerts);
    }
}

static void protocols_other_than_tls_are_told_apart(void **state)
{
    (void)state;
    static const char *const greetings[] = {"GET / HTTP/1.1\r\n", "SSH-2.0-OpenSSH",
                                            "HTTP/1.1 400 Bad Request", "220 mail ESMTP",
                                            "\x80\x2e\x01\x03\x01"};
    for (size_t i = 0; i < 2 * sizeof greetings / sizeof *greetings; i++) {
        pair_begin(&pair, i % 2 ? TLS_CLIENT : TLS_SERVER, TOY_CHACHA20);
        endpoint_receive(&pair.engine, greetings[i / 2], strlen(greetings[i / 2]));
        assert_int_equal(pair.engine.result, TLS_FAIL_PROTOCOL);
        assert_non_null(strstr(tls_session_reason(&pair.engine.session), "not speak TLS"));
    }
}

static void record_lengths_are_bounded(void **state)
{
    (void)state;
    for (size_t i = 0; i < STATES; i++) {
        bool keys = keys_stand(states[i]);
        size_t max = keys ? TLS_CIPHERTEXT_MAX : TLS_PLAINTEXT_MAX, size = 0;
        uint8_t header[] = {keys ? TOY_DATA : TOY_HANDSHAKE, 3, 3, (uint8_t)(max >> 8), (uint8_t)max};
        pair_reach(&pair, states[i], TOY_CHACHA20);
        assert_int_equal(tls_record_size(&pair.engine.session, header, sizeof header, &size), TLS_OK);
        assert_int_equal(size, 5 + max);
        header[4]++;
        pair.engine.result = tls_record_size(&pair.engine.session, header, sizeof header, &size);
        pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_RECORD_OVERFLOW);
    }
}

static void the_longest_length_field_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < STATES; i++) {
        uint8_t header[] = {keys_stand(states[i]) ? TOY_DATA : TOY_HANDSHAKE, 3, 3, 0xff, 0xff};
        pair_reach(&pair, states[i], TOY_CHACHA20);
        endpoint_receive(&pair.engine, header, sizeof header);
        pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_RECORD_OVERFLOW);
    }
}

static void the_last_sequence_number_is_not_passed_when_sealing(void **state)
{
    (void)state;
    static struct toy_buffer content;
    uint8_t out[64], type = 0;
    size_t len = 0;
    pair_reach(&pair, PAIR_CLIENT_CONNECTED, TOY_CHACHA20);
    pair.engine.session.tx.sequence = UINT64_MAX - 1;
    pair.toy.rx.sequence = UINT64_MAX - 1;
    enum tls_result result = TLS_OK;
    for (int i = 0; i < 3 && result == TLS_OK; i++) {
        result = tls_session_seal(&pair.engine.session, (const uint8_t *)"a", 1, out, &len);
        if (result == TLS_OK)
            assert_true(toy_open(&pair.toy.rx, out, len, &type, &content));
    }
    assert_int_equal(result, TLS_FAIL_LIMIT);
    assert_true(pair.engine.session.tx.sequence >= UINT64_MAX - 1);
}

static void the_last_sequence_number_is_not_passed_when_opening(void **state)
{
    (void)state;
    pair_reach(&pair, PAIR_SERVER_CONNECTED, TOY_CHACHA20);
    pair.engine.session.rx.sequence = UINT64_MAX - 1;
    pair.toy.tx.sequence = UINT64_MAX - 1;
    enum tls_result result = TLS_OK;
    for (int i = 0; i < 3 && result == TLS_OK; i++)
        result = pair_send(&pair, TOY_DATA, "a", 1);
    assert_int_equal(result, TLS_FAIL_LIMIT);
    assert_true(pair.engine.data.len <= 2);
}

/* 5.3: not even by what is not data. */
static void no_record_of_any_type_is_sealed_past_the_last_sequence_number(void **state)
{
    (void)state;
    pair_reach(&pair, PAIR_CLIENT_CONNECTED, TOY_CHACHA20);
    size_t before = pair.engine.out.len;
    pair.engine.session.tx.sequence = UINT64_MAX;
    endpoint_alert(&pair.engine, TLS_ALERT_USER_CANCELED);
    assert_int_equal(pair.engine.out.len, before);
    assert_int_equal(endpoint_key_update(&pair.engine, false), TLS_FAIL_LIMIT);
    assert_int_equal(pair.engine.out.len, before);
}

static enum tls_result send_ccs(const void *body, size_t len)
{
    struct toy_buffer wire = {.len = 0};
    toy_plain_record(&wire, TOY_CCS, body, len);
    return endpoint_receive(&pair.engine, wire.data, wire.len);
}

/* Between the first ClientHello and the peer's Finished (RFC 8446, 5). */
static bool in_ccs_window(enum pair_state state)
{
    return state != PAIR_SERVER_WAIT_CH && state != PAIR_CLIENT_CONNECTED && state != PAIR_SERVER_CONNECTED;
}

static void change_cipher_spec_is_dropped_during_the_handshake_only(void **state)
{
    (void)state;
    for (int where = PAIR_CLIENT_WAIT_SH; where <= PAIR_SERVER_CONNECTED; where++) {
        pair_reach(&pair, (enum pair_state)where, TOY_CHACHA20);
        size_t before = pair.engine.out.len;
        enum tls_result result = send_ccs("\1", 1);
        if (in_ccs_window((enum pair_state)where)) {
            assert_int_equal(result, TLS_OK);
            assert_int_equal(pair.engine.out.len, before);
        } else {
            pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_UNEXPECTED_MESSAGE);
        }
    }
}

static void a_change_cipher_spec_of_another_form_is_refused(void **state)
{
    (void)state;
    static const struct {
        size_t len;
        uint8_t bytes[2];
    } bodies[] = {{0, {0}}, {1, {0}}, {1, {2}}, {1, {0xff}}, {2, {1, 1}}, {2, {1, 0}}};
    for (int where = PAIR_CLIENT_WAIT_SH; where <= PAIR_SERVER_CONNECTED; where++) {
        for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
            pair_reach(&pair, (enum pair_state)where, TOY_CHACHA20);
            send_ccs(bodies[i].bytes, bodies[i].len);
            pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_UNEXPECTED_MESSAGE);
        }
    }
}

static void an_encrypted_change_cipher_spec_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < STATES; i++) {
        if (!keys_stand(states[i]))
            continue;
        pair_reach(&pair, states[i], TOY_CHACHA20);
        pair_send(&pair, TOY_CCS, "\1", 1);
        pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_UNEXPECTED_MESSAGE);
    }
}

/* 5.1: a message in pieces has no record of another type between them, change_cipher_spec included (RFC 9846,
 * 5). */
static void a_change_cipher_spec_within_a_message_is_refused(void **state)
{
    (void)state;
    pair_reach(&pair, PAIR_CLIENT_WAIT_EE, TOY_CHACHA20);
    assert_int_equal(pair_send(&pair, TOY_HANDSHAKE, (const uint8_t[]){TOY_ENCRYPTED_EXTENSIONS, 0}, 2),
                     TLS_OK);
    send_ccs("\1", 1);
    pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_UNEXPECTED_MESSAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_header_is_not_judged_before_it_is_whole),
        cmocka_unit_test(types_that_no_record_has_are_refused_at_once),
        cmocka_unit_test(versions_that_no_record_has_are_refused),
        cmocka_unit_test(protocols_other_than_tls_are_told_apart),
        cmocka_unit_test(record_lengths_are_bounded),
        cmocka_unit_test(the_longest_length_field_is_refused),
        cmocka_unit_test(the_last_sequence_number_is_not_passed_when_sealing),
        cmocka_unit_test(the_last_sequence_number_is_not_passed_when_opening),
        cmocka_unit_test(no_record_of_any_type_is_sealed_past_the_last_sequence_number),
        cmocka_unit_test(change_cipher_spec_is_dropped_during_the_handshake_only),
        cmocka_unit_test(a_change_cipher_spec_of_another_form_is_refused),
        cmocka_unit_test(an_encrypted_change_cipher_spec_is_refused),
        cmocka_unit_test(a_change_cipher_spec_within_a_message_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
