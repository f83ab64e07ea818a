/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* ClientHellos that a server must refuse, one broken rule each: the fields and the extensions one by one. The
 * pre_shared_key extension has psk_test.c, what must be accepted client_hello_accept_test.c. */

#include "cases.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const struct toy_extension *must_find(struct toy_hello *hello, uint16_t type)
{
    const struct toy_extension *extension = toy_hello_find(hello, type);
    assert_non_null(extension);
    return extension;
}

#define REPLACE(hello, type, ...)                                                                            \
    toy_hello_replace(hello, type, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void legacy_version_is_ssl_3(struct toy_hello *hello)
{
    hello->legacy_version = 0x0300;
}

static void legacy_version_is_tls_1_1(struct toy_hello *hello)
{
    hello->legacy_version = 0x0302;
}

static void legacy_version_is_tls_1_3(struct toy_hello *hello)
{
    hello->legacy_version = 0x0304;
}

static void compression_deflate(struct toy_hello *hello)
{
    hello->compression[0] = 1;
}

static void compression_null_and_deflate(struct toy_hello *hello)
{
    hello->compression_len = 2;
    hello->compression[1] = 1;
}

static void compression_empty(struct toy_hello *hello)
{
    hello->compression_len = 0;
}

static void session_id_of_33_bytes(struct toy_hello *hello)
{
    hello->session_id_len = 33;
}

static void suites_empty(struct toy_hello *hello)
{
    hello->suites_len = 0;
}

static void suites_of_odd_length(struct toy_hello *hello)
{
    hello->suites_len = 3;
}

static void suites_unknown(struct toy_hello *hello)
{
    memcpy(hello->suites, (const uint8_t[]){0x13, 0x01, 0x13, 0x02, 0xff, 0x5d}, 6);
    hello->suites_len = 6;
}

static void versions_missing(struct toy_hello *hello)
{
    toy_hello_remove(hello, TOY_SUPPORTED_VERSIONS);
}

static void versions_without_tls_1_3(struct toy_hello *hello)
{
    REPLACE(hello, TOY_SUPPORTED_VERSIONS, 6, 3, 3, 0x7f, 0x1c, 0xfa, 0xfa);
}

static void versions_empty(struct toy_hello *hello)
{
    REPLACE(hello, TOY_SUPPORTED_VERSIONS, 0);
}

static void versions_of_odd_length(struct toy_hello *hello)
{
    REPLACE(hello, TOY_SUPPORTED_VERSIONS, 3, 3, 4, 3);
}

static void groups_missing(struct toy_hello *hello)
{
    toy_hello_remove(hello, TOY_SUPPORTED_GROUPS);
}

static void groups_empty(struct toy_hello *hello)
{
    REPLACE(hello, TOY_SUPPORTED_GROUPS, 0, 0);
}

static void groups_of_odd_length(struct toy_hello *hello)
{
    REPLACE(hello, TOY_SUPPORTED_GROUPS, 0, 3, 0, TOY_X25519, 0);
}

static void groups_without_the_share(struct toy_hello *hello)
{
    REPLACE(hello, TOY_SUPPORTED_GROUPS, 0, 2, 0, TOY_SECP256R1);
}

static void no_common_group(struct toy_hello *hello)
{
    REPLACE(hello, TOY_SUPPORTED_GROUPS, 0, 2, 0, TOY_SECP256R1);
    REPLACE(hello, TOY_KEY_SHARE, 0, 5, 0, TOY_SECP256R1, 0, 1, 4);
}

static void share_missing(struct toy_hello *hello)
{
    toy_hello_remove(hello, TOY_KEY_SHARE);
}

static void share_and_groups_missing(struct toy_hello *hello)
{
    share_missing(hello);
    groups_missing(hello);
}

/* Replaces the shares by `count` X25519 shares of `len` bytes and, first or last, one of P-256. */
static void set_shares(struct toy_hello *hello, size_t count, size_t len, bool p256_first, bool p256_last)
{
    struct toy_buffer body = {.len = 0};
    uint8_t key[64];
    memcpy(key, must_find(hello, TOY_KEY_SHARE)->body + 6, 32);
    memset(key + 32, 1, 32);
    size_t list = toy_vector_begin(&body, 2);
    if (p256_first)
        toy_put(&body, (const uint8_t[]){0, TOY_SECP256R1, 0, 1, 4}, 5);
    for (size_t i = 0; i < count; i++) {
        toy_put_number(&body, TOY_X25519, 2);
        toy_put_number(&body, len, 2);
        toy_put(&body, key, len);
    }
    if (p256_last)
        toy_put(&body, (const uint8_t[]){0, TOY_SECP256R1, 0, 1, 4}, 5);
    toy_vector_end(&body, list, 2);
    toy_hello_replace(hello, TOY_KEY_SHARE, body.data, body.len);
}

static void share_twice(struct toy_hello *hello)
{
    set_shares(hello, 2, 32, false, false);
}

static void share_of_31_bytes(struct toy_hello *hello)
{
    set_shares(hello, 1, 31, false, false);
}

static void share_of_33_bytes(struct toy_hello *hello)
{
    set_shares(hello, 1, 33, false, false);
}

static void share_of_no_bytes(struct toy_hello *hello)
{
    set_shares(hello, 1, 0, false, false);
}

static void shares_in_another_order_than_groups(struct toy_hello *hello)
{
    REPLACE(hello, TOY_SUPPORTED_GROUPS, 0, 4, 0, TOY_X25519, 0, TOY_SECP256R1);
    set_shares(hello, 1, 32, true, false);
}

static void share_of_a_group_not_in_groups(struct toy_hello *hello)
{
    set_shares(hello, 1, 32, false, true);
}

static void share_list_longer_than_the_extension(struct toy_hello *hello)
{
    toy_hello_find(hello, TOY_KEY_SHARE)->body[1]++;
}

static void share_list_shorter_than_the_extension(struct toy_hello *hello)
{
    toy_hello_find(hello, TOY_KEY_SHARE)->len++;
}

static void modes_missing(struct toy_hello *hello)
{
    toy_hello_remove(hello, TOY_PSK_MODES);
}

static void modes_without_dhe(struct toy_hello *hello)
{
    REPLACE(hello, TOY_PSK_MODES, 1, 0);
}

static void modes_empty(struct toy_hello *hello)
{
    REPLACE(hello, TOY_PSK_MODES, 0);
}

static void early_data_with_a_body(struct toy_hello *hello)
{
    toy_hello_insert(hello, 0, TOY_EARLY_DATA, "x", 1);
}

static void duplicate(struct toy_hello *hello, uint16_t type)
{
    static struct toy_extension copy;
    copy = *must_find(hello, type);
    toy_hello_insert(hello, 0, copy.type, copy.body, copy.len);
}

static void duplicate_versions(struct toy_hello *hello)
{
    duplicate(hello, TOY_SUPPORTED_VERSIONS);
}

static void duplicate_groups(struct toy_hello *hello)
{
    duplicate(hello, TOY_SUPPORTED_GROUPS);
}

static void duplicate_share(struct toy_hello *hello)
{
    duplicate(hello, TOY_KEY_SHARE);
}

static void duplicate_modes(struct toy_hello *hello)
{
    duplicate(hello, TOY_PSK_MODES);
}

static void duplicate_psk(struct toy_hello *hello)
{
    duplicate(hello, TOY_PRE_SHARED_KEY);
}

static void duplicate_unknown(struct toy_hello *hello)
{
    toy_hello_insert(hello, 0, 0xfafa, "a", 1);
    toy_hello_insert(hello, 3, 0xfafa, "b", 1);
}

static void small_order(struct toy_hello *hello, const uint8_t point[32])
{
    memcpy(toy_hello_find(hello, TOY_KEY_SHARE)->body + 6, point, 32);
}

static void share_zero(struct toy_hello *hello)
{
    small_order(hello, (const uint8_t[32]){0});
}

static void share_one(struct toy_hello *hello)
{
    small_order(hello, (const uint8_t[32]){1});
}

static void share_p_minus_one(struct toy_hello *hello)
{
    uint8_t point[32];
    memset(point, 0xff, sizeof point);
    point[0] = 0xec;
    point[31] = 0x7f;
    small_order(hello, point);
}

#define ILLEGAL            ONE_OF(TLS_ALERT_ILLEGAL_PARAMETER)
#define DECODE             ONE_OF(TLS_ALERT_DECODE_ERROR)
#define ILLEGAL_OR_DECODE  ONE_OF(TLS_ALERT_ILLEGAL_PARAMETER, TLS_ALERT_DECODE_ERROR)
#define VERSION            ONE_OF(TLS_ALERT_PROTOCOL_VERSION)
#define VERSION_OR_ILLEGAL ONE_OF(TLS_ALERT_PROTOCOL_VERSION, TLS_ALERT_ILLEGAL_PARAMETER)
#define MISSING            ONE_OF(TLS_ALERT_MISSING_EXTENSION)
#define FAILURE            ONE_OF(TLS_ALERT_HANDSHAKE_FAILURE)
#define FAILURE_OR_MISSING ONE_OF(TLS_ALERT_HANDSHAKE_FAILURE, TLS_ALERT_MISSING_EXTENSION)
#define ROW(edit, binders, alerts)                                                                           \
    {                                                                                                        \
#edit, edit, binders, TLS_FAIL_PROTOCOL, alerts                                                      \
    }

static const struct case_of_hello rows[] = {
    ROW(legacy_version_is_ssl_3, 1, VERSION),              /* D.5 */
    ROW(legacy_version_is_tls_1_1, 1, VERSION_OR_ILLEGAL), /* 4.1.2 */
    ROW(legacy_version_is_tls_1_3, 1, VERSION_OR_ILLEGAL),
    ROW(compression_deflate, 1, ILLEGAL),
    ROW(compression_null_and_deflate, 1, ILLEGAL),
    ROW(compression_empty, 1, ILLEGAL_OR_DECODE),
    ROW(session_id_of_33_bytes, 1, ILLEGAL_OR_DECODE),
    ROW(suites_empty, 1, ILLEGAL_OR_DECODE),
    ROW(suites_of_odd_length, 1, ILLEGAL_OR_DECODE),
    ROW(suites_unknown, 1, FAILURE),   /* 4.1.1 */
    ROW(versions_missing, 1, VERSION), /* 4.2.1 */
    ROW(versions_without_tls_1_3, 1, VERSION),
    ROW(versions_empty, 1, ILLEGAL_OR_DECODE),
    ROW(versions_of_odd_length, 1, ILLEGAL_OR_DECODE),
    ROW(groups_missing, 1, MISSING), /* 9.2 */
    ROW(groups_empty, 1, ILLEGAL_OR_DECODE),
    ROW(groups_of_odd_length, 1, ILLEGAL_OR_DECODE),
    ROW(groups_without_the_share, 1,
        ONE_OF(TLS_ALERT_ILLEGAL_PARAMETER, TLS_ALERT_HANDSHAKE_FAILURE)), /* 4.2.8 */
    ROW(no_common_group, 1, FAILURE),                                      /* 4.1.1 */
    ROW(share_missing, 1, MISSING),                                        /* 9.2 */
    ROW(share_and_groups_missing, 1, FAILURE_OR_MISSING), /* psk_ke is all that would be left */
    ROW(share_twice, 1, ILLEGAL),                         /* 4.2.8 */
    ROW(share_of_31_bytes, 1, ILLEGAL_OR_DECODE),         /* 4.2.8.2 */
    ROW(share_of_33_bytes, 1, ILLEGAL_OR_DECODE),
    ROW(share_of_no_bytes, 1, ILLEGAL_OR_DECODE),
    ROW(shares_in_another_order_than_groups, 1, ILLEGAL), /* 4.2.8 */
    ROW(share_of_a_group_not_in_groups, 1, ILLEGAL),
    ROW(share_list_longer_than_the_extension, 1, DECODE),
    ROW(share_list_shorter_than_the_extension, 1, DECODE),
    ROW(share_zero, 1, ONE_OF(TLS_ALERT_ILLEGAL_PARAMETER, TLS_ALERT_HANDSHAKE_FAILURE)), /* 7.4.2 */
    ROW(share_one, 1, ONE_OF(TLS_ALERT_ILLEGAL_PARAMETER, TLS_ALERT_HANDSHAKE_FAILURE)),
    ROW(share_p_minus_one, 1, ONE_OF(TLS_ALERT_ILLEGAL_PARAMETER, TLS_ALERT_HANDSHAKE_FAILURE)),
    ROW(modes_missing, 1, MISSING),                /* 4.2.9, 9.2 */
    ROW(modes_without_dhe, 1, FAILURE_OR_MISSING), /* 4.2.9 */
    ROW(modes_empty, 1, ILLEGAL_OR_DECODE),
    ROW(early_data_with_a_body, 1, DECODE),
    ROW(duplicate_versions, 1, ILLEGAL), /* 4.2 */
    ROW(duplicate_groups, 1, ILLEGAL),
    ROW(duplicate_share, 1, ILLEGAL),
    ROW(duplicate_modes, 1, ILLEGAL),
    ROW(duplicate_psk, 1, ILLEGAL),
    ROW(duplicate_unknown, 1, ILLEGAL),
};

int main(void)
{
    return cases_run("client_hello", rows, sizeof rows / sizeof *rows, cases_client_hello);
}
