/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* How a caller may and may not use the engine: order of calls, buffers, closing, undoing, wiping (tls/tls.h).
 */

#include "pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct pair pair;
static struct toy_buffer content;

static const enum pair_state connected[] = {PAIR_CLIENT_CONNECTED, PAIR_SERVER_CONNECTED};

static bool all_zero(const void *memory, size_t len)
{
    const uint8_t *bytes = memory;
    while (len > 0 && bytes[len - 1] == 0)
        len--;
    return len == 0;
}

static void nothing_is_sealed_before_application_keys_stand(void **state)
{
    (void)state;
    for (int where = PAIR_CLIENT_WAIT_SH; where < PAIR_SERVER_CONNECTED; where++) {
        pair_reach(&pair, (enum pair_state)where, TOY_CHACHA20);
        if (pair.engine.session.can_send)
            continue;
        size_t before = pair.engine.out.len;
        assert_int_equal(endpoint_send(&pair.engine, "secret", 6), TLS_FAIL_INTERNAL);
        assert_int_equal(pair.engine.out.len, before);
    }
}

static void keys_are_not_updated_before_the_handshake_is_done(void **state)
{
    (void)state;
    for (int where = PAIR_CLIENT_WAIT_SH; where < PAIR_SERVER_CONNECTED; where++) {
        if (where == PAIR_CLIENT_CONNECTED)
            continue;
        pair_reach(&pair, (enum pair_state)where, TOY_CHACHA20);
        size_t before = pair.engine.out.len;
        assert_int_equal(endpoint_key_update(&pair.engine, true), TLS_FAIL_INTERNAL);
        assert_int_equal(pair.engine.out.len, before);
    }
}

static void the_calls_of_handshake_and_session_are_not_mixed(void **state)
{
    (void)state;
    uint8_t out[64], memory[TLS_FLIGHT_MAX];
    size_t len;
    enum tls_event event;
    struct tls_buffer flight = {memory, 0, sizeof memory};
    struct toy_buffer wire = {.len = 0};
    pair_reach(&pair, PAIR_SERVER_CONNECTED, TOY_CHACHA20);
    toy_seal(&pair.toy.tx, TOY_DATA, "a", 1, 0, &wire);
    assert_int_equal(tls_handshake_record(&pair.engine.session, &pair.engine.handshake, &pair.engine.config,
                                          wire.data, wire.len, &flight),
                     TLS_FAIL_INTERNAL);
    pair_reach(&pair, PAIR_SERVER_WAIT_FINISHED, TOY_CHACHA20);
    wire.len = 0;
    toy_seal(&pair.toy.tx, TOY_DATA, "a", 1, 0, &wire);
    assert_int_equal(tls_session_open(&pair.engine.session, wire.data, wire.len, out, &len, &event),
                     TLS_FAIL_INTERNAL);
}

static void an_output_buffer_too_small_is_misuse(void **state)
{
    (void)state;
    static struct endpoint client;
    uint16_t suite = TOY_CHACHA20;
    uint8_t memory[TLS_FLIGHT_MAX];
    struct tls_buffer flight = {memory, 1, sizeof memory};
    endpoint_init(&client, &suite, 1, true);
    assert_int_equal(tls_client_begin(&client.session, &client.handshake, &client.config, &flight),
                     TLS_FAIL_INTERNAL);
    assert_int_equal(flight.len, 1);
}

static void alerts_and_updates_respect_the_output_buffer(void **state)
{
    (void)state;
    for (size_t cap = 0; cap < 5 + 2 + 1 + 16; cap++) {
        uint8_t *memory = malloc(cap + 1);
        struct tls_buffer flight = {memory, 0, cap};
        memory[cap] = 0x77;
        pair_reach(&pair, PAIR_CLIENT_CONNECTED, TOY_CHACHA20);
        tls_session_alert(&pair.engine.session, TLS_ALERT_USER_CANCELED, &flight);
        assert_int_equal(flight.len, 0);
        assert_int_equal(tls_session_key_update(&pair.engine.session, false, &flight), TLS_FAIL_INTERNAL);
        assert_int_equal(flight.len, 0);
        assert_int_equal(memory[cap], 0x77);
        free(memory);
    }
}

static void keys_shorter_than_16_bytes_are_not_used(void **state)
{
    (void)state;
    static struct endpoint client;
    static struct toy_hello hello;
    uint16_t suite = TOY_CHACHA20;
    endpoint_init(&client, &suite, 1, false);
    endpoint_add_key(&client, "short", endpoint_key, 15);
    assert_int_equal(endpoint_begin(&client, TLS_CLIENT), TLS_FAIL_INTERNAL);
    pair_begin(&pair, TLS_SERVER, TOY_CHACHA20);
    pair.engine.psks[0].key_len = pair.toy.psk_len = 15;
    toy_client_hello(&pair.toy, &hello);
    pair_client_hello(&pair, &hello, 1);
    pair_expect_failure(&pair, TLS_FAIL_KEY, TLS_ALERT_DECRYPT_ERROR);
}

static void identities_of_no_bytes_or_too_many_are_not_used(void **state)
{
    (void)state;
    static struct endpoint client;
    static char name[TLS_IDENTITY_MAX + 2];
    uint16_t suite = TOY_CHACHA20;
    memset(name, 'n', TLS_IDENTITY_MAX + 1);
    for (size_t len = 0; len <= TLS_IDENTITY_MAX + 1; len++) {
        endpoint_init(&client, &suite, 1, false);
        endpoint_add_key(&client, name, endpoint_key, sizeof endpoint_key);
        client.psks[0].identity_len = len;
        bool usable = len >= 1 && len <= TLS_IDENTITY_MAX;
        assert_int_equal(endpoint_begin(&client, TLS_CLIENT), usable ? TLS_OK : TLS_FAIL_INTERNAL);
        assert_int_equal(client.out.len > 0, usable);
    }
}

static void a_suite_named_twice_is_offered_once(void **state)
{
    (void)state;
    static struct endpoint client;
    static struct toy_hello hello;
    static const uint16_t twice[] = {TOY_CHACHA20, TOY_CHACHA20, TOY_CHACHA20};
    endpoint_init(&client, twice, 3, true);
    assert_int_equal(endpoint_begin(&client, TLS_CLIENT), TLS_OK);
    assert_true(toy_hello_decode(&hello, client.out.data + 5, client.out.len - 5));
    assert_int_equal(hello.suites_len, 2);
}

static void sevens(uint8_t *out, size_t len)
{
    memset(out, 7, len);
}

static void the_callers_source_of_randomness_is_used(void **state)
{
    (void)state;
    static struct endpoint client;
    static struct toy_hello hello;
    uint16_t suite = TOY_CHACHA20;
    uint8_t expected[32];
    sevens(expected, sizeof expected);
    endpoint_init(&client, &suite, 1, true);
    client.config.random = sevens;
    assert_int_equal(endpoint_begin(&client, TLS_CLIENT), TLS_OK);
    assert_true(toy_hello_decode(&hello, client.out.data + 5, client.out.len - 5));
    assert_memory_equal(hello.random, expected, sizeof expected);
}

static void a_server_without_keys_knows_no_identity(void **state)
{
    (void)state;
    static struct toy_hello hello;
    pair_begin(&pair, TLS_SERVER, TOY_CHACHA20);
    pair.engine.config.psk_count = 0;
    toy_client_hello(&pair.toy, &hello);
    pair_client_hello(&pair, &hello, 1);
    pair_expect_failure(&pair, TLS_FAIL_KEY, TLS_ALERT_DECRYPT_ERROR);
}

static void every_hello_has_randomness_of_its_own(void **state)
{
    (void)state;
    static struct endpoint one, two;
    static struct toy_hello first, second;
    uint16_t suite = TOY_CHACHA20;
    endpoint_init(&one, &suite, 1, true);
    endpoint_init(&two, &suite, 1, true);
    one.config.random = two.config.random = NULL;
    assert_int_equal(endpoint_begin(&one, TLS_CLIENT), TLS_OK);
    assert_int_equal(endpoint_begin(&two, TLS_CLIENT), TLS_OK);
    assert_true(toy_hello_decode(&first, one.out.data + 5, one.out.len - 5));
    assert_true(toy_hello_decode(&second, two.out.data + 5, two.out.len - 5));
    assert_memory_not_equal(first.random, second.random, 32);
    assert_memory_not_equal(toy_hello_find(&first, TOY_KEY_SHARE)->body + 6,
                            toy_hello_find(&second, TOY_KEY_SHARE)->body + 6, 32);
}

static void sealing_in_place_gives_the_same_record(void **state)
{
    (void)state;
    uint8_t apart[64], in_place[64];
    size_t len = 0, again = 0;
    size_t count;
    const uint16_t *suites = pair_suites(&count);
    for (size_t i = 0; i < count; i++) {
        pair_reach(&pair, PAIR_CLIENT_CONNECTED, suites[i]);
        uint64_t sequence = pair.engine.session.tx.sequence;
        assert_int_equal(tls_session_seal(&pair.engine.session, (const uint8_t *)"data", 4, apart, &len),
                         TLS_OK);
        /* Undone, as a caller may that has sent nothing of it. */
        pair.engine.session.tx.sequence = sequence;
        memcpy(in_place + 5, "data", 4);
        assert_int_equal(tls_session_seal(&pair.engine.session, in_place + 5, 4, in_place, &again), TLS_OK);
        assert_int_equal(len, again);
        assert_memory_equal(apart, in_place, len);
    }
}

/* The content of a record that a part of was sent: from the record, and not from where it was. */
static void a_record_of_ours_tells_its_content(void **state)
{
    (void)state;
    static uint8_t said[TLS_PLAINTEXT_MAX], record[TLS_RECORD_MAX], again[TLS_RECORD_MAX],
        got[TLS_PLAINTEXT_MAX];
    const size_t sizes[] = {0, 1, 31, 32, 257, TLS_PLAINTEXT_MAX};
    size_t count, len, same;
    const uint16_t *suites = pair_suites(&count);
    for (size_t i = 0; i < count * (sizeof sizes / sizeof sizes[0]); i++) {
        const size_t size = sizes[i / count];
        struct tls_session *session = &pair.engine.session;
        pair_reach(&pair, PAIR_CLIENT_CONNECTED, suites[i % count]);
        const uint64_t sequence = session->tx.sequence;
        memset(said, (int)(0x40 + i), size);
        assert_int_equal(tls_session_seal(session, said, size, record, &len), TLS_OK);
        session->tx.sequence = sequence;
        assert_int_equal(tls_session_recover(session, record, size, got), TLS_OK);
        assert_memory_equal(got, said, size);
        assert_int_equal(session->tx.sequence, sequence);
        /* Another end behind the same beginning: what was sent is the beginning of both records. */
        if (size > 0)
            got[size - 1] ^= 1;
        assert_int_equal(tls_session_seal(session, got, size, again, &same), TLS_OK);
        assert_int_equal(len, same);
        assert_memory_equal(record, again, TLS_RECORD_HEADER + (size > 0 ? size - 1 : 0));
        session->tx.sequence = sequence;
        record[len - 1] ^= 1;
        assert_int_equal(tls_session_recover(session, record, size, got), TLS_FAIL_INTERNAL);
    }
}

static void nothing_is_sealed_after_our_close_notify(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        uint8_t type;
        pair_reach(&pair, connected[i], TOY_CHACHA20);
        endpoint_alert(&pair.engine, TLS_ALERT_CLOSE_NOTIFY);
        assert_true(pair_read(&pair, &type, &content));
        assert_int_not_equal(endpoint_send(&pair.engine, "late", 4), TLS_OK);
        assert_false(pair_read(&pair, &type, &content));
    }
}

/* Half-closed: the other direction goes on, and a request to update keys that will never be used ends
 * nothing. */
static void receiving_goes_on_after_our_close_notify(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        uint8_t type;
        pair_reach(&pair, connected[i], TOY_CHACHA20);
        endpoint_alert(&pair.engine, TLS_ALERT_CLOSE_NOTIFY);
        assert_true(pair_read(&pair, &type, &content));
        assert_int_equal(pair_send(&pair, TOY_DATA, "more", 4), TLS_OK);
        assert_int_equal(pair_send(&pair, TOY_HANDSHAKE, "\30\0\0\1\1", 5), TLS_OK);
        toy_keys_update(&pair.toy.tx);
        if (pair.engine.events[TLS_EVENT_KEY_UPDATE_ASKED] > 0)
            assert_int_equal(endpoint_key_update(&pair.engine, false), TLS_OK);
        assert_false(pair_read(&pair, &type, &content));
        assert_int_equal(pair_send(&pair, TOY_DATA, "and more", 8), TLS_OK);
        assert_int_equal(pair.engine.data.len, 12);
    }
}

static void wiping_leaves_nothing(void **state)
{
    (void)state;
    pair_reach(&pair, PAIR_CLIENT_WAIT_FINISHED, TOY_CHACHA20);
    tls_handshake_wipe(&pair.engine.handshake);
    assert_true(all_zero(&pair.engine.handshake, sizeof pair.engine.handshake));
    tls_session_wipe(&pair.engine.session);
    assert_true(all_zero(&pair.engine.session, sizeof pair.engine.session));
}

/* RFC 8446, 6.2: secrets of a failed connection are dropped, once the alert is out. */
static void a_failed_session_keeps_no_secrets(void **state)
{
    (void)state;
    for (int where = PAIR_CLIENT_WAIT_SH; where <= PAIR_SERVER_CONNECTED; where++) {
        const struct tls_session *session = &pair.engine.session;
        pair_reach(&pair, (enum pair_state)where, TOY_CHACHA20);
        pair_send(&pair, TOY_HANDSHAKE, "\13\0\0\0", 4);
        pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_UNEXPECTED_MESSAGE);
        assert_true(all_zero(session->rx.secret, 32) && all_zero(session->rx.key, 32));
        assert_true(all_zero(session->tx.secret, 32) && all_zero(session->tx.key, 32));
    }
}

/* Sessions lie in shared memory at different addresses: a byte-wise copy is as good as the original. */
static void a_session_may_be_moved(void **state)
{
    (void)state;
    static struct tls_session moved;
    for (size_t i = 0; i < 2; i++) {
        pair_reach(&pair, connected[i], TOY_CHACHA20);
        memcpy(&moved, &pair.engine.session, sizeof moved);
        memset(&pair.engine.session, 0xdd, sizeof moved);
        memset(&pair.engine.handshake, 0xdd, sizeof pair.engine.handshake);
        memcpy(&pair.engine.session, &moved, sizeof moved);
        pair_expect_connected(&pair);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_sealed_before_application_keys_stand),
        cmocka_unit_test(keys_are_not_updated_before_the_handshake_is_done),
        cmocka_unit_test(the_calls_of_handshake_and_session_are_not_mixed),
        cmocka_unit_test(an_output_buffer_too_small_is_misuse),
        cmocka_unit_test(alerts_and_updates_respect_the_output_buffer),
        cmocka_unit_test(keys_shorter_than_16_bytes_are_not_used),
        cmocka_unit_test(identities_of_no_bytes_or_too_many_are_not_used),
        cmocka_unit_test(a_suite_named_twice_is_offered_once),
        cmocka_unit_test(the_callers_source_of_randomness_is_used),
        cmocka_unit_test(a_server_without_keys_knows_no_identity),
        cmocka_unit_test(every_hello_has_randomness_of_its_own),
        cmocka_unit_test(sealing_in_place_gives_the_same_record),
        cmocka_unit_test(a_record_of_ours_tells_its_content),
        cmocka_unit_test(nothing_is_sealed_after_our_close_notify),
        cmocka_unit_test(receiving_goes_on_after_our_close_notify),
        cmocka_unit_test(wiping_leaves_nothing),
        cmocka_unit_test(a_failed_session_keeps_no_secrets),
        cmocka_unit_test(a_session_may_be_moved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
