/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* How a server finds a key among many: the index, and which keys a connection may use. */

#include "pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tls/tls_psk.h"

enum { KEYS = 4096 };

static char names[KEYS][40];
static struct tls_psk psks[KEYS];
static uint16_t order[KEYS];
static struct tls_config config = {.psks = psks, .psk_order = order};

/* Identities of several lengths, in no order, some of them the beginning of another. */
static void make_keys(size_t count)
{
    uint32_t number = 12345;
    for (size_t i = 0; i < count; i++) {
        number = number * 1664525 + 1013904223;
        snprintf(names[i], sizeof names[i], "%.*s%u-%zu", (int)(i % 4), "key", number >> 20, i);
        psks[i] = (struct tls_psk){.identity = (const uint8_t *)names[i],
                                   .identity_len = strlen(names[i]),
                                   .key = endpoint_key,
                                   .key_len = sizeof endpoint_key};
    }
    config.psk_count = count;
    tls_psk_sort(psks, count, order);
}

static const struct tls_psk *find(const char *name)
{
    const struct tls_psk *beside = NULL;
    const struct tls_psk *psk = tls_psk_find(&config, (const uint8_t *)name, strlen(name), &beside);
    assert_int_equal(beside == NULL, config.psk_count == 0);
    assert_true(psk == NULL || beside == psk || config.psk_order == NULL);
    return psk;
}

static void every_key_is_found(void **state)
{
    (void)state;
    static const size_t counts[] = {1, 2, 3, 4, 7, 64, 1000, KEYS};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        make_keys(counts[i]);
        for (size_t j = 0; j < counts[i]; j++)
            assert_ptr_equal(find(names[j]), &psks[j]);
    }
}

static void no_other_identity_is_found(void **state)
{
    (void)state;
    static const char *const others[] = {"a", "key", "zzzzzzzzzzzzzzzzzzzzzzz", "0", "1-0", "\377"};
    for (size_t count = 0; count <= 1000; count = count * 10 + 1) {
        make_keys(count);
        for (size_t i = 0; i < sizeof others / sizeof *others; i++)
            assert_null(find(others[i]));
        for (size_t i = 0; i < count; i++) {
            char longer[sizeof names[0] + 1];
            strcpy(longer, names[i]);
            strcat(longer, "x");
            assert_null(find(longer));
        }
    }
}

/* If the keys were searched one by one, a key that the index does not lead to would be found too. */
static void the_index_is_what_is_searched(void **state)
{
    (void)state;
    make_keys(100);
    for (size_t i = 0; i < 100; i++)
        order[i] = order[0];
    size_t found = 0;
    for (size_t i = 0; i < 100; i++)
        found += find(names[i]) != NULL;
    assert_int_equal(found, 1);
}

static void keys_are_found_without_an_index(void **state)
{
    (void)state;
    make_keys(100);
    config.psk_order = NULL;
    for (size_t i = 0; i < 100; i++)
        assert_ptr_equal(find(names[i]), &psks[i]);
    assert_null(find("other"));
    config.psk_order = order;
}

static bool all_but(const void *context, size_t index)
{
    return index != *(const size_t *)context;
}

/* A server answers for a key that it has and that does not count here as for one that it does not have. */
static void a_key_that_is_not_allowed_is_as_if_it_were_not_there(void **state)
{
    (void)state;
    static struct pair pair;
    static struct toy_hello hello;
    for (size_t forbidden = 0; forbidden < 2; forbidden++) {
        pair_begin(&pair, TLS_SERVER, TOY_CHACHA20);
        endpoint_add_key(&pair.engine, "beta", endpoint_key, sizeof endpoint_key);
        pair.engine.config.psk_allowed = all_but;
        pair.engine.config.context = &forbidden;
        toy_client_hello(&pair.toy, &hello);
        pair_client_hello(&pair, &hello, 1);
        if (forbidden == 0)
            pair_expect_failure(&pair, TLS_FAIL_KEY, TLS_ALERT_DECRYPT_ERROR);
        else
            assert_true(pair.engine.session.can_send);
    }
}

static void a_client_offers_no_key_that_is_not_allowed(void **state)
{
    (void)state;
    static struct endpoint client;
    static struct toy_hello hello;
    const uint16_t suite = TOY_CHACHA20;
    size_t forbidden = 0;
    endpoint_init(&client, &suite, 1, true);
    endpoint_add_key(&client, "beta", endpoint_key, sizeof endpoint_key);
    client.config.psk_allowed = all_but;
    client.config.context = &forbidden;
    assert_int_equal(endpoint_begin(&client, TLS_CLIENT), TLS_OK);
    assert_true(toy_hello_decode(&hello, client.out.data + 5, client.out.len - 5));
    const struct toy_extension *psk = toy_hello_find(&hello, TOY_PRE_SHARED_KEY);
    assert_int_equal(toy_number(psk->body, 2), 2 + 4 + 4);
    assert_memory_equal(psk->body + 4, "beta", 4);
}

/* RFC 8446, E.6: not a bit of the answer tells whether the identity exists. */
static void unknown_identities_are_answered_as_wrong_binders(void **state)
{
    (void)state;
    static struct pair unknown, wrong;
    static struct toy_hello hello;
    static const uint8_t other[32] = {1};
    pair_begin(&wrong, TLS_SERVER, TOY_CHACHA20);
    memcpy(wrong.toy.psk, other, sizeof other);
    toy_init(&wrong.toy, false, TOY_CHACHA20, ENDPOINT_IDENTITY, other, sizeof other);
    toy_client_hello(&wrong.toy, &hello);
    pair_client_hello(&wrong, &hello, 1);
    pair_begin(&unknown, TLS_SERVER, TOY_CHACHA20);
    toy_init(&unknown.toy, false, TOY_CHACHA20, "alphb", endpoint_key, sizeof endpoint_key);
    toy_client_hello(&unknown.toy, &hello);
    pair_client_hello(&unknown, &hello, 1);
    assert_int_equal(wrong.engine.result, unknown.engine.result);
    assert_int_equal(wrong.engine.out.len, unknown.engine.out.len);
    assert_memory_equal(wrong.engine.out.data, unknown.engine.out.data, wrong.engine.out.len);
    assert_string_not_equal(tls_session_reason(&wrong.engine.session),
                            tls_session_reason(&unknown.engine.session));
    assert_memory_equal(unknown.engine.session.identity, "alphb", 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_is_found),
        cmocka_unit_test(no_other_identity_is_found),
        cmocka_unit_test(the_index_is_what_is_searched),
        cmocka_unit_test(keys_are_found_without_an_index),
        cmocka_unit_test(a_key_that_is_not_allowed_is_as_if_it_were_not_there),
        cmocka_unit_test(a_client_offers_no_key_that_is_not_allowed),
        cmocka_unit_test(unknown_identities_are_answered_as_wrong_binders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
