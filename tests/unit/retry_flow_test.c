/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Handshakes with a HelloRetryRequest, both ways, and what may go wrong after it (RFC 8446, 4.1.2 and 4.1.4).
 */

#include "pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/aead.h"
#include "crypto/secret.h"

static const uint8_t no_extensions[] = {0, 0};

static void finish_as_client(struct pair *pair)
{
    static struct toy_hello hello;
    toy_server_hello(&pair->toy, &hello);
    assert_int_equal(pair_server_hello(pair, &hello), TLS_OK);
    assert_int_equal(pair_encrypted_extensions(pair, no_extensions, sizeof no_extensions), TLS_OK);
    assert_int_equal(pair_server_finished(pair), TLS_OK);
    pair_read_client_finished(pair);
    pair_expect_connected(pair);
}

static void a_client_echoes_the_cookie_and_binds_anew(void **state)
{
    (void)state;
    static const size_t lengths[] = {1, 6, 32, 255, 256, 1000, 1900, 2048, 4096, 16384};
    const size_t lengths_count = sizeof lengths / sizeof *lengths;
    static struct pair pair;
    static struct toy_hello hello, first;
    static uint8_t cookie[16384];
    size_t count;
    const uint16_t *suites = pair_suites(&count);
    for (size_t i = 0; i < sizeof cookie; i++)
        cookie[i] = (uint8_t)(i * 7);
    for (size_t i = 0; i < lengths_count * count; i++) {
        const size_t len = lengths[i % lengths_count];
        pair_begin(&pair, TLS_CLIENT, suites[i / lengths_count]);
        first = pair.toy.peer;
        toy_retry_request(&pair.toy, &hello, cookie, len);
        assert_int_equal(pair_retry_request(&pair, &hello), TLS_OK);
        const struct toy_extension *echo = toy_hello_find(&pair.toy.peer, TOY_COOKIE);
        assert_non_null(echo);
        assert_int_equal(echo->len, 2 + len);
        assert_memory_equal(echo->body + 2, cookie, len);
        assert_memory_equal(pair.toy.peer.random, first.random, 32);
        assert_int_equal(toy_hello_find(&pair.toy.peer, TOY_PRE_SHARED_KEY) - pair.toy.peer.extensions + 1,
                         pair.toy.peer.extension_count);
        finish_as_client(&pair);
    }
}

static void put_records(struct toy_buffer *wire, const struct toy_buffer *message)
{
    for (size_t at = 0, part; at < message->len; at += part) {
        part = message->len - at < TLS_PLAINTEXT_MAX ? message->len - at : TLS_PLAINTEXT_MAX;
        toy_plain_record(wire, TOY_HANDSHAKE, message->data + at, part);
    }
}

/* The longest second ClientHello that is promised: as many identities as are offered, each as long as may be.
 */
static void a_long_cookie_and_long_identities_fit(void **state)
{
    (void)state;
    static struct endpoint client;
    static struct toy toy;
    static struct toy_hello hello;
    static struct toy_buffer wire, message;
    static char names[TLS_OFFERED_PSKS_MAX][TLS_IDENTITY_MAX + 1];
    static uint8_t cookie[16384];
    const uint16_t suite = TOY_CHACHA20;
    endpoint_init(&client, &suite, 1, false);
    for (size_t i = 0; i < TLS_OFFERED_PSKS_MAX; i++) {
        memset(names[i], 'a' + (int)i, TLS_IDENTITY_MAX);
        endpoint_add_key(&client, names[i], endpoint_key, sizeof endpoint_key);
    }
    assert_int_equal(endpoint_begin(&client, TLS_CLIENT), TLS_OK);
    toy_init(&toy, true, suite, names[0], endpoint_key, sizeof endpoint_key);
    assert_true(toy_hello_decode(&toy.peer, client.out.data + 5, client.out.len - 5));
    toy_retry_request(&toy, &hello, cookie, sizeof cookie);
    toy_hello_encode(&hello, &message);
    put_records(&wire, &message);
    client.out.len = 0;
    assert_int_equal(endpoint_receive(&client, wire.data, wire.len), TLS_OK);
    message.len = 0;
    for (size_t at = 0, len; at < client.out.len; at += 5 + len) {
        len = toy_number(client.out.data + at + 3, 2);
        assert_int_equal(toy_number(client.out.data + at, 3), 0x160303);
        toy_put(&message, client.out.data + at + 5, len);
    }
    assert_true(toy_hello_decode(&toy.peer, message.data, message.len));
    assert_int_equal(toy_hello_find(&toy.peer, TOY_COOKIE)->len, 2 + sizeof cookie);
}

/* A caller that has not sent the whole of a long ClientHello cannot go on: it would be overwritten. */
static void the_rest_of_a_long_hello_must_be_taken(void **state)
{
    (void)state;
    static struct pair pair;
    static struct toy_hello hello;
    static struct toy_buffer wire, message;
    static uint8_t cookie[5000], bytes[TLS_FLIGHT_MAX];
    struct tls_buffer out = {.data = bytes, .cap = sizeof bytes};
    pair_begin(&pair, TLS_CLIENT, TOY_CHACHA20);
    struct endpoint *client = &pair.engine;
    assert_false(tls_handshake_more(&client->session, &client->handshake, &out));
    toy_retry_request(&pair.toy, &hello, cookie, sizeof cookie);
    toy_hello_encode(&hello, &message);
    put_records(&wire, &message);
    assert_int_equal(tls_handshake_record(&client->session, &client->handshake, &client->config, wire.data,
                                          wire.len, &out),
                     TLS_OK);
    assert_true(out.len <= sizeof bytes);
    wire.len = out.len = 0;
    toy_plain_record(&wire, TOY_CCS, "\1", 1);
    assert_int_equal(tls_handshake_record(&client->session, &client->handshake, &client->config, wire.data,
                                          wire.len, &out),
                     TLS_FAIL_INTERNAL);
    out.len = 0;
    assert_false(tls_handshake_more(&client->session, &client->handshake, &out));
}

/* Everything but cookie and pre_shared_key stays as it was (4.1.2). */
static void a_client_changes_nothing_else_in_its_second_hello(void **state)
{
    (void)state;
    static struct pair pair;
    static struct toy_hello first;
    pair_begin(&pair, TLS_CLIENT, TOY_CHACHA20);
    first = pair.toy.peer;
    pair_reach(&pair, PAIR_CLIENT_WAIT_SH_RETRIED, TOY_CHACHA20);
    struct toy_hello *second = &pair.toy.peer;
    assert_int_equal(second->extension_count, first.extension_count + 1);
    assert_int_equal(second->legacy_version, first.legacy_version);
    assert_int_equal(second->session_id_len, first.session_id_len);
    assert_int_equal(second->suites_len, first.suites_len);
    assert_memory_equal(second->suites, first.suites, first.suites_len);
    for (size_t i = 0; i < first.extension_count; i++) {
        const struct toy_extension *old = &first.extensions[i];
        const struct toy_extension *now = toy_hello_find(second, old->type);
        assert_non_null(now);
        assert_int_equal(now->len, old->len);
        if (old->type != TOY_PRE_SHARED_KEY && old->type != TOY_KEY_SHARE)
            assert_memory_equal(now->body, old->body, old->len);
    }
}

/* RFC 8446, 5.1: 0x0301 is for the first ClientHello alone. */
static void only_a_first_hello_may_come_under_record_version_0x0301(void **state)
{
    (void)state;
    static struct pair pair;
    pair_begin(&pair, TLS_CLIENT, TOY_CHACHA20);
    size_t second = pair.engine.out.len;
    assert_int_equal(pair.engine.out.data[1], 3);
    assert_in_range(pair.engine.out.data[2], 1, 3);
    pair_reach(&pair, PAIR_CLIENT_WAIT_SH_RETRIED, TOY_CHACHA20);
    assert_int_equal(pair.engine.out.data[second], TOY_HANDSHAKE);
    assert_int_equal(toy_number(pair.engine.out.data + second + 1, 2), 0x0303);
}

static void a_client_refuses_a_second_retry_request(void **state)
{
    (void)state;
    static struct pair pair;
    static struct toy_hello hello;
    pair_reach(&pair, PAIR_CLIENT_WAIT_SH_RETRIED, TOY_CHACHA20);
    toy_retry_request(&pair.toy, &hello, "another", 7);
    pair_retry_request(&pair, &hello);
    pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_UNEXPECTED_MESSAGE);
}

static void a_client_refuses_another_suite_after_the_retry(void **state)
{
    (void)state;
    static const uint16_t both[] = {TOY_AEGIS, TOY_CHACHA20};
    static struct pair pair;
    static struct toy_hello hello;
    if (!aead_usable(TOY_AEGIS))
        skip();
    memset(&pair, 0, sizeof pair);
    endpoint_init(&pair.engine, both, 2, true);
    toy_init(&pair.toy, true, TOY_CHACHA20, ENDPOINT_IDENTITY, endpoint_key, sizeof endpoint_key);
    assert_int_equal(endpoint_begin(&pair.engine, TLS_CLIENT), TLS_OK);
    size_t len = pair.engine.out.len - 5;
    assert_true(toy_hello_decode(&pair.toy.peer, pair.engine.out.data + 5, len));
    toy_transcript_add(&pair.toy, pair.engine.out.data + 5, len);
    pair.read_at = pair.engine.out.len;
    toy_retry_request(&pair.toy, &hello, "cookie", 6);
    assert_int_equal(pair_retry_request(&pair, &hello), TLS_OK);
    pair.toy.suite = TOY_AEGIS;
    toy_server_hello(&pair.toy, &hello);
    pair_server_hello(&pair, &hello);
    pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_ILLEGAL_PARAMETER);
}

static void finish_as_server(struct pair *pair)
{
    pair_read_server_hello(pair);
    pair_read_server_flight(pair);
    assert_int_equal(pair_client_finished(pair), TLS_OK);
    pair_expect_connected(pair);
}

static void a_server_asks_for_x25519_and_goes_on(void **state)
{
    (void)state;
    static struct pair pair;
    static struct toy_hello hello;
    size_t count;
    const uint16_t *suites = pair_suites(&count);
    for (size_t i = 0; i < count; i++) {
        pair_reach(&pair, PAIR_SERVER_WAIT_CH_RETRIED, suites[i]);
        assert_false(pair.engine.session.can_send);
        pair_second_hello(&pair, &hello);
        assert_int_equal(pair_client_hello(&pair, &hello, 1), TLS_OK);
        finish_as_server(&pair);
    }
}

static void a_server_asks_a_client_with_no_shares_at_all(void **state)
{
    (void)state;
    static struct pair pair;
    static struct toy_hello hello;
    pair_begin(&pair, TLS_SERVER, TOY_CHACHA20);
    toy_client_hello(&pair.toy, &hello);
    toy_hello_replace(&hello, TOY_KEY_SHARE, (const uint8_t[]){0, 0}, 2);
    assert_int_equal(pair_client_hello(&pair, &hello, 1), TLS_OK);
    pair_read_retry_request(&pair);
    toy_client_hello(&pair.toy, &hello);
    assert_int_equal(pair_client_hello(&pair, &hello, 1), TLS_OK);
    finish_as_server(&pair);
}

/* The first hello's binder is checked before the retry too: a stranger gets no second round. */
static void a_server_refuses_a_wrong_binder_before_the_retry(void **state)
{
    (void)state;
    static struct pair pair;
    static struct toy_hello hello;
    pair_begin(&pair, TLS_SERVER, TOY_CHACHA20);
    pair_shareless_hello(&pair, &hello);
    pair_client_hello(&pair, &hello, 0);
    pair_expect_failure(&pair, TLS_FAIL_KEY, TLS_ALERT_DECRYPT_ERROR);
}

static void a_server_refuses_a_wrong_binder_after_the_retry(void **state)
{
    (void)state;
    static struct pair pair;
    static struct toy_hello hello;
    pair_reach(&pair, PAIR_SERVER_WAIT_CH_RETRIED, TOY_CHACHA20);
    pair_second_hello(&pair, &hello);
    pair_client_hello(&pair, &hello, 0);
    pair_expect_failure(&pair, TLS_FAIL_KEY, TLS_ALERT_DECRYPT_ERROR);
}

/* A binder over the second ClientHello alone, without message_hash and HelloRetryRequest before it
 * (4.2.11.2). */
static void a_server_refuses_a_binder_without_the_retry_transcript(void **state)
{
    (void)state;
    static struct pair pair;
    static struct toy_hello hello;
    pair_reach(&pair, PAIR_SERVER_WAIT_CH_RETRIED, TOY_CHACHA20);
    crypto_hash_sha256_init(&pair.toy.transcript);
    pair_second_hello(&pair, &hello);
    pair_client_hello(&pair, &hello, 1);
    pair_expect_failure(&pair, TLS_FAIL_KEY, TLS_ALERT_DECRYPT_ERROR);
}

static void a_server_refuses_a_second_hello_without_the_share(void **state)
{
    (void)state;
    static struct pair pair;
    static struct toy_hello hello;
    pair_reach(&pair, PAIR_SERVER_WAIT_CH_RETRIED, TOY_CHACHA20);
    pair_shareless_hello(&pair, &hello);
    pair_client_hello(&pair, &hello, 1);
    pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_ILLEGAL_PARAMETER);
}

static void a_server_refuses_a_second_hello_with_two_shares(void **state)
{
    (void)state;
    static struct pair pair;
    static struct toy_hello hello;
    struct toy_buffer shares = {.len = 0};
    pair_reach(&pair, PAIR_SERVER_WAIT_CH_RETRIED, TOY_CHACHA20);
    pair_second_hello(&pair, &hello);
    size_t list = toy_vector_begin(&shares, 2);
    toy_put(&shares, (const uint8_t[]){0, TOY_SECP256R1, 0, 1, 4, 0, TOY_X25519, 0, 32}, 9);
    toy_put(&shares, pair.toy.public_key, 32);
    toy_vector_end(&shares, list, 2);
    toy_hello_replace(&hello, TOY_KEY_SHARE, shares.data, shares.len);
    pair_client_hello(&pair, &hello, 1);
    pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_ILLEGAL_PARAMETER);
}

static void a_server_refuses_a_second_hello_without_the_suite(void **state)
{
    (void)state;
    static struct pair pair;
    static struct toy_hello hello;
    pair_reach(&pair, PAIR_SERVER_WAIT_CH_RETRIED, TOY_CHACHA20);
    pair_second_hello(&pair, &hello);
    hello.suites[1] = 1;
    pair_client_hello(&pair, &hello, 1);
    pair_expect_one_of(
        &pair, TLS_FAIL_PROTOCOL,
        (const enum tls_alert[]){TLS_ALERT_ILLEGAL_PARAMETER, TLS_ALERT_HANDSHAKE_FAILURE, TLS_ALERT_NONE});
}

static void a_server_refuses_early_data_in_a_second_hello(void **state)
{
    (void)state;
    static struct pair pair;
    static struct toy_hello hello;
    pair_reach(&pair, PAIR_SERVER_WAIT_CH_RETRIED, TOY_CHACHA20);
    pair_second_hello(&pair, &hello);
    toy_hello_insert(&hello, 0, TOY_EARLY_DATA, NULL, 0);
    pair_client_hello(&pair, &hello, 1);
    pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_ILLEGAL_PARAMETER);
}

static int setup(void **state)
{
    (void)state;
    return secret_init() ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_echoes_the_cookie_and_binds_anew),
        cmocka_unit_test(a_long_cookie_and_long_identities_fit),
        cmocka_unit_test(the_rest_of_a_long_hello_must_be_taken),
        cmocka_unit_test(a_client_changes_nothing_else_in_its_second_hello),
        cmocka_unit_test(only_a_first_hello_may_come_under_record_version_0x0301),
        cmocka_unit_test(a_client_refuses_a_second_retry_request),
        cmocka_unit_test(a_client_refuses_another_suite_after_the_retry),
        cmocka_unit_test(a_server_asks_for_x25519_and_goes_on),
        cmocka_unit_test(a_server_asks_a_client_with_no_shares_at_all),
        cmocka_unit_test(a_server_refuses_a_wrong_binder_before_the_retry),
        cmocka_unit_test(a_server_refuses_a_wrong_binder_after_the_retry),
        cmocka_unit_test(a_server_refuses_a_binder_without_the_retry_transcript),
        cmocka_unit_test(a_server_refuses_a_second_hello_without_the_share),
        cmocka_unit_test(a_server_refuses_a_second_hello_with_two_shares),
        cmocka_unit_test(a_server_refuses_a_second_hello_without_the_suite),
        cmocka_unit_test(a_server_refuses_early_data_in_a_second_hello),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
