/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* EncryptedExtensions and Finished: their contents, their portions, and the key changes around them (RFC
 * 8446, 4.3.1, 4.4.4 and 5.1). */

#include "pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct pair pair;
static struct toy_buffer message, finished;
static const uint8_t no_extensions[] = {0, 0};
static const enum tls_alert decode_or_illegal[] = {TLS_ALERT_DECODE_ERROR, TLS_ALERT_ILLEGAL_PARAMETER,
                                                   TLS_ALERT_NONE};
static const enum tls_alert decode_or_decrypt[] = {TLS_ALERT_DECODE_ERROR, TLS_ALERT_DECRYPT_ERROR,
                                                   TLS_ALERT_NONE};

/* A whole extension block with one extension. */
static void send_extension(uint16_t type, const void *body, size_t len)
{
    struct toy_buffer block = {.len = 0};
    size_t mark = toy_vector_begin(&block, 2);
    toy_put_number(&block, type, 2);
    toy_put_number(&block, len, 2);
    toy_put(&block, body, len);
    toy_vector_end(&block, mark, 2);
    pair_reach(&pair, PAIR_CLIENT_WAIT_EE, TOY_CHACHA20);
    pair_encrypted_extensions(&pair, block.data, block.len);
}

static void extensions_asked_for_are_accepted(void **state)
{
    (void)state;
    send_extension(TOY_SUPPORTED_GROUPS, (const uint8_t[]){0, 2, 0, TOY_X25519}, 4);
    assert_int_equal(pair_server_finished(&pair), TLS_OK);
    pair_read_client_finished(&pair);
    pair_expect_connected(&pair);
}

/* A body is read even where its content is of no use. */
static void a_group_list_that_does_not_decode_is_refused(void **state)
{
    (void)state;
    static const struct {
        uint8_t len, body[6];
    } malformed[] = {{0, {0}},
                     {1, {0}},
                     {2, {0, 0}},
                     {3, {0, 1, 0}},
                     {4, {0, 3, 0, 29}},
                     {5, {0, 2, 0, 29, 0}},
                     {5, {0, 3, 0, 29, 0}}};
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
        send_extension(TOY_SUPPORTED_GROUPS, malformed[i].body, malformed[i].len);
        pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_DECODE_ERROR);
    }
}

static void a_long_group_list_is_accepted(void **state)
{
    (void)state;
    static uint8_t body[2 + 12000] = {12000 >> 8, 12000 & 0xff};
    send_extension(TOY_SUPPORTED_GROUPS, body, sizeof body);
    assert_int_equal(pair_server_finished(&pair), TLS_OK);
    pair_read_client_finished(&pair);
    pair_expect_connected(&pair);
}

static void extensions_not_asked_for_are_refused(void **state)
{
    (void)state;
    static const uint16_t types[] = {TOY_SERVER_NAME, TOY_ALPN, TOY_EARLY_DATA, 28, 0xfafa};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        send_extension(types[i], NULL, 0);
        pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_UNSUPPORTED_EXTENSION);
    }
}

static void extensions_forbidden_here_are_refused(void **state)
{
    (void)state;
    static const uint16_t types[] = {TOY_KEY_SHARE, TOY_PRE_SHARED_KEY, TOY_SUPPORTED_VERSIONS,
                                     TOY_PSK_MODES};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        send_extension(types[i], no_extensions, sizeof no_extensions);
        pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_ILLEGAL_PARAMETER);
    }
}

static void duplicate_extensions_are_refused(void **state)
{
    (void)state;
    static const uint8_t block[] = {0,          16, 0,  10, 0, 4, 0, 2, 0,
                                    TOY_X25519, 0,  10, 0,  4, 0, 2, 0, TOY_X25519};
    pair_reach(&pair, PAIR_CLIENT_WAIT_EE, TOY_CHACHA20);
    pair_encrypted_extensions(&pair, block, sizeof block);
    pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_ILLEGAL_PARAMETER);
}

static void malformed_extension_blocks_are_refused(void **state)
{
    (void)state;
    static const struct {
        size_t len;
        uint8_t bytes[8];
    } bodies[] = {
        {0, {0}}, {1, {0}}, {2, {0, 1}}, {3, {0, 0, 0}}, {5, {0, 3, 0, 10, 0}}, {6, {0, 4, 0, 10, 0, 1}}};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        pair_reach(&pair, PAIR_CLIENT_WAIT_EE, TOY_CHACHA20);
        pair_encrypted_extensions(&pair, bodies[i].bytes, bodies[i].len);
        pair_expect_one_of(&pair, TLS_FAIL_PROTOCOL, decode_or_illegal);
    }
}

static void encrypted_extensions_in_the_clear_are_refused(void **state)
{
    (void)state;
    struct toy_buffer wire = {.len = 0};
    pair_reach(&pair, PAIR_CLIENT_WAIT_EE, TOY_CHACHA20);
    toy_plain_record(&wire, TOY_HANDSHAKE, (const uint8_t[]){TOY_ENCRYPTED_EXTENSIONS, 0, 0, 2, 0, 0}, 6);
    endpoint_receive(&pair.engine, wire.data, wire.len);
    pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_UNEXPECTED_MESSAGE);
}

/* EncryptedExtensions and Finished in one piece. */
static void server_flight(void)
{
    message.len = 0;
    toy_message(&message, TOY_ENCRYPTED_EXTENSIONS, no_extensions, sizeof no_extensions);
    toy_transcript_add(&pair.toy, message.data, message.len);
    toy_finished(&pair.toy, true, &finished);
    toy_transcript_add(&pair.toy, finished.data, finished.len);
    toy_put(&message, finished.data, finished.len);
}

static void finish_client(void)
{
    toy_application_secrets(&pair.toy);
    toy_keys_set(&pair.toy.tx, pair.toy.suite, pair.toy.server_application);
    pair_read_client_finished(&pair);
    pair_expect_connected(&pair);
}

static void a_server_flight_split_anywhere_is_accepted(void **state)
{
    (void)state;
    size_t len = 1;
    for (size_t cut = 0; cut < len; cut++) {
        pair_reach(&pair, PAIR_CLIENT_WAIT_EE, TOY_CHACHA20);
        server_flight();
        len = message.len;
        if (cut > 0)
            assert_int_equal(pair_send(&pair, TOY_HANDSHAKE, message.data, cut), TLS_OK);
        assert_int_equal(pair_send(&pair, TOY_HANDSHAKE, message.data + cut, len - cut), TLS_OK);
        finish_client();
    }
}

static void a_server_flight_in_records_of_one_byte_is_accepted(void **state)
{
    (void)state;
    pair_reach(&pair, PAIR_CLIENT_WAIT_EE, TOY_CHACHA20);
    server_flight();
    for (size_t i = 0; i < message.len; i++)
        assert_int_equal(pair_send(&pair, TOY_HANDSHAKE, message.data + i, 1), TLS_OK);
    finish_client();
}

static void padded_records_are_accepted(void **state)
{
    (void)state;
    static struct toy_buffer wire;
    pair_reach(&pair, PAIR_CLIENT_WAIT_EE, TOY_CHACHA20);
    server_flight();
    wire.len = 0;
    toy_seal(&pair.toy.tx, TOY_HANDSHAKE, message.data, message.len, TLS_PLAINTEXT_MAX - message.len, &wire);
    assert_int_equal(endpoint_receive(&pair.engine, wire.data, wire.len), TLS_OK);
    finish_client();
}

/* 5.1: the keys change after these messages, so that nothing may follow them in their record. */
static void a_byte_behind_a_server_hello_is_refused(void **state)
{
    (void)state;
    static struct toy_hello hello;
    pair_begin(&pair, TLS_CLIENT, TOY_CHACHA20);
    toy_server_hello(&pair.toy, &hello);
    toy_hello_encode(&hello, &message);
    toy_put(&message, "", 1);
    pair_send_message(&pair, &message);
    pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_UNEXPECTED_MESSAGE);
}

static void a_message_behind_a_servers_finished_is_refused(void **state)
{
    (void)state;
    pair_reach(&pair, PAIR_CLIENT_WAIT_EE, TOY_CHACHA20);
    server_flight();
    toy_message(&message, TOY_KEY_UPDATE, "", 1);
    pair_send_message(&pair, &message);
    pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_UNEXPECTED_MESSAGE);
}

static void a_message_behind_a_clients_finished_is_refused(void **state)
{
    (void)state;
    pair_reach(&pair, PAIR_SERVER_WAIT_FINISHED, TOY_CHACHA20);
    toy_finished(&pair.toy, false, &message);
    toy_message(&message, TOY_KEY_UPDATE, "", 1);
    pair_send_message(&pair, &message);
    pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_UNEXPECTED_MESSAGE);
    assert_false(pair.engine.session.complete);
}

/* Every bit of verify_data counts. */
static void a_wrong_finished_is_refused(void **state)
{
    (void)state;
    static const enum pair_state states[] = {PAIR_CLIENT_WAIT_FINISHED, PAIR_SERVER_WAIT_FINISHED};
    for (size_t i = 0; i < 2 * 256; i++) {
        pair_reach(&pair, states[i / 256], TOY_CHACHA20);
        toy_finished(&pair.toy, pair.toy.server, &message);
        message.data[4 + i % 256 / 8] ^= (uint8_t)(1 << i % 8);
        pair_send_message(&pair, &message);
        pair_expect_failure(&pair, TLS_FAIL_KEY, TLS_ALERT_DECRYPT_ERROR);
        assert_false(pair.engine.session.complete);
    }
}

static void the_other_sides_finished_is_refused(void **state)
{
    (void)state;
    static const enum pair_state states[] = {PAIR_CLIENT_WAIT_FINISHED, PAIR_SERVER_WAIT_FINISHED};
    for (size_t i = 0; i < 2; i++) {
        pair_reach(&pair, states[i], TOY_CHACHA20);
        toy_finished(&pair.toy, !pair.toy.server, &message);
        pair_send_message(&pair, &message);
        pair_expect_failure(&pair, TLS_FAIL_KEY, TLS_ALERT_DECRYPT_ERROR);
    }
}

static void a_finished_of_another_length_is_refused(void **state)
{
    (void)state;
    static const size_t lengths[] = {0, 1, 12, 31, 33, 48};
    static const enum pair_state states[] = {PAIR_CLIENT_WAIT_FINISHED, PAIR_SERVER_WAIT_FINISHED};
    for (size_t i = 0; i < 2 * sizeof lengths / sizeof *lengths; i++) {
        uint8_t body[64] = {0};
        pair_reach(&pair, states[i % 2], TOY_CHACHA20);
        toy_finished(&pair.toy, pair.toy.server, &finished);
        memcpy(body, finished.data + 4, 32);
        message.len = 0;
        toy_message(&message, TOY_FINISHED, body, lengths[i / 2]);
        pair_send_message(&pair, &message);
        pair_expect_one_of(&pair, pair.engine.result, decode_or_decrypt);
        assert_false(pair.engine.session.complete);
    }
}

/* 5.1: a client's data that overtakes its Finished. */
static void application_data_before_finished_is_refused(void **state)
{
    (void)state;
    struct toy_buffer wire = {.len = 0};
    pair_reach(&pair, PAIR_SERVER_WAIT_FINISHED, TOY_CHACHA20);
    toy_application_secrets(&pair.toy);
    toy_keys_set(&pair.toy.tx, pair.toy.suite, pair.toy.client_application);
    toy_seal(&pair.toy.tx, TOY_DATA, "early", 5, 0, &wire);
    endpoint_receive(&pair.engine, wire.data, wire.len);
    pair_expect_failure(&pair, TLS_FAIL_RECORD, TLS_ALERT_BAD_RECORD_MAC);
}

static void a_server_may_speak_before_the_clients_finished(void **state)
{
    (void)state;
    static struct toy_buffer content;
    uint8_t type = 0;
    pair_reach(&pair, PAIR_SERVER_WAIT_FINISHED, TOY_CHACHA20);
    assert_true(pair.engine.session.can_send);
    assert_int_equal(endpoint_send(&pair.engine, "220 ready", 9), TLS_OK);
    assert_true(pair_read(&pair, &type, &content));
    assert_int_equal(type, TOY_DATA);
    assert_memory_equal(content.data, "220 ready", 9);
    assert_int_equal(pair_client_finished(&pair), TLS_OK);
    pair_expect_connected(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(extensions_asked_for_are_accepted),
        cmocka_unit_test(a_group_list_that_does_not_decode_is_refused),
        cmocka_unit_test(a_long_group_list_is_accepted),
        cmocka_unit_test(extensions_not_asked_for_are_refused),
        cmocka_unit_test(extensions_forbidden_here_are_refused),
        cmocka_unit_test(duplicate_extensions_are_refused),
        cmocka_unit_test(malformed_extension_blocks_are_refused),
        cmocka_unit_test(encrypted_extensions_in_the_clear_are_refused),
        cmocka_unit_test(a_server_flight_split_anywhere_is_accepted),
        cmocka_unit_test(a_server_flight_in_records_of_one_byte_is_accepted),
        cmocka_unit_test(padded_records_are_accepted),
        cmocka_unit_test(a_byte_behind_a_server_hello_is_refused),
        cmocka_unit_test(a_message_behind_a_servers_finished_is_refused),
        cmocka_unit_test(a_message_behind_a_clients_finished_is_refused),
        cmocka_unit_test(a_wrong_finished_is_refused),
        cmocka_unit_test(the_other_sides_finished_is_refused),
        cmocka_unit_test(a_finished_of_another_length_is_refused),
        cmocka_unit_test(application_data_before_finished_is_refused),
        cmocka_unit_test(a_server_may_speak_before_the_clients_finished),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
