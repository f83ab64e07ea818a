/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* What client and server agree on: suites and identities, their order and their absence. Two engines, mostly.
 */

#include "endpoint.h"
#include "toy_tls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/aead.h"
#include "crypto/secret.h"

static struct endpoint client, server;
static const uint16_t aegis_first[] = {TOY_AEGIS, TOY_CHACHA20};
static const uint16_t chacha_first[] = {TOY_CHACHA20, TOY_AEGIS};

static bool deliver(struct endpoint *from, struct endpoint *to)
{
    size_t len = from->out.len;
    from->out.len = 0;
    if (len > 0)
        (void)endpoint_receive(to, from->out.data, len);
    return len > 0;
}

/* Lets the two talk until neither has anything to say. */
static void talk(void)
{
    assert_int_equal(endpoint_begin(&server, TLS_SERVER), TLS_OK);
    assert_int_equal(endpoint_begin(&client, TLS_CLIENT), TLS_OK);
    for (bool going = true; going;) {
        going = deliver(&client, &server);
        going = deliver(&server, &client) || going;
    }
}

static void expect_agreement(uint16_t suite, const char *identity)
{
    assert_true(client.session.complete && server.session.complete);
    assert_int_equal(client.session.suite, suite);
    assert_int_equal(server.session.suite, suite);
    assert_int_equal(client.session.identity_len, strlen(identity));
    assert_int_equal(server.session.identity_len, strlen(identity));
    assert_memory_equal(client.session.identity, identity, strlen(identity));
    assert_memory_equal(server.session.identity, identity, strlen(identity));
    assert_int_equal(endpoint_send(&client, "ping", 4), TLS_OK);
    assert_int_equal(endpoint_send(&server, "pong", 4), TLS_OK);
    deliver(&client, &server);
    deliver(&server, &client);
    assert_int_equal(server.data.len, 4);
    assert_memory_equal(server.data.data, "ping", 4);
    assert_int_equal(client.data.len, 4);
    assert_memory_equal(client.data.data, "pong", 4);
}

static void the_servers_order_of_suites_decides(void **state)
{
    (void)state;
    if (!aead_usable(TOY_AEGIS))
        skip();
    for (size_t i = 0; i < 4; i++) {
        endpoint_init(&client, i / 2 ? aegis_first : chacha_first, 2, true);
        endpoint_init(&server, i % 2 ? aegis_first : chacha_first, 2, true);
        talk();
        expect_agreement(i % 2 ? TOY_AEGIS : TOY_CHACHA20, ENDPOINT_IDENTITY);
    }
}

static void one_common_suite_is_enough(void **state)
{
    (void)state;
    if (!aead_usable(TOY_AEGIS))
        skip();
    for (size_t i = 0; i < 4; i++) {
        endpoint_init(&client, i / 2 ? aegis_first : chacha_first, i % 2 ? 1 : 2, true);
        endpoint_init(&server, i / 2 ? aegis_first : chacha_first, i % 2 ? 2 : 1, true);
        talk();
        expect_agreement(i / 2 ? TOY_AEGIS : TOY_CHACHA20, ENDPOINT_IDENTITY);
    }
}

static void no_common_suite_fails_both(void **state)
{
    (void)state;
    if (!aead_usable(TOY_AEGIS))
        skip();
    endpoint_init(&client, aegis_first, 1, true);
    endpoint_init(&server, chacha_first, 1, true);
    talk();
    assert_int_equal(server.result, TLS_FAIL_PROTOCOL);
    assert_int_equal(server.session.alert_out, TLS_ALERT_HANDSHAKE_FAILURE);
    assert_int_equal(client.session.alert_in, TLS_ALERT_HANDSHAKE_FAILURE);
    assert_false(client.session.complete || server.session.complete);
}

static void offered_suites(struct toy_hello *hello)
{
    assert_int_equal(endpoint_begin(&client, TLS_CLIENT), TLS_OK);
    assert_true(toy_hello_decode(hello, client.out.data + 5, client.out.len - 5));
}

static void a_client_offers_its_suites_in_order(void **state)
{
    (void)state;
    static struct toy_hello hello;
    if (!aead_usable(TOY_AEGIS))
        skip();
    for (size_t i = 0; i < 2; i++) {
        const uint16_t *suites = i ? aegis_first : chacha_first;
        endpoint_init(&client, suites, 2, true);
        offered_suites(&hello);
        assert_int_equal(hello.suites_len, 4);
        assert_int_equal(toy_number(hello.suites, 2), suites[0]);
        assert_int_equal(toy_number(hello.suites + 2, 2), suites[1]);
    }
}

static void without_a_choice_both_take_what_suits_the_processor(void **state)
{
    (void)state;
    size_t count;
    for (int without_aes = 0; without_aes < 2; without_aes++) {
        aead_pretend_no_aes = without_aes;
        const uint16_t best = *aead_default_suites(&count);
        endpoint_init(&client, NULL, 0, true);
        endpoint_init(&server, NULL, 0, true);
        talk();
        expect_agreement(best, ENDPOINT_IDENTITY);
        aead_pretend_no_aes = false;
    }
}

/* A server of the widest kind first and a client of one lane: what both have. */
static void wide_suites_are_chosen_by_both(void **state)
{
    (void)state;
    static const uint16_t wide[] = {TOY_AEGIS_X4, TOY_AEGIS_X2, TOY_AEGIS, TOY_CHACHA20};
    if (!aead_usable(TOY_AEGIS))
        skip();
    for (size_t narrow = 0; narrow < 4; narrow++) {
        endpoint_init(&client, wide + narrow, 4 - narrow, true);
        endpoint_init(&server, wide, 4, true);
        talk();
        expect_agreement(wide[narrow], ENDPOINT_IDENTITY);
        endpoint_init(&client, wide, 4, true);
        endpoint_init(&server, wide + narrow, 4 - narrow, true);
        talk();
        expect_agreement(wide[narrow], ENDPOINT_IDENTITY);
    }
}

static void without_aes_a_client_does_not_offer_aegis(void **state)
{
    (void)state;
    static struct toy_hello hello;
    aead_pretend_no_aes = true;
    endpoint_init(&client, aegis_first, 2, true);
    offered_suites(&hello);
    aead_pretend_no_aes = false;
    assert_int_equal(hello.suites_len, 2);
    assert_int_equal(toy_number(hello.suites, 2), TOY_CHACHA20);
}

static void without_aes_a_client_of_aegis_alone_does_not_start(void **state)
{
    (void)state;
    aead_pretend_no_aes = true;
    endpoint_init(&client, aegis_first, 1, true);
    enum tls_result result = endpoint_begin(&client, TLS_CLIENT);
    aead_pretend_no_aes = false;
    assert_int_equal(result, TLS_FAIL_INTERNAL);
}

/* The two processors differ: the one without AES decides. */
static void without_aes_a_server_does_not_choose_aegis(void **state)
{
    (void)state;
    if (!aead_usable(TOY_AEGIS))
        skip();
    endpoint_init(&client, aegis_first, 2, true);
    endpoint_init(&server, aegis_first, 2, true);
    assert_int_equal(endpoint_begin(&server, TLS_SERVER), TLS_OK);
    assert_int_equal(endpoint_begin(&client, TLS_CLIENT), TLS_OK);
    aead_pretend_no_aes = true;
    deliver(&client, &server);
    aead_pretend_no_aes = false;
    deliver(&server, &client);
    deliver(&client, &server);
    expect_agreement(TOY_CHACHA20, ENDPOINT_IDENTITY);
}

static void a_client_without_a_key_does_not_start(void **state)
{
    (void)state;
    endpoint_init(&client, chacha_first, 1, false);
    assert_int_equal(endpoint_begin(&client, TLS_CLIENT), TLS_FAIL_INTERNAL);
    assert_int_equal(client.out.len, 0);
}

static char names[12][8];
static uint8_t keys[12][32];

/* Twelve keys; `first` to `last` go to the endpoint. */
static void add_keys(struct endpoint *endpoint, size_t first, size_t last)
{
    for (size_t i = first; i <= last; i++) {
        snprintf(names[i], sizeof names[i], "key%zu", i);
        memset(keys[i], (int)i + 1, sizeof keys[i]);
        endpoint_add_key(endpoint, names[i], keys[i], sizeof keys[i]);
    }
}

static void the_first_offered_identity_that_the_server_knows_is_taken(void **state)
{
    (void)state;
    for (size_t known = 0; known < TLS_OFFERED_PSKS_MAX; known++) {
        endpoint_init(&client, chacha_first, 1, false);
        endpoint_init(&server, chacha_first, 1, false);
        add_keys(&client, 0, 11);
        add_keys(&server, known, 11);
        talk();
        expect_agreement(TOY_CHACHA20, names[known]);
    }
}

static void the_servers_own_order_of_keys_does_not_matter(void **state)
{
    (void)state;
    endpoint_init(&client, chacha_first, 1, false);
    endpoint_init(&server, chacha_first, 1, false);
    add_keys(&client, 2, 4);
    for (size_t i = 7; i-- > 0;)
        add_keys(&server, i, i);
    talk();
    expect_agreement(TOY_CHACHA20, names[2]);
}

static void the_ninth_identity_is_not_offered(void **state)
{
    (void)state;
    endpoint_init(&client, chacha_first, 1, false);
    endpoint_init(&server, chacha_first, 1, false);
    add_keys(&client, 0, 11);
    add_keys(&server, TLS_OFFERED_PSKS_MAX, 11);
    talk();
    assert_int_equal(server.result, TLS_FAIL_KEY);
    assert_int_equal(server.session.alert_out, TLS_ALERT_DECRYPT_ERROR);
    assert_int_equal(client.result, TLS_FAIL_KEY);
    assert_int_equal(client.session.alert_in, TLS_ALERT_DECRYPT_ERROR);
}

/* Eight of the longest identities still fit what one call may write. */
static void eight_identities_of_128_bytes_fit(void **state)
{
    (void)state;
    static char longest[8][TLS_IDENTITY_MAX + 1];
    endpoint_init(&client, aegis_first, 2, false);
    endpoint_init(&server, chacha_first, 1, false);
    for (size_t i = 0; i < 8; i++) {
        memset(longest[i], 'a' + (int)i, TLS_IDENTITY_MAX);
        endpoint_add_key(&client, longest[i], endpoint_key, sizeof endpoint_key);
    }
    endpoint_add_key(&server, longest[7], endpoint_key, sizeof endpoint_key);
    talk();
    expect_agreement(TOY_CHACHA20, longest[7]);
}

static void another_key_under_the_same_identity_fails_both(void **state)
{
    (void)state;
    static const uint8_t other[32] = {1};
    endpoint_init(&client, chacha_first, 1, false);
    endpoint_add_key(&client, ENDPOINT_IDENTITY, other, sizeof other);
    endpoint_init(&server, chacha_first, 1, true);
    talk();
    assert_int_equal(server.result, TLS_FAIL_KEY);
    assert_int_equal(server.session.alert_out, TLS_ALERT_DECRYPT_ERROR);
    assert_int_equal(client.result, TLS_FAIL_KEY);
    assert_false(client.session.complete || server.session.complete || server.session.can_send);
}

static void keys_of_16_to_64_bytes_work(void **state)
{
    (void)state;
    static uint8_t key[64];
    memset(key, 0x5c, sizeof key);
    for (size_t len = 16; len <= 64; len += 8) {
        endpoint_init(&client, chacha_first, 1, false);
        endpoint_init(&server, chacha_first, 1, false);
        endpoint_add_key(&client, "key", key, len);
        endpoint_add_key(&server, "key", key, len);
        talk();
        expect_agreement(TOY_CHACHA20, "key");
    }
}

static char logged[16][40];
static uint8_t logged_secrets[16][32];
static size_t log_count;

static void keep_log(const char *label, const uint8_t client_random[32], const uint8_t secret[32])
{
    (void)client_random;
    snprintf(logged[log_count], sizeof logged[0], "%s", label);
    memcpy(logged_secrets[log_count++], secret, 32);
}

static void both_sides_log_the_same_four_secrets(void **state)
{
    (void)state;
    endpoint_init(&client, chacha_first, 1, true);
    endpoint_init(&server, chacha_first, 1, true);
    client.config.keylog = server.config.keylog = keep_log;
    log_count = 0;
    talk();
    assert_int_equal(log_count, 8);
    for (size_t i = 0; i < log_count; i++) {
        size_t matches = 0;
        for (size_t j = 0; j < log_count; j++)
            matches +=
                strcmp(logged[i], logged[j]) == 0 && memcmp(logged_secrets[i], logged_secrets[j], 32) == 0;
        assert_int_equal(matches, 2);
    }
}

static void names_are_those_of_the_registries(void **state)
{
    (void)state;
    assert_string_equal(tls_suite_name(0x1303), "TLS_CHACHA20_POLY1305_SHA256");
    assert_string_equal(tls_suite_name(0x1307), "TLS_AEGIS_128L_SHA256");
    assert_non_null(strstr(tls_suite_name(0xFF52), "AEGIS_128X2"));
    assert_non_null(strstr(tls_suite_name(0xFF54), "AEGIS_128X4"));
    assert_string_equal(tls_alert_name(0), "close_notify");
    assert_string_equal(tls_alert_name(10), "unexpected_message");
    assert_string_equal(tls_alert_name(20), "bad_record_mac");
    assert_string_equal(tls_alert_name(51), "decrypt_error");
    assert_string_equal(tls_alert_name(115), "unknown_psk_identity");
    assert_string_equal(tls_alert_name(200), "unknown");
}

static int setup(void **state)
{
    (void)state;
    return secret_init() ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_servers_order_of_suites_decides),
        cmocka_unit_test(one_common_suite_is_enough),
        cmocka_unit_test(no_common_suite_fails_both),
        cmocka_unit_test(a_client_offers_its_suites_in_order),
        cmocka_unit_test(without_a_choice_both_take_what_suits_the_processor),
        cmocka_unit_test(wide_suites_are_chosen_by_both),
        cmocka_unit_test(without_aes_a_client_does_not_offer_aegis),
        cmocka_unit_test(without_aes_a_client_of_aegis_alone_does_not_start),
        cmocka_unit_test(without_aes_a_server_does_not_choose_aegis),
        cmocka_unit_test(a_client_without_a_key_does_not_start),
        cmocka_unit_test(the_first_offered_identity_that_the_server_knows_is_taken),
        cmocka_unit_test(the_servers_own_order_of_keys_does_not_matter),
        cmocka_unit_test(the_ninth_identity_is_not_offered),
        cmocka_unit_test(eight_identities_of_128_bytes_fit),
        cmocka_unit_test(another_key_under_the_same_identity_fails_both),
        cmocka_unit_test(keys_of_16_to_64_bytes_work),
        cmocka_unit_test(both_sides_log_the_same_four_secrets),
        cmocka_unit_test(names_are_those_of_the_registries),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
