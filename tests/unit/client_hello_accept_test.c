/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* What a server must accept or pass over in a ClientHello (RFC 8446, 4.1.2), in whatever portions it comes;
 * and ClientHellos cut short at every length. */

#include "pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct pair pair;
static struct toy_hello hello;
static struct toy_buffer message;

static void begin(void)
{
    pair_begin(&pair, TLS_SERVER, TOY_CHACHA20);
    toy_client_hello(&pair.toy, &hello);
}

static void finish(void)
{
    pair_read_server_hello(&pair);
    pair_read_server_flight(&pair);
    assert_int_equal(pair_client_finished(&pair), TLS_OK);
    pair_expect_connected(&pair);
}

static void expect_accepted(size_t binders)
{
    assert_int_equal(pair_client_hello(&pair, &hello, binders), TLS_OK);
    finish();
}

static void unknown_extensions_are_ignored(void **state)
{
    (void)state;
    begin();
    for (uint16_t i = 0; i < 8; i++)
        toy_hello_insert(&hello, i, (uint16_t)(0x0a0a + 0x1010 * i), "grease", i % 7);
    expect_accepted(1);
}

static void extensions_of_other_peers_are_ignored(void **state)
{
    (void)state;
    static const uint8_t name[] = {0, 7, 0, 0, 4, 'h', 'o', 's', 't'};
    static const uint8_t algorithms[] = {0, 4, 4, 3, 8, 4};
    begin();
    toy_hello_insert(&hello, 0, TOY_SERVER_NAME, name, sizeof name);
    toy_hello_insert(&hello, 1, 13, algorithms, sizeof algorithms);
    toy_hello_insert(&hello, 2, 0xff01, (const uint8_t[]){0}, 1);
    toy_hello_insert(&hello, 3, 22, NULL, 0);
    toy_hello_insert(&hello, 4, 23, NULL, 0);
    toy_hello_insert(&hello, 5, 35, NULL, 0);
    toy_hello_insert(&hello, 6, TOY_ALPN, (const uint8_t[]){0, 3, 2, 'h', '2'}, 5);
    expect_accepted(1);
}

static void unknown_suites_are_passed_over(void **state)
{
    (void)state;
    begin();
    static const uint8_t suites[] = {0xda, 0xda, 0x13, 0x02, 0x13, 0x01, 0x00, 0xff, 0x13, 0x03, 0xff, 0x5d};
    memcpy(hello.suites, suites, sizeof suites);
    hello.suites_len = sizeof suites;
    expect_accepted(1);
}

static void unknown_groups_versions_and_modes_are_passed_over(void **state)
{
    (void)state;
    begin();
    static const uint8_t groups[] = {0, 8, 0x1a, 0x1a, 0x11, 0xec, 0, TOY_X25519, 0, TOY_SECP256R1};
    static const uint8_t versions[] = {8, 0x7a, 0x7a, 3, 4, 3, 3, 3, 1};
    static const uint8_t modes[] = {4, 0x0b, 0, 1, 0x2a};
    toy_hello_replace(&hello, TOY_SUPPORTED_GROUPS, groups, sizeof groups);
    toy_hello_replace(&hello, TOY_SUPPORTED_VERSIONS, versions, sizeof versions);
    toy_hello_replace(&hello, TOY_PSK_MODES, modes, sizeof modes);
    expect_accepted(1);
}

static void shares_of_unknown_groups_are_passed_over(void **state)
{
    (void)state;
    struct toy_buffer shares = {.len = 0};
    begin();
    toy_hello_replace(&hello, TOY_SUPPORTED_GROUPS, (const uint8_t[]){0, 4, 0x1a, 0x1a, 0, TOY_X25519}, 6);
    size_t list = toy_vector_begin(&shares, 2);
    toy_put(&shares, (const uint8_t[]){0x1a, 0x1a, 0, 1, 0, 0, TOY_X25519, 0, 32}, 9);
    toy_put(&shares, pair.toy.public_key, 32);
    toy_vector_end(&shares, list, 2);
    toy_hello_replace(&hello, TOY_KEY_SHARE, shares.data, shares.len);
    expect_accepted(1);
}

static void extensions_may_come_in_any_order(void **state)
{
    (void)state;
    static struct toy_extension swap;
    for (size_t turn = 0; turn < 4; turn++) {
        begin();
        swap = hello.extensions[turn];
        hello.extensions[turn] = hello.extensions[3 - turn];
        hello.extensions[3 - turn] = swap;
        expect_accepted(1);
    }
}

/* 4.2.11: the age of an external PSK has no meaning. */
static void the_ticket_age_is_ignored(void **state)
{
    (void)state;
    begin();
    memset(toy_hello_find(&hello, TOY_PRE_SHARED_KEY)->body + 2 + 2 + strlen(ENDPOINT_IDENTITY), 0xee, 4);
    expect_accepted(1);
}

/* 4.2.11: only the binder of the chosen identity is to be validated. */
static void the_binder_of_an_identity_not_chosen_is_ignored(void **state)
{
    (void)state;
    struct toy_buffer body;
    begin();
    toy_psk_body(&body, (const char *const[]){"unknown", ENDPOINT_IDENTITY, "other"}, 3);
    toy_hello_replace(&hello, TOY_PRE_SHARED_KEY, body.data, body.len);
    toy_hello_encode(&hello, &message);
    toy_bind_one(&pair.toy, &message, 3, 1, endpoint_key, sizeof endpoint_key);
    toy_transcript_add(&pair.toy, message.data, message.len);
    assert_int_equal(pair_send_message(&pair, &message), TLS_OK);
    pair_read_server_hello(&pair);
    assert_int_equal(toy_number(toy_hello_find(&pair.toy.peer, TOY_PRE_SHARED_KEY)->body, 2), 1);
    pair_read_server_flight(&pair);
    assert_int_equal(pair_client_finished(&pair), TLS_OK);
    pair_expect_connected(&pair);
}

/* 4.1.3 and D.4: the session id comes back, and then a change_cipher_spec after the ServerHello. */
static void a_session_id_is_echoed_with_a_change_cipher_spec(void **state)
{
    (void)state;
    for (size_t len = 1; len <= 32; len += 31) {
        begin();
        hello.session_id_len = len;
        memset(hello.session_id, 0x7e, len);
        assert_int_equal(pair_client_hello(&pair, &hello, 1), TLS_OK);
        pair_read_server_hello(&pair);
        assert_int_equal(pair.toy.peer.session_id_len, len);
        assert_memory_equal(pair.toy.peer.session_id, hello.session_id, len);
        static const uint8_t ccs[] = {TOY_CCS, 3, 3, 0, 1, 1};
        assert_memory_equal(pair.engine.out.data + pair.read_at, ccs, sizeof ccs);
        pair_read_server_flight(&pair);
        assert_int_equal(pair_client_finished(&pair), TLS_OK);
        pair_expect_connected(&pair);
    }
}

static void without_a_session_id_there_is_no_change_cipher_spec(void **state)
{
    (void)state;
    begin();
    assert_int_equal(pair_client_hello(&pair, &hello, 1), TLS_OK);
    for (size_t at = 0; at < pair.engine.out.len; at += 5 + toy_number(pair.engine.out.data + at + 3, 2))
        assert_int_not_equal(pair.engine.out.data[at], TOY_CCS);
}

static void bound_message(void)
{
    begin();
    toy_hello_encode(&hello, &message);
    toy_bind(&pair.toy, &message, 1);
    toy_transcript_add(&pair.toy, message.data, message.len);
}

static void a_hello_in_records_of_one_byte_is_accepted(void **state)
{
    (void)state;
    bound_message();
    for (size_t i = 0; i < message.len; i++)
        assert_int_equal(pair_send(&pair, TOY_HANDSHAKE, message.data + i, 1), TLS_OK);
    finish();
}

static void a_hello_split_anywhere_is_accepted(void **state)
{
    (void)state;
    bound_message();
    for (size_t cut = 1, len = message.len; cut < len; cut++) {
        bound_message();
        assert_int_equal(pair_send(&pair, TOY_HANDSHAKE, message.data, cut), TLS_OK);
        assert_int_equal(pair.engine.out.len, 0);
        assert_int_equal(pair_send(&pair, TOY_HANDSHAKE, message.data + cut, len - cut), TLS_OK);
        assert_true(pair.engine.session.can_send);
    }
    finish();
}

/* RFC 8446, 5.1: the first ClientHello may come under 0x0301, and the record's version says nothing. */
static void the_record_version_is_ignored(void **state)
{
    (void)state;
    static struct toy_buffer wire;
    bound_message();
    wire.len = 0;
    toy_plain_record(&wire, TOY_HANDSHAKE, message.data, message.len);
    wire.data[2] = 1;
    assert_int_equal(endpoint_receive(&pair.engine, wire.data, wire.len), TLS_OK);
    finish();
}

/* Binds and sends what is in `message`. */
static enum tls_result send_bound(void)
{
    toy_bind(&pair.toy, &message, 1);
    toy_transcript_add(&pair.toy, message.data, message.len);
    return pair_send_message(&pair, &message);
}

static const uint8_t zeros[65536];

/* Bytes of the extensions in `message`: all that is behind the null compression. */
static size_t extensions_len(void)
{
    return message.len - (4 + 2 + 32 + 1 + 2 + hello.suites_len + 2 + 2);
}

/* 4.1.2, 9.3: what is not known is ignored, and one extension may be as long as the block that it is in. */
static void a_hello_whose_extensions_fill_their_block_is_accepted(void **state)
{
    (void)state;
    begin();
    toy_hello_encode(&hello, &message);
    toy_hello_pad(&message, 21, zeros, 65535 - 4 - extensions_len());
    assert_int_equal(extensions_len(), 65535);
    assert_int_equal(send_bound(), TLS_OK);
    finish();
}

/* As many as there can be, each empty and of a type of its own. */
static void a_hello_of_many_extensions_is_accepted(void **state)
{
    (void)state;
    static uint8_t block[65536];
    size_t len = 0;
    begin();
    toy_hello_encode(&hello, &message);
    const size_t room = 65535 - extensions_len();
    for (uint32_t type = 256; len + 8 <= room; type++, len += 4) {
        block[len] = (uint8_t)(type >> 8);
        block[len + 1] = (uint8_t)type;
    }
    assert_true(len / 4 > 16000);
    toy_hello_pad(&message, 0xffff, block, len);
    memset(message.data + 4 + 2 + 32 + 1 + 2 + hello.suites_len + 2 + 2 + 2, 0,
           2); /* what follows is no body */
    assert_int_equal(send_bound(), TLS_OK);
    finish();
}

/* RFC 8446, 4.2: also of two that are not known, however far apart. */
static void an_unknown_extension_that_comes_twice_is_refused(void **state)
{
    (void)state;
    begin();
    toy_hello_encode(&hello, &message);
    toy_hello_pad(&message, 0xfedc, "a", 1);
    for (uint16_t type = 0xf000; type < 0xf100; type++)
        toy_hello_pad(&message, type, zeros, 3);
    toy_hello_pad(&message, 0xfedc, NULL, 0);
    send_bound();
    pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_ILLEGAL_PARAMETER);
}

static void a_hello_of_many_suites_is_accepted(void **state)
{
    (void)state;
    static struct toy_buffer whole;
    const size_t suites = 4 + 2 + 32 + 1, count = 32767;
    begin();
    toy_hello_encode(&hello, &message);
    whole.len = 0;
    toy_put(&whole, message.data, suites);
    toy_put_number(&whole, 2 * count, 2);
    for (size_t i = 0; i < count - 1; i++)
        toy_put_number(&whole, 0xc000 + i % 4096, 2);
    toy_put_number(&whole, TOY_CHACHA20, 2);
    toy_put(&whole, message.data + suites + 2 + hello.suites_len,
            message.len - suites - 2 - hello.suites_len);
    const size_t body = whole.len - 4;
    memcpy(whole.data + 1, (const uint8_t[]){(uint8_t)(body >> 16), (uint8_t)(body >> 8), (uint8_t)body}, 3);
    message = whole;
    assert_int_equal(send_bound(), TLS_OK);
    finish();
}

/* X25519MLKEM768 and another share that fills several records, in front of the one that is supported. */
static void long_shares_of_unknown_groups_are_passed_over(void **state)
{
    (void)state;
    static struct toy_buffer shares, encoded;
    static const uint8_t groups[] = {0, 6, 0x11, 0xec, 0xee, 0xee, 0, TOY_X25519};
    begin();
    shares.len = 0;
    size_t list = toy_vector_begin(&shares, 2);
    toy_put(&shares, (const uint8_t[]){0x11, 0xec, 1216 >> 8, 1216 & 0xff}, 4);
    toy_put(&shares, zeros, 1216);
    toy_put(&shares, (const uint8_t[]){0xee, 0xee, 50000 >> 8, 50000 & 0xff}, 4);
    toy_put(&shares, zeros, 50000);
    toy_put(&shares, (const uint8_t[]){0, TOY_X25519, 0, 32}, 4);
    toy_put(&shares, pair.toy.public_key, 32);
    toy_vector_end(&shares, list, 2);
    toy_hello_replace(&hello, TOY_SUPPORTED_GROUPS, groups, sizeof groups);
    toy_hello_remove(&hello, TOY_KEY_SHARE);
    toy_hello_encode(&hello, &encoded);
    message = encoded;
    toy_hello_pad(&message, TOY_KEY_SHARE, shares.data, shares.len);
    assert_int_equal(send_bound(), TLS_OK);
    finish();
}

/* The order of shares is not checked in longer lists than a server keeps (4.2.8: MAY), but X25519 is found.
 */
static void a_hello_of_many_groups_is_accepted(void **state)
{
    (void)state;
    static struct toy_buffer groups;
    begin();
    groups.len = 0;
    size_t list = toy_vector_begin(&groups, 2);
    for (unsigned i = 0; i < 5000; i++)
        toy_put_number(&groups, 0x2000 + i, 2);
    toy_put_number(&groups, TOY_X25519, 2);
    toy_vector_end(&groups, list, 2);
    toy_hello_replace(&hello, TOY_SUPPORTED_GROUPS, groups.data, groups.len);
    expect_accepted(1);
}

static void a_large_hello_in_small_records_is_accepted(void **state)
{
    (void)state;
    begin();
    toy_hello_encode(&hello, &message);
    toy_hello_pad(&message, 21, zeros, 30000);
    toy_bind(&pair.toy, &message, 1);
    toy_transcript_add(&pair.toy, message.data, message.len);
    for (size_t at = 0, part; at < message.len; at += part) {
        part = message.len - at < 997 ? message.len - at : 997;
        assert_int_equal(pair_send(&pair, TOY_HANDSHAKE, message.data + at, part), TLS_OK);
    }
    finish();
}

/* A record for each byte costs a server more than the peer that sends them. */
static void a_hello_in_too_many_records_is_refused(void **state)
{
    (void)state;
    begin();
    toy_hello_encode(&hello, &message);
    toy_hello_pad(&message, 21, zeros, 2000);
    enum tls_result result = TLS_OK;
    size_t sent = 0;
    for (; sent < message.len && result == TLS_OK; sent++)
        result = pair_send(&pair, TOY_HANDSHAKE, message.data + sent, 1);
    assert_int_equal(sent, 1025);
    pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_UNEXPECTED_MESSAGE);
}

/* Longer than all its vectors together can be: nothing that can be decoded. The header settles it. */
static void a_hello_longer_than_its_vectors_is_refused(void **state)
{
    (void)state;
    const size_t longest = 2 + 32 + 1 + 32 + 2 + 65534 + 1 + 255 + 2 + 65535;
    for (size_t len = longest; len <= longest + 1; len++) {
        begin();
        uint8_t header[] = {TOY_CLIENT_HELLO, (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len};
        enum tls_result result = pair_send(&pair, TOY_HANDSHAKE, header, sizeof header);
        if (len == longest)
            assert_int_equal(result, TLS_OK);
        else
            pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_DECODE_ERROR);
    }
}

/* RFC 8446, 4.2.2. A server that asked for no cookie passes over one that is well-formed. */
static void a_cookie_is_passed_over_if_it_is_well_formed(void **state)
{
    (void)state;
    static uint8_t cookie[5002] = {5000 >> 8, 5000 & 0xff};
    begin();
    toy_hello_insert(&hello, 0, TOY_COOKIE, cookie, sizeof cookie);
    expect_accepted(1);
    static const struct {
        uint8_t len, body[4];
    } malformed[] = {{0, {0}}, {1, {0}}, {2, {0, 0}}, {3, {0, 0, 1}}, {3, {0, 2, 1}}, {4, {0, 1, 1, 1}}};
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
        begin();
        toy_hello_insert(&hello, 0, TOY_COOKIE, malformed[i].body, malformed[i].len);
        pair_client_hello(&pair, &hello, 1);
        pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_DECODE_ERROR);
    }
}

/* The first 64 identities are looked at, so that a long list costs a server little. */
static void identities_far_down_the_list_are_not_looked_at(void **state)
{
    (void)state;
    static const char *names[66];
    static struct toy_buffer body;
    for (size_t known = 63; known <= 64; known++) {
        for (size_t i = 0; i < 66; i++)
            names[i] = i == known ? ENDPOINT_IDENTITY : "x";
        begin();
        body.len = 0;
        toy_psk_body(&body, names, 66);
        toy_hello_replace(&hello, TOY_PRE_SHARED_KEY, body.data, body.len);
        toy_hello_encode(&hello, &message);
        toy_bind_one(&pair.toy, &message, 66, known, endpoint_key, sizeof endpoint_key);
        pair_send_message(&pair, &message);
        if (known == 63)
            assert_int_equal(pair.engine.result, TLS_OK);
        else
            pair_expect_failure(&pair, TLS_FAIL_KEY, TLS_ALERT_DECRYPT_ERROR);
    }
}

/* 5.1: no message follows in the record after which keys change. */
static void a_byte_behind_the_hello_in_its_record_is_refused(void **state)
{
    (void)state;
    bound_message();
    toy_put(&message, "", 1);
    pair_send_message(&pair, &message);
    pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_UNEXPECTED_MESSAGE);
}

/* With the lengths of message and record made right, and without. */
static void a_hello_cut_at_any_length_is_never_accepted(void **state)
{
    (void)state;
    bound_message();
    for (size_t len = 4, whole = message.len; len < whole; len++) {
        bound_message();
        message.data[2] = (uint8_t)((len - 4) >> 8);
        message.data[3] = (uint8_t)(len - 4);
        message.len = len;
        assert_int_not_equal(pair_send_message(&pair, &message), TLS_OK);
        assert_false(pair.engine.session.can_send);
        bound_message();
        assert_int_equal(pair_send(&pair, TOY_HANDSHAKE, message.data, len), TLS_OK);
        assert_int_equal(pair.engine.out.len, 0);
    }
}

static void an_extension_cut_at_any_length_is_never_accepted(void **state)
{
    (void)state;
    begin();
    for (size_t i = 0, count = hello.extension_count; i < count; i++) {
        begin();
        for (size_t len = 0, whole = hello.extensions[i].len; len <= whole + 1; len++) {
            if (len == whole)
                continue;
            begin();
            hello.extensions[i].len = len;
            assert_int_not_equal(pair_client_hello(&pair, &hello, i + 1 < count), TLS_OK);
            assert_false(pair.engine.session.can_send);
        }
    }
}

static void bytes_behind_the_extensions_are_refused(void **state)
{
    (void)state;
    begin();
    toy_hello_encode(&hello, &message);
    toy_put(&message, "", 1);
    message.data[3]++;
    pair_send_message(&pair, &message);
    pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_DECODE_ERROR);
}

/* As a client of TLS 1.1 or less may send it (RFC 8446, 4.1.2): told apart from a broken one. */
static void a_hello_without_extensions_is_of_an_older_version(void **state)
{
    (void)state;
    begin();
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
        cmocka_unit_test(unknown_extensions_are_ignored),
        cmocka_unit_test(extensions_of_other_peers_are_ignored),
        cmocka_unit_test(unknown_suites_are_passed_over),
        cmocka_unit_test(unknown_groups_versions_and_modes_are_passed_over),
        cmocka_unit_test(shares_of_unknown_groups_are_passed_over),
        cmocka_unit_test(extensions_may_come_in_any_order),
        cmocka_unit_test(the_ticket_age_is_ignored),
        cmocka_unit_test(the_binder_of_an_identity_not_chosen_is_ignored),
        cmocka_unit_test(a_session_id_is_echoed_with_a_change_cipher_spec),
        cmocka_unit_test(without_a_session_id_there_is_no_change_cipher_spec),
        cmocka_unit_test(a_hello_in_records_of_one_byte_is_accepted),
        cmocka_unit_test(a_hello_split_anywhere_is_accepted),
        cmocka_unit_test(the_record_version_is_ignored),
        cmocka_unit_test(a_hello_whose_extensions_fill_their_block_is_accepted),
        cmocka_unit_test(a_hello_of_many_extensions_is_accepted),
        cmocka_unit_test(an_unknown_extension_that_comes_twice_is_refused),
        cmocka_unit_test(a_hello_of_many_suites_is_accepted),
        cmocka_unit_test(long_shares_of_unknown_groups_are_passed_over),
        cmocka_unit_test(a_hello_of_many_groups_is_accepted),
        cmocka_unit_test(a_large_hello_in_small_records_is_accepted),
        cmocka_unit_test(a_hello_in_too_many_records_is_refused),
        cmocka_unit_test(a_hello_longer_than_its_vectors_is_refused),
        cmocka_unit_test(a_cookie_is_passed_over_if_it_is_well_formed),
        cmocka_unit_test(identities_far_down_the_list_are_not_looked_at),
        cmocka_unit_test(a_byte_behind_the_hello_in_its_record_is_refused),
        cmocka_unit_test(a_hello_cut_at_any_length_is_never_accepted),
        cmocka_unit_test(an_extension_cut_at_any_length_is_never_accepted),
        cmocka_unit_test(bytes_behind_the_extensions_are_refused),
        cmocka_unit_test(a_hello_without_extensions_is_of_an_older_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
