/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_TESTS_CASES_H
#define SOCKSEAL_TESTS_CASES_H

/* Tests in tables: each row becomes a cmocka test of its own, under the row's name. */

#include "pair.h"

struct case_of_hello {
    const char *name;
    void (*edit)(struct toy_hello *hello);
    size_t binders; /* how many stand in the message's tail, to be filled in */
    enum tls_result result;
    const enum tls_alert *alerts; /* ended by TLS_ALERT_NONE */
};

/* The alerts that the RFC permits for a case. */
#define ONE_OF(...) ((const enum tls_alert[]){__VA_ARGS__, TLS_ALERT_NONE})

/* Runs `test`, one of those below, once for each row. Returns the number of failures, as main() does. */
int cases_run(const char *group, const struct case_of_hello *rows, size_t count, void (*test)(void **state));

/* The toy client's ClientHello, the toy server's ServerHello or its HelloRetryRequest (with a cookie),
 * edited: the engine refuses it with the row's result and one of its alerts, in the clear. With each suite.
 */
void cases_client_hello(void **state);
void cases_server_hello(void **state);
void cases_retry_request(void **state);

#endif
