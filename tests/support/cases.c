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

/* With each suite: to an engine of this role, the row's edit of the hello that `make` makes, by `send`. */
static void with_each_suite(const struct case_of_hello *row, enum tls_role role,
                            void (*make)(const struct toy *, struct toy_hello *),
                            void (*send)(struct pair *, struct toy_hello *, const struct case_of_hello *))
{
    static struct toy_hello hello;
    static struct pair pair;
    size_t count;
    const uint16_t *suites = pair_suites(&count);
    for (size_t i = 0; i < count; i++) {
        pair_begin(&pair, role, suites[i]);
        const size_t before = pair.engine.out.len;
        make(&pair.toy, &hello);
        row->edit(&hello);
        send(&pair, &hello, row);
        pair_expect_one_of(&pair, row->result, row->alerts);
        expect_only_an_alert(&pair, before);
    }
}

static void send_client_hello(struct pair *pair, struct toy_hello *hello, const struct case_of_hello *row)
{
    pair_client_hello(pair, hello, row->binders);
}

static void send_server_hello(struct pair *pair, struct toy_hello *hello, const struct case_of_hello *row)
{
    (void)row;
    pair_server_hello(pair, hello);
}

static void send_retry_request(struct pair *pair, struct toy_hello *hello, const struct case_of_hello *row)
{
    (void)row;
    pair_retry_request(pair, hello);
}

static void make_retry_request(const struct toy *toy, struct toy_hello *hello)
{
    toy_retry_request(toy, hello, "cookie", 6);
}

void cases_client_hello(void **state)
{
    with_each_suite(*state, TLS_SERVER, toy_client_hello, send_client_hello);
}

void cases_server_hello(void **state)
{
    with_each_suite(*state, TLS_CLIENT, toy_server_hello, send_server_hello);
}

void cases_retry_request(void **state)
{
    with_each_suite(*state, TLS_CLIENT, make_retry_request, send_retry_request);
}
