/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* HelloRetryRequest as a client must refuse it (RFC 8446, 4.1.4), one broken rule each; what works has
 * retry_flow_test.c. */

#include "cases.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void changes_nothing(struct toy_hello *hello)
{
    toy_hello_remove(hello, TOY_COOKIE);
}

static void asks_for_the_share_it_has(struct toy_hello *hello)
{
    changes_nothing(hello);
    toy_hello_append(hello, TOY_KEY_SHARE, (const uint8_t[]){0, TOY_X25519}, 2);
}

static void asks_for_the_share_it_has_with_a_cookie(struct toy_hello *hello)
{
    toy_hello_append(hello, TOY_KEY_SHARE, (const uint8_t[]){0, TOY_X25519}, 2);
}

static void asks_for_a_group_not_offered(struct toy_hello *hello)
{
    changes_nothing(hello);
    toy_hello_append(hello, TOY_KEY_SHARE, (const uint8_t[]){0, TOY_SECP256R1}, 2);
}

static void share_as_in_a_server_hello(struct toy_hello *hello)
{
    uint8_t body[36] = {0, TOY_X25519, 0, 32, 9};
    changes_nothing(hello);
    toy_hello_append(hello, TOY_KEY_SHARE, body, sizeof body);
}

static void group_of_one_byte(struct toy_hello *hello)
{
    toy_hello_append(hello, TOY_KEY_SHARE, (const uint8_t[]){0}, 1);
}

static void group_with_a_trailing_byte(struct toy_hello *hello)
{
    toy_hello_append(hello, TOY_KEY_SHARE, (const uint8_t[]){0, TOY_X25519, 0}, 3);
}

static void version_with_a_trailing_byte(struct toy_hello *hello)
{
    toy_hello_replace(hello, TOY_SUPPORTED_VERSIONS, (const uint8_t[]){3, 4, 0}, 3);
}

static void cookie_of_no_bytes(struct toy_hello *hello)
{
    toy_hello_replace(hello, TOY_COOKIE, (const uint8_t[]){0, 0}, 2);
}

static void cookie_shorter_than_its_length(struct toy_hello *hello)
{
    toy_hello_replace(hello, TOY_COOKIE, (const uint8_t[]){0, 3, 'c'}, 3);
}

static void cookie_with_a_trailing_byte(struct toy_hello *hello)
{
    toy_hello_replace(hello, TOY_COOKIE, (const uint8_t[]){0, 1, 'c', 'c'}, 4);
}

static void versions_missing(struct toy_hello *hello)
{
    toy_hello_remove(hello, TOY_SUPPORTED_VERSIONS);
}

static void version_1_2_selected(struct toy_hello *hello)
{
    toy_hello_replace(hello, TOY_SUPPORTED_VERSIONS, (const uint8_t[]){3, 3}, 2);
}

static void session_id_not_echoed(struct toy_hello *hello)
{
    hello->session_id_len = 1;
}

static void suite_not_offered(struct toy_hello *hello)
{
    memcpy(hello->suites, (const uint8_t[]){0x13, 0x01}, 2);
}

static void compression_deflate(struct toy_hello *hello)
{
    hello->compression[0] = 1;
}

static void unknown_extension(struct toy_hello *hello)
{
    toy_hello_append(hello, 0xfafa, NULL, 0);
}

static void psk_forbidden_here(struct toy_hello *hello)
{
    toy_hello_append(hello, TOY_PRE_SHARED_KEY, (const uint8_t[]){0, 0}, 2);
}

static void groups_forbidden_here(struct toy_hello *hello)
{
    toy_hello_append(hello, TOY_SUPPORTED_GROUPS, (const uint8_t[]){0, 2, 0, TOY_X25519}, 4);
}

static void duplicate_cookie(struct toy_hello *hello)
{
    toy_hello_append(hello, TOY_COOKIE, (const uint8_t[]){0, 1, 'c'}, 3);
}

static void duplicate_versions(struct toy_hello *hello)
{
    toy_hello_append(hello, TOY_SUPPORTED_VERSIONS, (const uint8_t[]){3, 4}, 2);
}

#define ILLEGAL           ONE_OF(TLS_ALERT_ILLEGAL_PARAMETER)
#define ILLEGAL_OR_DECODE ONE_OF(TLS_ALERT_ILLEGAL_PARAMETER, TLS_ALERT_DECODE_ERROR)
#define ROW(edit, alerts)                                                                                    \
    {                                                                                                        \
#edit, edit, 0, TLS_FAIL_PROTOCOL, alerts                                                            \
    }

static const struct case_of_hello rows[] = {
    ROW(changes_nothing, ILLEGAL),
    ROW(asks_for_the_share_it_has, ILLEGAL), /* 4.2.8 */
    ROW(asks_for_the_share_it_has_with_a_cookie, ILLEGAL),
    ROW(asks_for_a_group_not_offered, ILLEGAL),
    ROW(share_as_in_a_server_hello, ILLEGAL_OR_DECODE),
    ROW(group_of_one_byte, ONE_OF(TLS_ALERT_DECODE_ERROR)),
    ROW(group_with_a_trailing_byte, ONE_OF(TLS_ALERT_DECODE_ERROR)),
    ROW(version_with_a_trailing_byte, ONE_OF(TLS_ALERT_DECODE_ERROR)),
    ROW(cookie_of_no_bytes, ILLEGAL_OR_DECODE), /* 4.2.2 */
    ROW(cookie_shorter_than_its_length, ILLEGAL_OR_DECODE),
    ROW(cookie_with_a_trailing_byte, ILLEGAL_OR_DECODE),
    ROW(versions_missing, ONE_OF(TLS_ALERT_PROTOCOL_VERSION, TLS_ALERT_MISSING_EXTENSION)),
    ROW(version_1_2_selected, ILLEGAL),
    ROW(session_id_not_echoed, ILLEGAL),
    ROW(suite_not_offered, ILLEGAL),
    ROW(compression_deflate, ILLEGAL),
    ROW(unknown_extension, ONE_OF(TLS_ALERT_UNSUPPORTED_EXTENSION)), /* 4.2 */
    ROW(psk_forbidden_here, ILLEGAL),
    ROW(groups_forbidden_here, ILLEGAL),
    ROW(duplicate_cookie, ILLEGAL),
    ROW(duplicate_versions, ILLEGAL),
};

int main(void)
{
    return cases_run("retry", rows, sizeof rows / sizeof *rows, cases_retry_request);
}
