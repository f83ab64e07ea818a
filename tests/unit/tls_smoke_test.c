/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* The protocol engine against itself: what works, in both roles and with both suites. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/aead.h"
#include "crypto/secret.h"
#include "crypto/sha256.h"
#include "tls/tls.h"
#include "tls/tls_schedule.h"

enum { BUFFER = 65536 };

struct side {
    struct tls_session session;
    struct tls_handshake handshake;
    struct tls_config config;
    struct tls_psk psk;
    uint16_t suites[2];
    uint8_t sent[BUFFER];
    struct tls_buffer out;
    enum tls_result result;
};

static struct side client;
static struct side server;
static const uint8_t good_key[32] = {1, 2, 3};
static const uint8_t other_key[32] = {3, 2, 1};

static const uint16_t x25519[] = {TLS_GROUP_X25519};

static void prepare(struct side *side, uint16_t suite, const uint8_t *key)
{
    memset(side, 0, sizeof *side);
    side->psk = (struct tls_psk){(const uint8_t *)"alice", 5, key, 32};
    side->suites[0] = suite;
    side->config = (struct tls_config){.psks = &side->psk,
                                       .psk_count = 1,
                                       .suites = side->suites,
                                       .suite_count = 1,
                                       .groups = x25519,
                                       .group_count = 1};
    side->out = (struct tls_buffer){.data = side->sent, .cap = sizeof side->sent};
}

/* Hands `from`'s output to `to`, record by record, for as long as `to` is in its handshake. */
static void deliver(struct side *from, struct side *to)
{
    size_t at = 0;
    while (at < from->out.len && to->result == TLS_OK && !to->session.complete) {
        size_t size = 0;
        to->result = tls_record_size(&to->session, from->sent + at, from->out.len - at, &size);
        if (to->result == TLS_OK)
            to->result = tls_handshake_record(&to->session, &to->handshake, &to->config, from->sent + at,
                                              size, &to->out);
        at += size;
    }
    from->out.len = 0;
}

static void shake_hands(void)
{
    assert_int_equal(tls_client_begin(&client.session, &client.handshake, &client.config, &client.out),
                     TLS_OK);
    tls_server_begin(&server.session, &server.handshake);
    deliver(&client, &server);
    deliver(&server, &client);
    deliver(&client, &server);
}

static void establish(uint16_t suite)
{
    prepare(&client, suite, good_key);
    prepare(&server, suite, good_key);
    shake_hands();
    assert_int_equal(client.result, TLS_OK);
    assert_int_equal(server.result, TLS_OK);
    assert_true(client.session.complete && client.session.can_send);
    assert_true(server.session.complete && server.session.can_send);
}

static void pass(struct side *from, struct side *to, size_t len)
{
    static uint8_t content[TLS_PLAINTEXT_MAX], record[TLS_RECORD_MAX], opened[TLS_RECORD_MAX];
    size_t size = 0, opened_len = 0;
    enum tls_event event = TLS_EVENT_NONE;
    memset(content, (int)(len % 251), sizeof content);
    assert_int_equal(tls_session_seal(&from->session, content, len, record, &size), TLS_OK);
    assert_int_equal(size, len + TLS_SEAL_OVERHEAD);
    assert_int_equal(tls_session_open(&to->session, record, size, opened, &opened_len, &event), TLS_OK);
    assert_int_equal(event, TLS_EVENT_DATA);
    assert_int_equal(opened_len, len);
    assert_memory_equal(opened, content, len);
}

static void pass_sizes(struct side *from, struct side *to)
{
    static const size_t sizes[] = {0, 1, 2, 31, 32, 33, 1000, TLS_PLAINTEXT_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        pass(from, to, sizes[i]);
}

/* Opens the one record in `from`'s output and gives its event. */
static enum tls_event open_output(struct side *from, struct side *to)
{
    static uint8_t opened[TLS_RECORD_MAX];
    size_t opened_len = 0;
    enum tls_event event = TLS_EVENT_NONE;
    to->result = tls_session_open(&to->session, from->sent, from->out.len, opened, &opened_len, &event);
    from->out.len = 0;
    return event;
}

static void check_both_ways(uint16_t suite)
{
    if (!aead_usable(suite))
        skip();
    establish(suite);
    assert_int_equal(client.session.suite, suite);
    assert_int_equal(server.session.identity_len, 5);
    assert_memory_equal(client.session.identity, "alice", 5);
    pass_sizes(&client, &server);
    pass_sizes(&server, &client);
}

static void chacha20_carries_data_both_ways(void **state)
{
    (void)state;
    check_both_ways(TLS_SUITE_CHACHA20_POLY1305_SHA256);
}

static void aegis_carries_data_both_ways(void **state)
{
    (void)state;
    check_both_ways(TLS_SUITE_AEGIS_128L_SHA256);
}

static void server_may_send_before_the_client_has_finished(void **state)
{
    (void)state;
    prepare(&client, TLS_SUITE_CHACHA20_POLY1305_SHA256, good_key);
    prepare(&server, TLS_SUITE_CHACHA20_POLY1305_SHA256, good_key);
    assert_int_equal(tls_client_begin(&client.session, &client.handshake, &client.config, &client.out),
                     TLS_OK);
    tls_server_begin(&server.session, &server.handshake);
    deliver(&client, &server);
    assert_true(server.session.can_send && !server.session.complete);
    deliver(&server, &client);
    assert_true(client.session.complete);
    pass(&server, &client, 100);
}

static void key_update_renews_both_directions(void **state)
{
    (void)state;
    establish(TLS_SUITE_CHACHA20_POLY1305_SHA256);
    pass(&client, &server, 10);
    assert_int_equal(tls_session_key_update(&client.session, true, &client.out), TLS_OK);
    assert_int_equal(open_output(&client, &server), TLS_EVENT_KEY_UPDATE_ASKED);
    assert_int_equal(client.session.tx.sequence, 0);
    assert_int_equal(tls_session_key_update(&server.session, false, &server.out), TLS_OK);
    assert_int_equal(open_output(&server, &client), TLS_EVENT_KEY_UPDATE);
    assert_memory_equal(client.session.rx.secret, server.session.tx.secret, 32);
    pass_sizes(&client, &server);
    pass_sizes(&server, &client);
}

static void close_notify_closes_one_direction(void **state)
{
    (void)state;
    establish(TLS_SUITE_CHACHA20_POLY1305_SHA256);
    tls_session_alert(&client.session, TLS_ALERT_CLOSE_NOTIFY, &client.out);
    assert_int_equal(open_output(&client, &server), TLS_EVENT_CLOSE);
    assert_true(server.session.closed_in);
    pass(&server, &client, 100);
}

static void wrong_key_is_told_to_both(void **state)
{
    (void)state;
    prepare(&client, TLS_SUITE_CHACHA20_POLY1305_SHA256, good_key);
    prepare(&server, TLS_SUITE_CHACHA20_POLY1305_SHA256, other_key);
    shake_hands();
    assert_int_equal(server.result, TLS_FAIL_KEY);
    assert_int_equal(server.session.alert_out, TLS_ALERT_DECRYPT_ERROR);
    assert_int_equal(client.result, TLS_FAIL_KEY);
    assert_int_equal(client.session.alert_in, TLS_ALERT_DECRYPT_ERROR);
    assert_false(server.session.can_send || client.session.can_send);
}

static void unknown_identity_is_told_to_both(void **state)
{
    (void)state;
    prepare(&client, TLS_SUITE_CHACHA20_POLY1305_SHA256, good_key);
    prepare(&server, TLS_SUITE_CHACHA20_POLY1305_SHA256, good_key);
    server.psk.identity = (const uint8_t *)"alicf";
    shake_hands();
    assert_int_equal(server.session.alert_out, TLS_ALERT_DECRYPT_ERROR);
    assert_int_equal(server.result, TLS_FAIL_KEY);
    assert_int_equal(client.result, TLS_FAIL_KEY);
}

static size_t find_bytes(const uint8_t *data, size_t len, const uint8_t *piece, size_t piece_len)
{
    size_t at = 0;
    while (at + piece_len <= len && memcmp(data + at, piece, piece_len) != 0)
        at++;
    assert_true(at + piece_len <= len);
    return at;
}

static void add_u16(uint8_t *at, unsigned value)
{
    unsigned sum = ((unsigned)at[0] << 8 | at[1]) + value;
    at[0] = (uint8_t)(sum >> 8);
    at[1] = (uint8_t)sum;
}

/* Makes of our own ClientHello one that supports P-256 and X25519 and has a share of P-256 alone, with a
 * binder that verifies. */
static void take_share_away(struct tls_buffer *hello)
{
    static const uint8_t groups[] = {0, 10, 0, 4, 0, 2, 0, 29};
    static const uint8_t share[] = {0, 51, 0, 38, 0, 36, 0, 29};
    const size_t extensions = 5 + 4 + 2 + 32 + 1 + 2 + 2 + 2;
    const size_t binders = 2 + 1 + 32;
    uint8_t early[32], hash[32];
    struct sha256 transcript;
    size_t at = find_bytes(hello->data, hello->len, groups, sizeof groups);
    hello->data[find_bytes(hello->data, hello->len, share, sizeof share) + 7] = 23;
    memmove(hello->data + at + 8, hello->data + at + 6, hello->len - at - 6);
    hello->data[at + 7] = 23;
    hello->len += 2;
    add_u16(hello->data + at + 2, 2);
    add_u16(hello->data + at + 4, 2);
    add_u16(hello->data + 3, 2);
    add_u16(hello->data + 7, 2);
    add_u16(hello->data + extensions, 2);
    sha256_init(&transcript);
    sha256_update(&transcript, hello->data + 5, hello->len - 5 - binders);
    sha256_final(&transcript, hash);
    tls_schedule_early(good_key, sizeof good_key, early);
    tls_schedule_binder(early, tls_schedule_external_binder, hash, hello->data + hello->len - 32);
}

static void server_asks_again_for_a_share_of_x25519(void **state)
{
    static const uint8_t wanted[] = {0, 51, 0, 2, 0, 29};
    (void)state;
    prepare(&client, TLS_SUITE_CHACHA20_POLY1305_SHA256, good_key);
    prepare(&server, TLS_SUITE_CHACHA20_POLY1305_SHA256, good_key);
    assert_int_equal(tls_client_begin(&client.session, &client.handshake, &client.config, &client.out),
                     TLS_OK);
    take_share_away(&client.out);
    tls_server_begin(&server.session, &server.handshake);
    deliver(&client, &server);
    assert_int_equal(server.result, TLS_OK);
    assert_false(server.session.can_send);
    (void)find_bytes(server.sent, server.out.len, wanted, sizeof wanted);
}

/* That the memo is what counts shows when the key beside it is another one. */
static void memo_of_a_key_stands_for_it(void **state)
{
    static struct tls_psk_memo memos[2];
    (void)state;
    for (int round = 0; round < 3; round++) {
        prepare(&client, TLS_SUITE_CHACHA20_POLY1305_SHA256, good_key);
        prepare(&server, TLS_SUITE_CHACHA20_POLY1305_SHA256, round == 1 ? other_key : good_key);
        if (round == 2) {
            memset(&memos[0], 0, sizeof memos[0]);
            client.psk.key = other_key;
        }
        client.config.memos = &memos[0];
        server.config.memos = &memos[1];
        client.config.memo_count = server.config.memo_count = 1;
        shake_hands();
        assert_int_equal(server.result, round == 2 ? TLS_FAIL_KEY : TLS_OK);
    }
    prepare(&client, TLS_SUITE_CHACHA20_POLY1305_SHA256, good_key);
    client.config.memos =
        &memos[0]; /* memo_count says that there is none: the other key in it does not matter */
    prepare(&server, TLS_SUITE_CHACHA20_POLY1305_SHA256, good_key);
    shake_hands();
    assert_int_equal(server.result, TLS_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chacha20_carries_data_both_ways),
        cmocka_unit_test(aegis_carries_data_both_ways),
        cmocka_unit_test(server_may_send_before_the_client_has_finished),
        cmocka_unit_test(key_update_renews_both_directions),
        cmocka_unit_test(close_notify_closes_one_direction),
        cmocka_unit_test(wrong_key_is_told_to_both),
        cmocka_unit_test(unknown_identity_is_told_to_both),
        cmocka_unit_test(memo_of_a_key_stands_for_it),
        cmocka_unit_test(server_asks_again_for_a_share_of_x25519),
    };
    if (!secret_init())
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
