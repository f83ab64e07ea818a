/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* ServerHello and HelloRetryRequest in whatever portions they come, and cut short at every length. */

#include "pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct pair pair;
static struct toy_hello hello;
static struct toy_buffer message;

/* A client that waits, and the hello to be sent to it. */
static void begin(bool retry)
{
    pair_begin(&pair, TLS_CLIENT, TOY_CHACHA20);
    if (retry)
        toy_retry_request(&pair.toy, &hello, "cookie", 6);
    else
        toy_server_hello(&pair.toy, &hello);
    toy_hello_encode(&hello, &message);
}

/* The engine took the ServerHello: goes on from there. */
static void finish(void)
{
    struct toy *toy = &pair.toy;
    toy_transcript_add(toy, message.data, message.len);
    toy_handshake_secrets(toy, toy_hello_find(&toy->peer, TOY_KEY_SHARE)->body + 6);
    toy_keys_set(&toy->tx, toy->suite, toy->server_handshake);
    toy_keys_set(&toy->rx, toy->suite, toy->client_handshake);
    assert_int_equal(pair_encrypted_extensions(&pair, "\0\0", 2), TLS_OK);
    assert_int_equal(pair_server_finished(&pair), TLS_OK);
    pair_read_client_finished(&pair);
    pair_expect_connected(&pair);
}

static void a_server_hello_split_anywhere_is_accepted(void **state)
{
    (void)state;
    begin(false);
    for (size_t cut = 1, len = message.len; cut < len; cut++) {
        begin(false);
        assert_int_equal(pair_send(&pair, TOY_HANDSHAKE, message.data, cut), TLS_OK);
        assert_int_equal(pair_send(&pair, TOY_HANDSHAKE, message.data + cut, len - cut), TLS_OK);
        finish();
    }
}

static void a_server_hello_in_records_of_one_byte_is_accepted(void **state)
{
    (void)state;
    begin(false);
    for (size_t i = 0; i < message.len; i++)
        assert_int_equal(pair_send(&pair, TOY_HANDSHAKE, message.data + i, 1), TLS_OK);
    finish();
}

static void extensions_may_come_in_any_order(void **state)
{
    (void)state;
    static struct toy_extension first;
    for (size_t turn = 0; turn < 3; turn++) {
        begin(false);
        first = hello.extensions[turn];
        hello.extensions[turn] = hello.extensions[(turn + 1) % 3];
        hello.extensions[(turn + 1) % 3] = first;
        assert_int_equal(pair_server_hello(&pair, &hello), TLS_OK);
    }
}

/* With the lengths of message and record made right. */
static void a_hello_cut_at_any_length_is_refused(void **state)
{
    (void)state;
    for (int retry = 0; retry < 2; retry++) {
        begin(retry);
        for (size_t len = 4, whole = message.len; len < whole; len++) {
            begin(retry);
            size_t before = pair.engine.out.len;
            message.data[2] = 0;
            message.data[3] = (uint8_t)(len - 4);
            message.len = len;
            assert_int_equal(pair_send_message(&pair, &message), TLS_FAIL_PROTOCOL);
            assert_int_equal(pair.engine.out.len, before + 7);
        }
    }
}

static void an_extension_cut_at_any_length_is_refused(void **state)
{
    (void)state;
    for (int retry = 0; retry < 2; retry++) {
        begin(retry);
        for (size_t i = 0, count = hello.extension_count; i < count; i++) {
            begin(retry);
            for (size_t len = 0, whole = hello.extensions[i].len; len <= whole + 1; len++) {
                if (len == whole)
                    continue;
                begin(retry);
                hello.extensions[i].len = len;
                toy_hello_encode(&hello, &message);
                assert_int_equal(pair_send_message(&pair, &message), TLS_FAIL_PROTOCOL);
            }
        }
    }
}

static void bytes_behind_the_extensions_are_refused(void **state)
{
    (void)state;
    for (int retry = 0; retry < 2; retry++) {
        begin(retry);
        toy_put(&message, "", 1);
        message.data[3]++;
        pair_send_message(&pair, &message);
        pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_DECODE_ERROR);
    }
}

/* As a server of TLS 1.2 or less may send it. */
static void a_hello_without_extensions_is_of_an_older_version(void **state)
{
    (void)state;
    begin(false);
    hello.extension_count = 0;
    toy_hello_encode(&hello, &message);
    message.len -= 2;
    message.data[3] = (uint8_t)(message.data[3] - 2);
    pair_send_message(&pair, &message);
    pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_PROTOCOL_VERSION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_hello_split_anywhere_is_accepted),
        cmocka_unit_test(a_server_hello_in_records_of_one_byte_is_accepted),
        cmocka_unit_test(extensions_may_come_in_any_order),
        cmocka_unit_test(a_hello_cut_at_any_length_is_refused),
        cmocka_unit_test(an_extension_cut_at_any_length_is_refused),
        cmocka_unit_test(bytes_behind_the_extensions_are_refused),
        cmocka_unit_test(a_hello_without_extensions_is_of_an_older_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
