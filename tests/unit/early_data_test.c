/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Early data, which the server never accepts and must skip within a bound (RFC 8446, 4.2.10). */

#include "pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct pair pair;
static struct toy_hello hello;
static struct toy_buffer wire;

/* Sends a record that looks like early data: it authenticates under no key that the server has. */
static enum tls_result send_early(size_t len)
{
    struct toy_keys keys = {.suite = 0};
    static const uint8_t zeros[TLS_PLAINTEXT_MAX];
    uint8_t secret[32];
    memset(secret, 0xea, sizeof secret);
    toy_keys_set(&keys, TOY_CHACHA20, secret);
    wire.len = 0;
    toy_seal(&keys, TOY_DATA, zeros, len, 0, &wire);
    return endpoint_receive(&pair.engine, wire.data, wire.len);
}

static void begin(bool retry, bool offer)
{
    pair_begin(&pair, TLS_SERVER, TOY_CHACHA20);
    if (retry)
        pair_shareless_hello(&pair, &hello);
    else
        toy_client_hello(&pair.toy, &hello);
    if (offer)
        toy_hello_insert(&hello, 0, TOY_EARLY_DATA, NULL, 0);
    assert_int_equal(pair_client_hello(&pair, &hello, 1), TLS_OK);
    if (retry)
        pair_read_retry_request(&pair);
}

static void finish(void)
{
    pair_read_server_hello(&pair);
    assert_null(toy_hello_find(&pair.toy.peer, TOY_EARLY_DATA));
    pair_read_server_flight(&pair);
    assert_int_equal(pair_client_finished(&pair), TLS_OK);
    pair_expect_connected(&pair);
}

static void early_data_is_skipped(void **state)
{
    (void)state;
    for (size_t records = 0; records < 4; records++) {
        begin(false, true);
        for (size_t i = 0; i < records; i++)
            assert_int_equal(send_early(1000), TLS_OK);
        finish();
    }
}

static void early_data_before_a_retry_is_skipped(void **state)
{
    (void)state;
    begin(true, true);
    assert_int_equal(send_early(1000), TLS_OK);
    assert_int_equal(send_early(0), TLS_OK);
    pair_second_hello(&pair, &hello);
    assert_int_equal(pair_client_hello(&pair, &hello, 1), TLS_OK);
    finish();
}

static void early_data_without_an_offer_is_refused(void **state)
{
    (void)state;
    begin(false, false);
    pair_read_server_hello(&pair);
    pair_read_server_flight(&pair);
    send_early(10);
    pair_expect_failure(&pair, TLS_FAIL_RECORD, TLS_ALERT_BAD_RECORD_MAC);
}

static void early_data_without_an_offer_is_refused_after_a_retry(void **state)
{
    (void)state;
    begin(true, false);
    send_early(10);
    pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_UNEXPECTED_MESSAGE);
}

static void early_data_within_a_second_hello_is_refused(void **state)
{
    (void)state;
    begin(true, true);
    assert_int_equal(send_early(10), TLS_OK);
    assert_int_equal(pair_send(&pair, TOY_HANDSHAKE, "\1\0", 2), TLS_OK);
    send_early(10);
    pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_UNEXPECTED_MESSAGE);
}

/* What is skipped has an end, in bytes and in records. */
static void endless_early_data_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        begin(i / 2, true);
        enum tls_result result = TLS_OK;
        for (size_t sent = 0; sent < 1 << 20 && result == TLS_OK; sent += 5 + 17)
            result = send_early(i % 2 ? 0 : TLS_PLAINTEXT_MAX);
        assert_int_not_equal(result, TLS_OK);
        assert_false(pair.engine.session.complete);
        assert_int_equal(pair.engine.data.len, 0);
    }
}

/* Once the client's Finished is verified nothing is skipped any more. */
static void early_data_after_finished_is_refused(void **state)
{
    (void)state;
    begin(false, true);
    assert_int_equal(send_early(10), TLS_OK);
    finish();
    pair.engine.data.len = 0;
    send_early(10);
    pair_expect_failure(&pair, TLS_FAIL_RECORD, TLS_ALERT_BAD_RECORD_MAC);
}

/* Skipping ends with the first record that authenticates: one that does not, behind it, is refused. */
static void early_data_between_the_pieces_of_finished_is_refused(void **state)
{
    (void)state;
    static struct toy_buffer finished;
    begin(false, true);
    pair_read_server_hello(&pair);
    pair_read_server_flight(&pair);
    assert_int_equal(send_early(10), TLS_OK);
    toy_finished(&pair.toy, false, &finished);
    assert_int_equal(pair_send(&pair, TOY_HANDSHAKE, finished.data, 10), TLS_OK);
    send_early(10);
    pair_expect_failure(&pair, TLS_FAIL_RECORD, TLS_ALERT_BAD_RECORD_MAC);
}

/* 4.2.10: EndOfEarlyData follows only accepted early data. */
static void end_of_early_data_is_refused(void **state)
{
    (void)state;
    begin(false, true);
    pair_read_server_hello(&pair);
    pair_read_server_flight(&pair);
    pair_send(&pair, TOY_HANDSHAKE, (const uint8_t[]){TOY_END_OF_EARLY_DATA, 0, 0, 0}, 4);
    pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_UNEXPECTED_MESSAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(early_data_is_skipped),
        cmocka_unit_test(early_data_before_a_retry_is_skipped),
        cmocka_unit_test(early_data_without_an_offer_is_refused),
        cmocka_unit_test(early_data_without_an_offer_is_refused_after_a_retry),
        cmocka_unit_test(early_data_within_a_second_hello_is_refused),
        cmocka_unit_test(endless_early_data_is_refused),
        cmocka_unit_test(early_data_after_finished_is_refused),
        cmocka_unit_test(early_data_between_the_pieces_of_finished_is_refused),
        cmocka_unit_test(end_of_early_data_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
