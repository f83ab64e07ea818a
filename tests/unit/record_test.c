/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Records of an established session, and the framing of all (RFC 8446, 5). */

#include "pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct pair pair;
static struct toy_buffer wire;
static uint8_t content[TLS_PLAINTEXT_MAX + 1024];

static const enum pair_state connected[] = {PAIR_CLIENT_CONNECTED, PAIR_SERVER_CONNECTED};

/* Runs `test` with each suite, as client and as server, opening in place and not. */
static void everywhere(void (*test)(enum pair_state state, uint16_t suite))
{
    size_t count;
    const uint16_t *suites = pair_suites(&count);
    for (size_t i = 0; i < 2 * count; i++)
        test(connected[i % 2], suites[i / 2]);
}

static enum tls_result receive(void)
{
    return endpoint_receive(&pair.engine, wire.data, wire.len);
}

static void exchange_sizes(enum pair_state state, uint16_t suite)
{
    static const size_t sizes[] = {0, 1, 2, 15, 16, 17, 255, 4096, 16383, 16384};
    static struct toy_buffer got;
    pair_reach(&pair, state, suite);
    for (size_t i = 0; i < 2 * sizeof sizes / sizeof *sizes; i++) {
        size_t len = sizes[i / 2];
        uint8_t type = 0;
        endpoint_random(content, len);
        pair.engine.in_place = i % 2;
        pair.engine.data.len = 0;
        assert_int_equal(pair_send(&pair, TOY_DATA, content, len), TLS_OK);
        assert_int_equal(pair.engine.events[TLS_EVENT_DATA], i + 1);
        assert_int_equal(pair.engine.data.len, len);
        assert_memory_equal(pair.engine.data.data, content, len);
        pair.engine.out.len = pair.read_at = 0;
        assert_int_equal(endpoint_send(&pair.engine, content, len), TLS_OK);
        assert_int_equal(pair.engine.out.len, len + TLS_SEAL_OVERHEAD);
        assert_int_equal(TLS_SEAL_OVERHEAD, 5 + 1 + TOY_TAG_LEN);
        assert_true(pair_read(&pair, &type, &got));
        assert_int_equal(type, TOY_DATA);
        assert_int_equal(got.len, len);
        assert_memory_equal(got.data, content, len);
    }
}

static void records_of_0_to_16384_bytes_go_through(void **state)
{
    (void)state;
    everywhere(exchange_sizes);
}

static void sealing_more_than_16384_bytes_is_misuse(void **state)
{
    (void)state;
    static uint8_t out[TLS_RECORD_MAX + 64];
    size_t len = 0;
    pair_reach(&pair, PAIR_CLIENT_CONNECTED, TOY_CHACHA20);
    uint64_t sequence = pair.engine.session.tx.sequence;
    assert_int_not_equal(tls_session_seal(&pair.engine.session, content, TLS_PLAINTEXT_MAX + 1, out, &len),
                         TLS_OK);
    assert_int_equal(pair.engine.session.tx.sequence, sequence);
}

static void send_16385(enum pair_state state, uint16_t suite)
{
    pair_reach(&pair, state, suite);
    pair_send(&pair, TOY_DATA, content, TLS_PLAINTEXT_MAX + 1);
    pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_RECORD_OVERFLOW);
}

static void a_record_of_16385_bytes_is_refused(void **state)
{
    (void)state;
    everywhere(send_16385);
}

/* 5.4: the whole TLSInnerPlaintext, padding included, has at most 2^14 + 1 bytes. */
static void pad_too_far(enum pair_state state, uint16_t suite)
{
    pair_reach(&pair, state, suite);
    wire.len = 0;
    toy_seal(&pair.toy.tx, TOY_DATA, "a", 1, TLS_PLAINTEXT_MAX - 1, &wire);
    assert_int_equal(receive(), TLS_OK);
    assert_int_equal(pair.engine.data.len, 1);
    pair.engine.data.len = 0;
    wire.len = 0;
    toy_seal(&pair.toy.tx, TOY_DATA, "a", 1, TLS_PLAINTEXT_MAX, &wire);
    receive();
    pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_RECORD_OVERFLOW);
}

static void padding_beyond_the_limit_is_refused(void **state)
{
    (void)state;
    everywhere(pad_too_far);
}

static void padding_is_skipped(void **state)
{
    (void)state;
    pair_reach(&pair, PAIR_SERVER_CONNECTED, TOY_CHACHA20);
    for (size_t padding = 0; padding < 300; padding++) {
        wire.len = 0;
        pair.engine.data.len = 0;
        toy_seal(&pair.toy.tx, TOY_DATA, "a\0\0", 3, padding, &wire);
        assert_int_equal(receive(), TLS_OK);
        assert_int_equal(pair.engine.data.len, 3);
        assert_memory_equal(pair.engine.data.data, "a\0\0", 3);
    }
}

static void seal_zeros_alone(enum pair_state state, uint16_t suite)
{
    static const size_t lengths[] = {0, 1, 2, 100, TLS_PLAINTEXT_MAX + 1};
    static const uint8_t zeros[TLS_PLAINTEXT_MAX + 1];
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        pair_reach(&pair, state, suite);
        wire.len = 0;
        toy_seal_inner(&pair.toy.tx, zeros, lengths[i], &wire);
        receive();
        pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_UNEXPECTED_MESSAGE);
    }
}

static void a_record_of_padding_alone_is_refused(void **state)
{
    (void)state;
    everywhere(seal_zeros_alone);
}

static void inner_types_unknown_are_refused(void **state)
{
    (void)state;
    for (int type = 1; type < 256; type++) {
        if (type == TOY_ALERT || type == TOY_HANDSHAKE || type == TOY_DATA)
            continue;
        pair_reach(&pair, connected[type % 2], TOY_CHACHA20);
        pair_send(&pair, (uint8_t)type, "\1", 1);
        pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_UNEXPECTED_MESSAGE);
    }
}

static void empty_handshake_records_are_refused(void **state)
{
    (void)state;
    static const enum pair_state states[] = {PAIR_CLIENT_WAIT_SH,       PAIR_CLIENT_WAIT_EE,
                                             PAIR_CLIENT_CONNECTED,     PAIR_SERVER_WAIT_CH,
                                             PAIR_SERVER_WAIT_FINISHED, PAIR_SERVER_CONNECTED};
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        pair_reach(&pair, states[i], TOY_CHACHA20);
        pair_send(&pair, TOY_HANDSHAKE, NULL, 0);
        pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_UNEXPECTED_MESSAGE);
    }
}

/* Every bit but those of the outer header, which framing looks at first: see header_bits_are_authenticated.
 */
static void flip_bits(enum pair_state state, uint16_t suite)
{
    pair_reach(&pair, state, suite);
    static struct pair fresh;
    fresh = pair;
    size_t bits = 8 * (5 + 9 + 1 + TOY_TAG_LEN);
    for (size_t bit = 8 * 5; bit < bits; bit++) {
        pair = fresh;
        pair.engine.config.psks = pair.engine.psks;
        pair.engine.config.suites = pair.engine.suites;
        pair.engine.in_place = bit % 2;
        wire.len = 0;
        toy_seal(&pair.toy.tx, TOY_DATA, "plaintext", 9, 0, &wire);
        wire.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        receive();
        pair_expect_failure(&pair, TLS_FAIL_RECORD, TLS_ALERT_BAD_RECORD_MAC);
    }
}

static void every_bit_flip_gives_bad_record_mac(void **state)
{
    (void)state;
    everywhere(flip_bits);
}

/* 5.2: the header is the additional data. Opened as it is, without framing. */
static void header_bits_are_authenticated(void **state)
{
    (void)state;
    static struct pair fresh;
    uint8_t out[64];
    pair_reach(&fresh, PAIR_SERVER_CONNECTED, TOY_CHACHA20);
    for (size_t bit = 0; bit < 8 * 5; bit++) {
        size_t len = 0;
        enum tls_event event;
        pair = fresh;
        wire.len = 0;
        toy_seal(&pair.toy.tx, TOY_DATA, "plaintext", 9, 0, &wire);
        wire.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        memset(out, 0xaa, sizeof out);
        assert_int_not_equal(tls_session_open(&pair.engine.session, wire.data, wire.len, out, &len, &event),
                             TLS_OK);
        for (size_t i = 0; i + 9 <= sizeof out; i++)
            assert_memory_not_equal(out + i, "plaintext", 9);
    }
}

static void a_forged_record_leaves_nothing_behind(void **state)
{
    (void)state;
    static struct pair fresh;
    uint8_t out[64];
    pair_reach(&fresh, PAIR_CLIENT_CONNECTED, TOY_CHACHA20);
    for (size_t i = 5; i < 5 + 9 + 1 + 16; i++) {
        size_t len = 77;
        enum tls_event event;
        pair = fresh;
        wire.len = 0;
        toy_seal(&pair.toy.tx, TOY_DATA, "plaintext", 9, 0, &wire);
        wire.data[i] ^= 0x80;
        memset(out, 0, sizeof out);
        assert_int_equal(tls_session_open(&pair.engine.session, wire.data, wire.len, out, &len, &event),
                         TLS_FAIL_RECORD);
        for (size_t byte = 0; byte < sizeof out; byte++)
            assert_int_equal(out[byte], 0);
    }
}

static void a_refused_record_leaves_nothing_behind(void **state)
{
    (void)state;
    static const uint8_t types[] = {TOY_CCS, TOY_ALERT, TOY_HANDSHAKE, 99};
    for (size_t i = 0; i < sizeof types; i++) {
        uint8_t out[64] = {0};
        size_t len = 77;
        enum tls_event event;
        pair_reach(&pair, PAIR_CLIENT_CONNECTED, TOY_CHACHA20);
        wire.len = 0;
        toy_seal(&pair.toy.tx, types[i], "plaintext", 9, 0, &wire);
        assert_int_equal(tls_session_open(&pair.engine.session, wire.data, wire.len, out, &len, &event),
                         TLS_FAIL_PROTOCOL);
        assert_int_equal(len, 0);
        for (size_t byte = 0; byte < 9; byte++)
            assert_int_equal(out[byte], 0);
    }
}

static void replays_and_gaps(enum pair_state state, uint16_t suite)
{
    pair_reach(&pair, state, suite);
    wire.len = 0;
    toy_seal(&pair.toy.tx, TOY_DATA, "once", 4, 0, &wire);
    assert_int_equal(receive(), TLS_OK);
    pair.engine.data.len = 0;
    receive();
    pair_expect_failure(&pair, TLS_FAIL_RECORD, TLS_ALERT_BAD_RECORD_MAC);
    pair_reach(&pair, state, suite);
    wire.len = 0;
    toy_seal(&pair.toy.tx, TOY_DATA, "lost", 4, 0, &wire);
    wire.len = 0;
    toy_seal(&pair.toy.tx, TOY_DATA, "next", 4, 0, &wire);
    receive();
    pair_expect_failure(&pair, TLS_FAIL_RECORD, TLS_ALERT_BAD_RECORD_MAC);
}

static void a_replayed_or_a_missing_record_is_noticed(void **state)
{
    (void)state;
    everywhere(replays_and_gaps);
}

static void a_record_reflected_to_its_sender_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        pair_reach(&pair, connected[i], TOY_CHACHA20);
        pair.engine.out.len = pair.read_at = 0;
        assert_int_equal(endpoint_send(&pair.engine, "mine", 4), TLS_OK);
        endpoint_receive(&pair.engine, pair.engine.out.data, pair.engine.out.len);
        assert_int_equal(pair.engine.result, TLS_FAIL_RECORD);
        assert_int_equal(pair.engine.data.len, 0);
    }
}

static void ciphertexts_shorter_than_a_tag(enum pair_state state, uint16_t suite)
{
    static const enum tls_alert alerts[] = {TLS_ALERT_BAD_RECORD_MAC, TLS_ALERT_DECODE_ERROR,
                                            TLS_ALERT_UNEXPECTED_MESSAGE, TLS_ALERT_NONE};
    for (size_t len = 0; len <= TOY_TAG_LEN; len++) {
        pair_reach(&pair, state, suite);
        wire.len = 0;
        toy_plain_record(&wire, TOY_DATA, content, len);
        receive();
        pair_expect_one_of(&pair, pair.engine.result, alerts);
    }
}

static void a_ciphertext_shorter_than_its_tag_is_refused(void **state)
{
    (void)state;
    everywhere(ciphertexts_shorter_than_a_tag);
}

static void plaintext_records_are_refused_once_keys_stand(void **state)
{
    (void)state;
    static const enum pair_state states[] = {PAIR_CLIENT_WAIT_EE, PAIR_CLIENT_WAIT_FINISHED,
                                             PAIR_CLIENT_CONNECTED, PAIR_SERVER_WAIT_FINISHED,
                                             PAIR_SERVER_CONNECTED};
    static const uint8_t ticket[] = {TOY_NEW_SESSION_TICKET, 0, 0, 1, 0};
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        pair_reach(&pair, states[i], TOY_CHACHA20);
        wire.len = 0;
        toy_plain_record(&wire, TOY_HANDSHAKE, ticket, sizeof ticket);
        receive();
        pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_UNEXPECTED_MESSAGE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_of_0_to_16384_bytes_go_through),
        cmocka_unit_test(sealing_more_than_16384_bytes_is_misuse),
        cmocka_unit_test(a_record_of_16385_bytes_is_refused),
        cmocka_unit_test(padding_beyond_the_limit_is_refused),
        cmocka_unit_test(padding_is_skipped),
        cmocka_unit_test(a_record_of_padding_alone_is_refused),
        cmocka_unit_test(inner_types_unknown_are_refused),
        cmocka_unit_test(empty_handshake_records_are_refused),
        cmocka_unit_test(every_bit_flip_gives_bad_record_mac),
        cmocka_unit_test(header_bits_are_authenticated),
        cmocka_unit_test(a_forged_record_leaves_nothing_behind),
        cmocka_unit_test(a_refused_record_leaves_nothing_behind),
        cmocka_unit_test(a_replayed_or_a_missing_record_is_noticed),
        cmocka_unit_test(a_record_reflected_to_its_sender_is_refused),
        cmocka_unit_test(a_ciphertext_shorter_than_its_tag_is_refused),
        cmocka_unit_test(plaintext_records_are_refused_once_keys_stand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
