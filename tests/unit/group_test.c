/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Key exchange groups: which is chosen, and X25519MLKEM768 (draft-ietf-tls-ecdhe-mlkem) against libsodium's
 * primitives put together here. */

#include "pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/secret.h"
#include "tls/tls_kex.h"

enum { HYBRID = TLS_GROUP_X25519MLKEM768, X25519 = TLS_GROUP_X25519 };

static struct endpoint client, server;

static void need_mlkem(void)
{
    if (!mlkem768_available())
        skip();
}

static void prepare(const uint16_t *client_groups, size_t client_count, const uint16_t *server_groups,
                    size_t server_count)
{
    static const uint16_t suites[] = {TOY_CHACHA20};
    endpoint_init(&client, suites, 1, true);
    endpoint_init(&server, suites, 1, true);
    client.config.groups = client_groups;
    client.config.group_count = client_count;
    server.config.groups = server_groups;
    server.config.group_count = server_count;
}

/* Each takes what the other has sent, until nothing is left. */
static void talk(void)
{
    size_t client_read = 0, server_read = 0;
    assert_int_equal(endpoint_begin(&client, TLS_CLIENT), TLS_OK);
    assert_int_equal(endpoint_begin(&server, TLS_SERVER), TLS_OK);
    while (client_read < client.out.len || server_read < server.out.len) {
        const size_t from_client = client.out.len, from_server = server.out.len;
        endpoint_receive(&server, client.out.data + client_read, from_client - client_read);
        client_read = from_client;
        endpoint_receive(&client, server.out.data + server_read, from_server - server_read);
        server_read = from_server;
    }
}

static void expect_group(uint16_t group)
{
    assert_int_equal(client.result, TLS_OK);
    assert_int_equal(server.result, TLS_OK);
    assert_true(client.session.complete && server.session.complete);
    assert_int_equal(client.session.group, group);
    assert_int_equal(server.session.group, group);
    const size_t before = client.out.len;
    assert_int_equal(endpoint_send(&client, "through", 7), TLS_OK);
    assert_int_equal(endpoint_receive(&server, client.out.data + before, client.out.len - before), TLS_OK);
    assert_memory_equal(server.data.data, "through", 7);
}

static void the_hybrid_group_comes_first(void **state)
{
    (void)state;
    need_mlkem();
    prepare(NULL, 0, NULL, 0);
    talk();
    expect_group(HYBRID);
}

static void each_order_of_groups_finds_the_servers_first(void **state)
{
    (void)state;
    static const struct {
        size_t client_count, server_count;
        uint16_t client[2], server[2], chosen;
    } rows[] = {
        {1, 2, {X25519}, {HYBRID, X25519}, X25519},
        {2, 1, {HYBRID, X25519}, {X25519}, X25519},
        {1, 1, {HYBRID}, {HYBRID}, HYBRID},
        {2, 2, {X25519, HYBRID}, {HYBRID, X25519}, HYBRID},
        {2, 2, {HYBRID, X25519}, {X25519, HYBRID}, X25519},
    };
    need_mlkem();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        prepare(rows[i].client, rows[i].client_count, rows[i].server, rows[i].server_count);
        talk();
        expect_group(rows[i].chosen);
    }
}

static bool has_pair(const struct endpoint *endpoint)
{
    return !sodium_is_zero(endpoint->pair.mlkem768, sizeof endpoint->pair.mlkem768);
}

static void a_key_pair_is_wiped_when_it_has_been_used_or_is_of_no_use(void **state)
{
    (void)state;
    static const uint16_t hybrid[] = {HYBRID}, x25519[] = {X25519};
    need_mlkem();
    prepare(NULL, 0, NULL, 0);
    assert_int_equal(endpoint_begin(&client, TLS_CLIENT), TLS_OK);
    assert_true(has_pair(&client));
    prepare(NULL, 0, NULL, 0);
    talk();
    expect_group(HYBRID);
    assert_false(has_pair(&client));
    prepare(hybrid, 1, x25519, 1);
    talk();
    assert_int_equal(client.result, TLS_FAIL_PROTOCOL);
    assert_false(has_pair(&client));
}

static void without_memory_for_a_key_pair_a_client_fails(void **state)
{
    (void)state;
    need_mlkem();
    prepare(NULL, 0, NULL, 0);
    client.config.pair = NULL;
    assert_int_equal(endpoint_begin(&client, TLS_CLIENT), TLS_FAIL_INTERNAL);
}

static void without_a_group_in_common_both_fail(void **state)
{
    (void)state;
    static const uint16_t hybrid[] = {HYBRID}, x25519[] = {X25519};
    need_mlkem();
    prepare(hybrid, 1, x25519, 1);
    talk();
    assert_int_equal(server.result, TLS_FAIL_PROTOCOL);
    assert_int_equal(server.session.alert_out, TLS_ALERT_HANDSHAKE_FAILURE);
    assert_int_equal(client.result, TLS_FAIL_PROTOCOL);
}

static void a_group_that_is_not_known_is_not_offered(void **state)
{
    (void)state;
    static const uint16_t unknown[] = {0x6399, X25519, X25519}, none[] = {0x6399};
    prepare(unknown, 3, NULL, 0);
    talk();
    expect_group(X25519);
    prepare(none, 1, NULL, 0);
    assert_int_equal(endpoint_begin(&client, TLS_CLIENT), TLS_FAIL_INTERNAL);
}

/* RFC 8446, 4.1.4: a client that supports the hybrid group alone of ours, and has sent no share of it. */
static void a_share_of_the_hybrid_group_is_asked_for(void **state)
{
    (void)state;
    static const uint16_t hybrid[] = {HYBRID};
    static struct pair pair;
    static struct toy_hello hello;
    need_mlkem();
    pair_begin(&pair, TLS_SERVER, TOY_CHACHA20);
    pair.engine.config.groups = hybrid;
    toy_client_hello(&pair.toy, &hello);
    toy_hello_replace(&hello, TOY_SUPPORTED_GROUPS, (const uint8_t[]){0, 4, 0x11, 0xec, 0, 29}, 6);
    assert_int_equal(pair_client_hello(&pair, &hello, 1), TLS_OK);
    static struct toy_hello request;
    const uint8_t *record = pair.engine.out.data;
    assert_true(toy_hello_decode(&request, record + 5, toy_number(record + 3, 2)));
    assert_int_equal(toy_number(toy_hello_find(&request, TOY_KEY_SHARE)->body, 2), HYBRID);
    /* The same hello again has another share than the one asked for. */
    pair_client_hello(&pair, &hello, 1);
    pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_ILLEGAL_PARAMETER);
}

/* A ClientHello with a hybrid share of `len` bytes, and with its binder filled in or not. */
static void send_bound_share(struct pair *pair, const uint8_t *share, size_t len, bool bound)
{
    static struct toy_hello hello;
    static struct toy_buffer body;
    pair_begin(pair, TLS_SERVER, TOY_CHACHA20);
    pair->engine.config.group_count = 0;
    toy_client_hello(&pair->toy, &hello);
    toy_hello_replace(&hello, TOY_SUPPORTED_GROUPS, (const uint8_t[]){0, 2, 0x11, 0xec}, 4);
    body.len = 0;
    size_t list = toy_vector_begin(&body, 2);
    toy_put_number(&body, HYBRID, 2);
    toy_put_number(&body, len, 2);
    toy_put(&body, share, len);
    toy_vector_end(&body, list, 2);
    toy_hello_replace(&hello, TOY_KEY_SHARE, body.data, body.len);
    pair_client_hello(pair, &hello, bound ? 1 : 0);
}

static void send_share(struct pair *pair, const uint8_t *share, size_t len)
{
    send_bound_share(pair, share, len, true);
}

static void make_share(uint8_t share[static TLS_KEX_CLIENT_MAX])
{
    static const struct tls_kex_seed seed = {.x25519 = {1}, .mlkem768 = {2}};
    static struct tls_key_pair pair;
    struct tls_kex_key key;
    const uint16_t group = HYBRID;
    assert_int_equal(tls_kex_make(&key, &pair, &seed, &group, 1), TLS_REASON_NONE);
    tls_kex_share(HYBRID, &key, &pair, share);
}

static void bad_hybrid_shares_are_refused(void **state)
{
    (void)state;
    static struct pair pair;
    static uint8_t share[TLS_KEX_CLIENT_MAX + 1];
    need_mlkem();
    make_share(share);
    send_share(&pair, share, TLS_KEX_CLIENT_MAX);
    assert_int_equal(pair.engine.result, TLS_OK);
    assert_true(pair.engine.session.can_send);
    for (size_t len = TLS_KEX_CLIENT_MAX - 1; len <= TLS_KEX_CLIENT_MAX + 1; len += 2) {
        send_share(&pair, share, len);
        pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_ILLEGAL_PARAMETER);
    }
    share[0] = 0xff; /* a coefficient that is not below q: FIPS 203, 7.2 */
    share[1] |= 0x0f;
    send_share(&pair, share, TLS_KEX_CLIENT_MAX);
    pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_ILLEGAL_PARAMETER);
    make_share(share);
    memset(share + MLKEM768_PUBLIC, 0, X25519_LEN); /* of small order */
    send_share(&pair, share, TLS_KEX_CLIENT_MAX);
    pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_ILLEGAL_PARAMETER);
}

/* The binder is checked before any of the arithmetic: a wrong one is what is reported. */
static void a_wrong_binder_is_found_before_a_bad_share(void **state)
{
    (void)state;
    static struct pair pair;
    static uint8_t share[TLS_KEX_CLIENT_MAX];
    need_mlkem();
    memset(share, 0xff, sizeof share);
    send_share(&pair, share, sizeof share);
    pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_ILLEGAL_PARAMETER);
    send_bound_share(&pair, share, sizeof share, false);
    pair_expect_failure(&pair, TLS_FAIL_KEY, TLS_ALERT_DECRYPT_ERROR);
}

/* A ServerHello of the hybrid group with a share of `len` bytes. */
static void answer_with(struct pair *pair, const uint8_t *share, size_t len)
{
    static const uint16_t suites[] = {TOY_CHACHA20};
    static struct toy_hello hello;
    static struct toy_buffer body, message;
    memset(pair, 0, sizeof *pair);
    endpoint_init(&pair->engine, suites, 1, true);
    pair->engine.config.group_count = 0;
    toy_init(&pair->toy, true, TOY_CHACHA20, ENDPOINT_IDENTITY, endpoint_key, sizeof endpoint_key);
    assert_int_equal(endpoint_begin(&pair->engine, TLS_CLIENT), TLS_OK);
    toy_server_hello(&pair->toy, &hello);
    body.len = 0;
    toy_put_number(&body, HYBRID, 2);
    toy_put_number(&body, len, 2);
    toy_put(&body, share, len);
    toy_hello_replace(&hello, TOY_KEY_SHARE, body.data, body.len);
    toy_hello_encode(&hello, &message);
    pair_send_message(pair, &message);
}

static void bad_hybrid_answers_are_refused(void **state)
{
    (void)state;
    static struct pair pair;
    static uint8_t share[TLS_KEX_SERVER_MAX + 1];
    need_mlkem();
    memset(share, 9, sizeof share);
    answer_with(&pair, share, TLS_KEX_SERVER_MAX);
    assert_int_equal(pair.engine.result,
                     TLS_OK); /* a ciphertext for another key: found out by the Finished */
    for (size_t len = TLS_KEX_SERVER_MAX - 1; len <= TLS_KEX_SERVER_MAX + 1; len += 2) {
        answer_with(&pair, share, len);
        pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_ILLEGAL_PARAMETER);
    }
    memset(share + MLKEM768_CIPHERTEXT, 0, X25519_LEN);
    answer_with(&pair, share, TLS_KEX_SERVER_MAX);
    pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_ILLEGAL_PARAMETER);
}

static void a_group_that_was_not_offered_is_refused(void **state)
{
    (void)state;
    static struct pair pair;
    static struct toy_hello hello;
    static uint8_t body[4 + TLS_KEX_SERVER_MAX] = {0x11, 0xec, TLS_KEX_SERVER_MAX >> 8,
                                                   TLS_KEX_SERVER_MAX & 255};
    pair_begin(&pair, TLS_CLIENT, TOY_CHACHA20); /* offers X25519 alone */
    memset(body + 4, 9, sizeof body - 4);
    toy_server_hello(&pair.toy, &hello);
    toy_hello_replace(&hello, TOY_KEY_SHARE, body, sizeof body);
    pair_server_hello(&pair, &hello);
    pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_ILLEGAL_PARAMETER);
}

#ifdef crypto_kem_mlkem768_PUBLICKEYBYTES

/* The draft's order: of shares and secrets the ML-KEM part comes first, of 1184, 1088 and 32 bytes. */
static void shares_and_secrets_are_put_together_as_the_draft_says(void **state)
{
    (void)state;
    static struct tls_key_pair pair;
    struct tls_kex_key key;
    struct tls_kex_seed seed;
    struct tls_kex_random random;
    const uint16_t group = HYBRID;
    struct tls_kex_secret ours, theirs;
    uint8_t x25519[32], share[1216], answer[1120], expected[64], peer[32];
    static uint8_t public_key[1184], secret_key[2400], ciphertext[1088];
    assert_true(secret_random((uint8_t *)&seed, sizeof seed));
    assert_true(secret_random((uint8_t *)&random, sizeof random));
    x25519_public(x25519, seed.x25519);
    assert_int_equal(tls_kex_client_len(HYBRID), sizeof share);
    assert_int_equal(tls_kex_server_len(HYBRID), sizeof answer);
    assert_int_equal(tls_kex_make(&key, &pair, &seed, &group, 1), TLS_REASON_NONE);
    tls_kex_share(HYBRID, &key, &pair, share);
    assert_int_equal(crypto_kem_mlkem768_seed_keypair(public_key, secret_key, seed.mlkem768), 0);
    assert_memory_equal(share, public_key, 1184);
    assert_memory_equal(share + 1184, x25519, 32);
    assert_int_equal(tls_kex_answer(HYBRID, &random, share, answer, &theirs), TLS_REASON_NONE);
    assert_int_equal(crypto_kem_mlkem768_enc_deterministic(ciphertext, expected, public_key, random.mlkem768),
                     0);
    assert_int_equal(crypto_scalarmult_curve25519_base(peer, random.x25519), 0);
    assert_int_equal(crypto_scalarmult_curve25519(expected + 32, seed.x25519, peer), 0);
    assert_memory_equal(answer, ciphertext, 1088);
    assert_memory_equal(answer + 1088, peer, 32);
    assert_int_equal(tls_kex_finish(HYBRID, &key, &pair, answer, &ours), TLS_REASON_NONE);
    assert_int_equal(ours.len, 64);
    assert_int_equal(theirs.len, 64);
    assert_memory_equal(ours.bytes, expected, 64);
    assert_memory_equal(theirs.bytes, expected, 64);
}

#endif

/* Eight of the longest identities beside both shares: more than one call may write. */
static void a_long_first_hello_comes_in_parts(void **state)
{
    (void)state;
    static char names[TLS_OFFERED_PSKS_MAX][TLS_IDENTITY_MAX + 1];
    need_mlkem();
    prepare(NULL, 0, NULL, 0);
    client.config.psk_count = server.config.psk_count = 0;
    for (size_t i = 0; i < TLS_OFFERED_PSKS_MAX; i++) {
        memset(names[i], 'a' + (int)i, TLS_IDENTITY_MAX);
        endpoint_add_key(&client, names[i], endpoint_key, sizeof endpoint_key);
    }
    endpoint_add_key(&server, names[7], endpoint_key, sizeof endpoint_key);
    talk();
    assert_true(toy_number(client.out.data + 3, 2) < TLS_FLIGHT_MAX);
    assert_int_equal(toy_number(client.out.data + 5 + toy_number(client.out.data + 3, 2), 3), 0x160301);
    expect_group(HYBRID);
}

/* A client with so many of the longest identities gets a HelloRetryRequest with a cookie of 16 KiB. */
static enum tls_result retry_with_a_long_cookie(size_t identities)
{
    static char names[TLS_OFFERED_PSKS_MAX][TLS_IDENTITY_MAX + 1];
    static struct toy toy;
    static struct toy_hello hello;
    static struct toy_buffer wire, message;
    static uint8_t cookie[16384];
    prepare(NULL, 0, NULL, 0);
    client.config.psk_count = 0;
    for (size_t i = 0; i < identities; i++) {
        memset(names[i], 'a' + (int)i, TLS_IDENTITY_MAX);
        endpoint_add_key(&client, names[i], endpoint_key, sizeof endpoint_key);
    }
    assert_int_equal(endpoint_begin(&client, TLS_CLIENT), TLS_OK);
    toy_init(&toy, true, TOY_CHACHA20, names[0], endpoint_key, sizeof endpoint_key);
    toy_retry_request(&toy, &hello, cookie, sizeof cookie);
    toy_hello_encode(&hello, &message);
    wire.len = 0;
    for (size_t at = 0, part; at < message.len; at += part) {
        part = message.len - at < TLS_PLAINTEXT_MAX ? message.len - at : TLS_PLAINTEXT_MAX;
        toy_plain_record(&wire, TOY_HANDSHAKE, message.data + at, part);
    }
    return endpoint_receive(&client, wire.data, wire.len);
}

static void a_cookie_of_16_kib_fits_beside_two_long_identities(void **state)
{
    (void)state;
    need_mlkem();
    assert_int_equal(retry_with_a_long_cookie(2), TLS_OK);
    assert_int_equal(retry_with_a_long_cookie(8), TLS_FAIL_PROTOCOL);
    assert_int_equal(client.session.alert_out, TLS_ALERT_ILLEGAL_PARAMETER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_hybrid_group_comes_first),
        cmocka_unit_test(each_order_of_groups_finds_the_servers_first),
        cmocka_unit_test(a_key_pair_is_wiped_when_it_has_been_used_or_is_of_no_use),
        cmocka_unit_test(without_memory_for_a_key_pair_a_client_fails),
        cmocka_unit_test(without_a_group_in_common_both_fail),
        cmocka_unit_test(a_group_that_is_not_known_is_not_offered),
        cmocka_unit_test(a_share_of_the_hybrid_group_is_asked_for),
        cmocka_unit_test(bad_hybrid_shares_are_refused),
        cmocka_unit_test(a_wrong_binder_is_found_before_a_bad_share),
        cmocka_unit_test(bad_hybrid_answers_are_refused),
        cmocka_unit_test(a_group_that_was_not_offered_is_refused),
#ifdef crypto_kem_mlkem768_PUBLICKEYBYTES
        cmocka_unit_test(shares_and_secrets_are_put_together_as_the_draft_says),
#endif
        cmocka_unit_test(a_long_first_hello_comes_in_parts),
        cmocka_unit_test(a_cookie_of_16_kib_fits_beside_two_long_identities),
    };
    return secret_init() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
