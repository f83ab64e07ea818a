/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Two messages at once (crypto/aegis_pair.h), against libsodium's one by one; and two full records at once
 * (tls.h), against the session's own one by one. Where the processor, or valgrind's, cannot, the records take
 * the slow way, and the tests of them hold too. */

#include "crypto/aegis_pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/aead.h"
#include "crypto/secret.h"
#include "endpoint.h"
#include "tls/tls_record.h"

enum { MAX = TLS_PLAINTEXT_MAX, SEALED = MAX + 1 + AEGIS_PAIR_TAG, RECORD = TLS_RECORD_HEADER + SEALED };

/* Odd addresses: nothing may count on alignment. */
static uint8_t space_in[2 * RECORD + 64], space_out[2 * RECORD + 64], space_alone[2 * RECORD + 64];
static uint8_t *const in = space_in + 1, *const out = space_out + 3, *const alone = space_alone + 7;
static uint8_t key[16], nonces[2][16], aad[AEGIS_PAIR_AAD_MAX];

static struct aegis_pair random_pair(size_t len, size_t aad_len)
{
    endpoint_random(key, sizeof key);
    endpoint_random(&nonces[0][0], sizeof nonces);
    endpoint_random(aad, sizeof aad);
    endpoint_random(in, 2 * len);
    return (struct aegis_pair){key, {nonces[0], nonces[1]}, aad, aad_len, len};
}

static void need_pairs(void)
{
    if (!aegis_pair_usable())
        skip();
}

static void seal_both(const struct aegis_pair *pair, uint8_t last)
{
    const uint8_t *const from[2] = {in, in + pair->len};
    uint8_t *const to[2] = {out, out + SEALED};
    aegis_pair_seal(pair, from, last, to);
}

static bool open_both(const struct aegis_pair *pair, uint8_t last[2], uint8_t *opened)
{
    const uint8_t *const from[2] = {out, out + SEALED};
    uint8_t *const to[2] = {opened, opened + MAX};
    return aegis_pair_open(pair, from, last, to);
}

static void each_length_gives_what_libsodium_gives_for_each_message(void **state)
{
    (void)state;
    static const size_t lengths[] = {0, 32, 64, 96, 1024, 4000, 16384}, aad_lengths[] = {0, 1, 5, 16, 31, 32};
    const struct aead *aead = aead_of(TLS_SUITE_AEGIS_128L_SHA256);
    need_pairs();
    for (size_t i = 0; i < 7 * 6; i++) {
        struct aegis_pair pair = random_pair(lengths[i / 6], aad_lengths[i % 6]);
        uint8_t last[2] = {0};
        seal_both(&pair, (uint8_t)i);
        for (size_t m = 0; m < 2; m++) {
            memcpy(alone, in + m * pair.len, pair.len);
            alone[pair.len] = (uint8_t)i;
            assert_true(aead_seal(aead, key, nonces[m], aad, pair.aad_len, alone, pair.len + 1, alone));
            assert_memory_equal(out + m * SEALED, alone, pair.len + 1 + AEGIS_PAIR_TAG);
        }
        assert_true(open_both(&pair, last, alone));
        assert_int_equal(last[0], (uint8_t)i);
        assert_int_equal(last[1], (uint8_t)i);
        assert_memory_equal(alone, in, pair.len);
        assert_memory_equal(alone + MAX, in + pair.len, pair.len);
    }
}

static void every_bit_of_either_message_counts(void **state)
{
    (void)state;
    static const uint8_t zeros[64];
    need_pairs();
    struct aegis_pair pair = random_pair(64, 5);
    const size_t sealed = pair.len + 1 + AEGIS_PAIR_TAG;
    uint8_t last[2];
    seal_both(&pair, 23);
    for (size_t bit = 0; bit < 2 * 8 * sealed; bit++) {
        uint8_t *byte = out + (bit / 8 / sealed) * SEALED + bit / 8 % sealed;
        *byte ^= (uint8_t)(1 << bit % 8);
        memset(alone, 0xff, 2 * MAX);
        assert_false(open_both(&pair, last, alone));
        assert_memory_equal(alone, zeros, pair.len);
        assert_memory_equal(alone + MAX, zeros, pair.len);
        assert_int_equal(last[0] | last[1], 0);
        *byte ^= (uint8_t)(1 << bit % 8);
    }
    aad[4] ^= 1;
    assert_false(open_both(&pair, last, alone));
    aad[4] ^= 1;
    assert_true(open_both(&pair, last, alone));
}

/* Records */

static struct tls_session sender, receiver;

/* Two ends of an established connection that have sent `sequence` records. */
static void establish(uint16_t suite, uint64_t sequence)
{
    uint8_t secret[32];
    if (aead_of(suite) == NULL)
        skip();
    endpoint_random(secret, sizeof secret);
    struct tls_session *ends[] = {&sender, &receiver};
    for (int i = 0; i < 2; i++) {
        tls_record_begin(ends[i], i ? TLS_SERVER : TLS_CLIENT);
        ends[i]->suite = suite;
        ends[i]->can_send = ends[i]->complete = true;
        tls_record_set_tx(ends[i], TLS_KEYS_APPLICATION, secret);
        tls_record_set_rx(ends[i], TLS_KEYS_APPLICATION, secret);
        ends[i]->tx.sequence = ends[i]->rx.sequence = sequence;
    }
    endpoint_random(in, 2 * MAX);
}

/* Seals content as the sender would have one by one, into `alone`. */
static size_t seal_alone(const uint8_t *content, size_t len, uint8_t *to)
{
    size_t size;
    assert_int_equal(tls_session_seal(&sender, content, len, to, &size), TLS_OK);
    return size;
}

static void two_records_are_those_that_are_sealed_one_by_one(void **state)
{
    (void)state;
    static const uint64_t sequences[] = {0, 254, 255, 256, 65535, (UINT64_C(1) << 40) - 1};
    need_pairs();
    for (size_t i = 0; i < 6; i++) {
        establish(TLS_SUITE_AEGIS_128L_SHA256, sequences[i]);
        assert_int_equal(tls_session_seal_pair(&sender, in, out), 2 * RECORD);
        assert_int_equal(sender.tx.sequence, sequences[i] + 2);
        sender.tx.sequence = sequences[i];
        assert_int_equal(seal_alone(in, MAX, alone), RECORD);
        assert_int_equal(seal_alone(in + MAX, MAX, alone + RECORD), RECORD);
        assert_memory_equal(out, alone, 2 * RECORD);
        assert_int_equal(tls_session_open_pair(&receiver, out, 2 * RECORD, alone), 2 * RECORD);
        assert_int_equal(receiver.rx.sequence, sequences[i] + 2);
        assert_memory_equal(alone, in, 2 * MAX);
    }
}

/* The two records at `out` are not opened as a pair, and then one by one with this result for each. */
static void expect_one_by_one(enum tls_result first, enum tls_result second)
{
    uint64_t sequence = receiver.rx.sequence;
    enum tls_event event;
    size_t len;
    assert_int_equal(tls_session_open_pair(&receiver, out, 2 * RECORD, alone), 0);
    assert_int_equal(receiver.rx.sequence, sequence);
    assert_int_equal(receiver.failure, TLS_OK);
    assert_int_equal(tls_session_open(&receiver, out, RECORD, alone, &len, &event), first);
    if (first == TLS_OK)
        assert_int_equal(tls_session_open(&receiver, out + RECORD, RECORD, alone, &len, &event), second);
}

static void a_record_that_was_changed_fails_as_it_does_alone(void **state)
{
    (void)state;
    for (int second = 0; second < 2; second++) {
        establish(TLS_SUITE_AEGIS_128L_SHA256, 7);
        seal_alone(in, MAX, out);
        seal_alone(in + MAX, MAX, out + RECORD);
        out[second * RECORD + 1000] ^= 1;
        expect_one_by_one(second ? TLS_OK : TLS_FAIL_RECORD, TLS_FAIL_RECORD);
    }
}

static void a_header_that_was_changed_is_seen(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        uint8_t bit;
        enum tls_result result;
    } changes[] = {{0, 1, TLS_FAIL_PROTOCOL}, {1, 1, TLS_FAIL_PROTOCOL}, {2, 1, TLS_FAIL_RECORD}};
    for (size_t i = 0; i < 3; i++) {
        establish(TLS_SUITE_AEGIS_128L_SHA256, 7);
        seal_alone(in, MAX, out);
        seal_alone(in + MAX, MAX, out + RECORD);
        out[RECORD + changes[i].at] ^= changes[i].bit;
        expect_one_by_one(TLS_OK, changes[i].result);
    }
}

/* A padded record is as long as a full one. */
static void records_that_are_not_full_of_data_are_opened_one_by_one(void **state)
{
    (void)state;
    static const enum tls_record_type types[] = {TLS_RECORD_APPLICATION_DATA, TLS_RECORD_ALERT};
    for (int i = 0; i < 2; i++) {
        size_t size;
        establish(TLS_SUITE_AEGIS_128L_SHA256, 7);
        seal_alone(in, MAX, out);
        in[0] = 1, in[1] = TLS_ALERT_CLOSE_NOTIFY;
        assert_int_equal(tls_record_protect(&sender, types[i], in, 2, MAX - 2, out + RECORD, &size), 0);
        assert_int_equal(size, RECORD);
        expect_one_by_one(TLS_OK, TLS_OK);
        assert_int_equal(receiver.closed_in, i);
    }
}

static void a_record_after_close_notify_is_not_opened(void **state)
{
    (void)state;
    establish(TLS_SUITE_AEGIS_128L_SHA256, 7);
    seal_alone(in, MAX, out);
    seal_alone(in + MAX, MAX, out + RECORD);
    receiver.closed_in = true;
    assert_int_equal(tls_session_open_pair(&receiver, out, 2 * RECORD, alone), 0);
}

/* RFC 8446, 5.1: what interrupts a handshake message is an error, which the single record finds. */
static void data_amid_a_handshake_message_is_not_opened(void **state)
{
    (void)state;
    establish(TLS_SUITE_AEGIS_128L_SHA256, 7);
    seal_alone(in, MAX, out);
    seal_alone(in + MAX, MAX, out + RECORD);
    receiver.message.have = 1;
    expect_one_by_one(TLS_FAIL_PROTOCOL, TLS_FAIL_PROTOCOL);
}

static void half_a_record_too_few_is_not_opened(void **state)
{
    (void)state;
    establish(TLS_SUITE_AEGIS_128L_SHA256, 7);
    seal_alone(in, MAX, out);
    seal_alone(in + MAX, MAX, out + RECORD);
    assert_int_equal(tls_session_open_pair(&receiver, out, 2 * RECORD - 1, alone), 0);
}

static void nothing_is_sealed_in_pairs_where_nothing_may_be_sealed(void **state)
{
    (void)state;
    establish(TLS_SUITE_AEGIS_128L_SHA256, 0);
    const uint64_t most = aead_of(TLS_SUITE_AEGIS_128L_SHA256)->records_max;
    sender.tx.sequence = most - 1; /* RFC 8446, 5.5: one is left */
    assert_int_equal(tls_session_seal_pair(&sender, in, out), 0);
    assert_int_equal(sender.tx.sequence, most - 1);
    establish(TLS_SUITE_AEGIS_128L_SHA256, 0);
    sender.closed_out = true; /* RFC 8446, 6.1 */
    assert_int_equal(tls_session_seal_pair(&sender, in, out), 0);
    establish(TLS_SUITE_AEGIS_128L_SHA256, 0);
    sender.can_send = false;
    assert_int_equal(tls_session_seal_pair(&sender, in, out), 0);
    establish(TLS_SUITE_AEGIS_128L_SHA256, 0);
    tls_session_fail(&sender, TLS_FAIL_RECORD);
    assert_int_equal(tls_session_seal_pair(&sender, in, out), 0);
    establish(TLS_SUITE_CHACHA20_POLY1305_SHA256, 0);
    assert_int_equal(tls_session_seal_pair(&sender, in, out), 0);
    assert_int_equal(tls_session_open_pair(&receiver, out, 2 * RECORD, alone), 0);
}

static int setup(void **state)
{
    (void)state;
    return secret_init() ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_length_gives_what_libsodium_gives_for_each_message),
        cmocka_unit_test(every_bit_of_either_message_counts),
        cmocka_unit_test(two_records_are_those_that_are_sealed_one_by_one),
        cmocka_unit_test(a_record_that_was_changed_fails_as_it_does_alone),
        cmocka_unit_test(a_header_that_was_changed_is_seen),
        cmocka_unit_test(records_that_are_not_full_of_data_are_opened_one_by_one),
        cmocka_unit_test(a_record_after_close_notify_is_not_opened),
        cmocka_unit_test(data_amid_a_handshake_message_is_not_opened),
        cmocka_unit_test(half_a_record_too_few_is_not_opened),
        cmocka_unit_test(nothing_is_sealed_in_pairs_where_nothing_may_be_sealed),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
