/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "cases.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { CASES_MAX = 128 };

int cases_run(const char *group, const struct case_of_hello *rows, size_t count, void (*test)(void **state))
{
    static struct CMUnitTest tests[CASES_MAX];
    static struct case_of_hello copies[CASES_MAX];
    if (count > CASES_MAX) {
        fprintf(stderr, "%s: too many cases\n", group);
        return 1;
    }
    for (size_t i = 0; i < count; i++) {
        copies[i] = rows[i];
        tests[i] = (struct CMUnitTest){.name = rows[i].name, .test_func = test, .initial_state = &copies[i]};
    }
    return _cmocka_run_group_tests(group, tests, count, NULL, NULL);
}

/* A plaintext alert is all that the engine sent after the first `before` bytes. */
static void expect_only_an_alert(const struct pair *pair, size_t before)
{
    assert_int_equal(pair->engine.out.len, before + 7);
    assert_int_equal(pair->engine.out.data[before], TOY_ALERT);
    assert_false(pair->engine.session.can_send);
    assert_false(pair->engine.session.complete);
}

void cases_client_hello(void **state)
{
    const struct case_of_hello *row = *state;
    static struct toy_hello hello;
    static struct pair pair;
    size_t count;
    const uint16_t *suites = pair_suites(&count);
    for (size_t i = 0; i < count; i++) {
        pair_begin(&pair, TLS_SERVER, suites[i]);
        toy_client_hello(&pair.toy, &hello);
        row->edit(&hello);
        pair_client_hello(&pair, &hello, row->binders);
        pair_expect_one_of(&pair, row->result, row->alerts);
        expect_only_an_alert(&pair, 0);
    }
}

void cases_server_hello(void **state)
{
    const struct case_of_hello *row = *state;
    static struct toy_hello hello;
    static struct pair pair;
    size_t count;
    const uint16_t *suites = pair_suites(&count);
    for (size_t i = 0; i < count; i++) {
        pair_begin(&pair, TLS_CLIENT, suites[i]);
        size_t before = pair.engine.out.len;
        toy_server_hello(&pair.toy, &hello);
        row->edit(&hello);
        pair_server_hello(&pair, &hello);
        pair_expect_one_of(&pair, row->result, row->alerts);
        expect_only_an_alert(&pair, before);
    }
}

void cases_retry_request(void **state)
{
    const struct case_of_hello *row = *state;
    static struct toy_hello hello;
    static struct pair pair;
    size_t count;
    const uint16_t *suites = pair_suites(&count);
    for (size_t i = 0; i < count; i++) {
        pair_begin(&pair, TLS_CLIENT, suites[i]);
        size_t before = pair.engine.out.len;
        toy_retry_request(&pair.toy, &hello, "cookie", 6);
        row->edit(&hello);
        pair_retry_request(&pair, &hello);
        pair_expect_one_of(&pair, row->result, row->alerts);
        expect_only_an_alert(&pair, before);
    }
}
