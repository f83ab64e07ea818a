/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* ServerHellos that a client must refuse, one broken rule each (RFC 8446, 4.1.3). */

#include "cases.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void legacy_version_is_tls_1_3(struct toy_hello *hello)
{
    hello->legacy_version = 0x0304;
}

static void legacy_version_is_ssl_3(struct toy_hello *hello)
{
    hello->legacy_version = 0x0300;
}

static void session_id_not_echoed(struct toy_hello *hello)
{
    hello->session_id_len = 1;
}

static void session_id_of_33_bytes(struct toy_hello *hello)
{
    hello->session_id_len = 33;
}

static void suite_zero(struct toy_hello *hello)
{
    memset(hello->suites, 0, 2);
}

static void suite_not_offered(struct toy_hello *hello)
{
    memcpy(hello->suites, (const uint8_t[]){0x13, 0x01}, 2);
}

static void suite_of_sha_384(struct toy_hello *hello)
{
    memcpy(hello->suites, (const uint8_t[]){0x13, 0x02}, 2);
}

static void compression_deflate(struct toy_hello *hello)
{
    hello->compression[0] = 1;
}

static void versions_missing(struct toy_hello *hello)
{
    toy_hello_remove(hello, TOY_SUPPORTED_VERSIONS);
}

static void tls_1_2(struct toy_hello *hello)
{
    hello->extension_count = 0;
}

static void tls_1_2_by_downgrade(struct toy_hello *hello)
{
    tls_1_2(hello);
    memcpy(hello->random + 24, "DOWNGRD\1", 8);
}

static void tls_1_1(struct toy_hello *hello)
{
    tls_1_2(hello);
    hello->legacy_version = 0x0302;
}

static void version_1_2_selected(struct toy_hello *hello)
{
    toy_hello_replace(hello, TOY_SUPPORTED_VERSIONS, (const uint8_t[]){3, 3}, 2);
}

static void version_not_offered_selected(struct toy_hello *hello)
{
    toy_hello_replace(hello, TOY_SUPPORTED_VERSIONS, (const uint8_t[]){3, 5}, 2);
}

static void versions_of_one_byte(struct toy_hello *hello)
{
    toy_hello_replace(hello, TOY_SUPPORTED_VERSIONS, (const uint8_t[]){3}, 1);
}

static void versions_as_a_client_sends_them(struct toy_hello *hello)
{
    toy_hello_replace(hello, TOY_SUPPORTED_VERSIONS, (const uint8_t[]){2, 3, 4}, 3);
}

static void version_with_a_trailing_byte(struct toy_hello *hello)
{
    toy_hello_replace(hello, TOY_SUPPORTED_VERSIONS, (const uint8_t[]){3, 4, 0}, 3);
}

static void share_missing(struct toy_hello *hello)
{
    toy_hello_remove(hello, TOY_KEY_SHARE);
}

static void share_of_a_group_not_offered(struct toy_hello *hello)
{
    toy_hello_find(hello, TOY_KEY_SHARE)->body[1] = TOY_SECP256R1;
}

static void set_share_len(struct toy_hello *hello, size_t len)
{
    struct toy_extension *share = toy_hello_find(hello, TOY_KEY_SHARE);
    share->len = 4 + len;
    share->body[3] = (uint8_t)len;
}

static void share_of_31_bytes(struct toy_hello *hello)
{
    set_share_len(hello, 31);
}

static void share_of_33_bytes(struct toy_hello *hello)
{
    set_share_len(hello, 33);
}

static void share_of_no_bytes(struct toy_hello *hello)
{
    set_share_len(hello, 0);
}

static void share_group_alone_as_in_a_retry(struct toy_hello *hello)
{
    toy_hello_find(hello, TOY_KEY_SHARE)->len = 2;
}

static void share_with_a_trailing_byte(struct toy_hello *hello)
{
    toy_hello_find(hello, TOY_KEY_SHARE)->len++;
}

static void share_zero(struct toy_hello *hello)
{
    memset(toy_hello_find(hello, TOY_KEY_SHARE)->body + 4, 0, 32);
}

static void share_one(struct toy_hello *hello)
{
    share_zero(hello);
    toy_hello_find(hello, TOY_KEY_SHARE)->body[4] = 1;
}

static void psk_missing(struct toy_hello *hello)
{
    toy_hello_remove(hello, TOY_PRE_SHARED_KEY);
}

static void psk_index_out_of_range(struct toy_hello *hello)
{
    toy_hello_replace(hello, TOY_PRE_SHARED_KEY, (const uint8_t[]){0, 1}, 2);
}

static void psk_index_65535(struct toy_hello *hello)
{
    toy_hello_replace(hello, TOY_PRE_SHARED_KEY, (const uint8_t[]){0xff, 0xff}, 2);
}

static void psk_index_of_one_byte(struct toy_hello *hello)
{
    toy_hello_replace(hello, TOY_PRE_SHARED_KEY, (const uint8_t[]){0}, 1);
}

static void psk_index_of_three_bytes(struct toy_hello *hello)
{
    toy_hello_replace(hello, TOY_PRE_SHARED_KEY, (const uint8_t[]){0, 0, 0}, 3);
}

static void unknown_extension(struct toy_hello *hello)
{
    toy_hello_append(hello, 0xfafa, NULL, 0);
}

static void alpn_not_asked_for(struct toy_hello *hello)
{
    toy_hello_append(hello, TOY_ALPN, (const uint8_t[]){0, 3, 2, 'h', '2'}, 5);
}

static void early_data_not_asked_for(struct toy_hello *hello)
{
    toy_hello_append(hello, TOY_EARLY_DATA, NULL, 0);
}

static void cookie_outside_a_retry(struct toy_hello *hello)
{
    toy_hello_append(hello, TOY_COOKIE, (const uint8_t[]){0, 1, 'c'}, 3);
}

static void groups_forbidden_here(struct toy_hello *hello)
{
    toy_hello_append(hello, TOY_SUPPORTED_GROUPS, (const uint8_t[]){0, 2, 0, TOY_X25519}, 4);
}

static void modes_forbidden_for_servers(struct toy_hello *hello)
{
    toy_hello_append(hello, TOY_PSK_MODES, (const uint8_t[]){1, 1}, 2);
}

static void duplicate(struct toy_hello *hello, uint16_t type)
{
    static struct toy_extension copy;
    copy = *toy_hello_find(hello, type);
    toy_hello_append(hello, copy.type, copy.body, copy.len);
}

static void duplicate_versions(struct toy_hello *hello)
{
    duplicate(hello, TOY_SUPPORTED_VERSIONS);
}

static void duplicate_share(struct toy_hello *hello)
{
    duplicate(hello, TOY_KEY_SHARE);
}

static void duplicate_psk(struct toy_hello *hello)
{
    duplicate(hello, TOY_PRE_SHARED_KEY);
}

#define ILLEGAL            ONE_OF(TLS_ALERT_ILLEGAL_PARAMETER)
#define ILLEGAL_OR_DECODE  ONE_OF(TLS_ALERT_ILLEGAL_PARAMETER, TLS_ALERT_DECODE_ERROR)
#define VERSION            ONE_OF(TLS_ALERT_PROTOCOL_VERSION)
#define VERSION_OR_ILLEGAL ONE_OF(TLS_ALERT_PROTOCOL_VERSION, TLS_ALERT_ILLEGAL_PARAMETER)
#define UNSUPPORTED        ONE_OF(TLS_ALERT_UNSUPPORTED_EXTENSION)
#define SMALL_ORDER        ONE_OF(TLS_ALERT_ILLEGAL_PARAMETER, TLS_ALERT_HANDSHAKE_FAILURE)
#define NO_PSK             ONE_OF(TLS_ALERT_HANDSHAKE_FAILURE, TLS_ALERT_ILLEGAL_PARAMETER, TLS_ALERT_MISSING_EXTENSION)
#define FAILS(edit, result, alerts)                                                                          \
    {                                                                                                        \
#edit, edit, 0, result, alerts                                                                       \
    }
#define ROW(edit, alerts) FAILS(edit, TLS_FAIL_PROTOCOL, alerts)

static const struct case_of_hello rows[] = {
    ROW(legacy_version_is_tls_1_3, VERSION_OR_ILLEGAL),
    ROW(legacy_version_is_ssl_3, VERSION), /* D.5 */
    ROW(session_id_not_echoed, ILLEGAL),   /* 4.1.3 */
    ROW(session_id_of_33_bytes, ILLEGAL_OR_DECODE),
    ROW(suite_zero, ILLEGAL),
    ROW(suite_not_offered, ILLEGAL),
    ROW(suite_of_sha_384, ILLEGAL),
    ROW(compression_deflate, ILLEGAL),
    ROW(versions_missing, VERSION),
    ROW(tls_1_2, VERSION),
    ROW(tls_1_2_by_downgrade, VERSION_OR_ILLEGAL),
    ROW(tls_1_1, VERSION),
    ROW(version_1_2_selected, ILLEGAL), /* 4.2.1 */
    ROW(version_not_offered_selected, ILLEGAL),
    ROW(versions_of_one_byte, ILLEGAL_OR_DECODE),
    ROW(versions_as_a_client_sends_them, ILLEGAL_OR_DECODE),
    ROW(version_with_a_trailing_byte, ILLEGAL_OR_DECODE),
    ROW(share_missing, ILLEGAL), /* 4.2.11 */
    ROW(share_of_a_group_not_offered, ILLEGAL),
    ROW(share_of_31_bytes, ILLEGAL_OR_DECODE),
    ROW(share_of_33_bytes, ILLEGAL_OR_DECODE),
    ROW(share_of_no_bytes, ILLEGAL_OR_DECODE),
    ROW(share_group_alone_as_in_a_retry, ILLEGAL_OR_DECODE),
    ROW(share_with_a_trailing_byte, ILLEGAL_OR_DECODE),
    ROW(share_zero, SMALL_ORDER), /* 7.4.2 */
    ROW(share_one, SMALL_ORDER),
    FAILS(psk_missing, TLS_FAIL_KEY, NO_PSK),
    ROW(psk_index_out_of_range, ILLEGAL), /* 4.2.11 */
    ROW(psk_index_65535, ILLEGAL),
    ROW(psk_index_of_one_byte, ILLEGAL_OR_DECODE),
    ROW(psk_index_of_three_bytes, ILLEGAL_OR_DECODE),
    ROW(unknown_extension, UNSUPPORTED), /* 4.2 */
    ROW(alpn_not_asked_for, UNSUPPORTED),
    ROW(early_data_not_asked_for, ONE_OF(TLS_ALERT_UNSUPPORTED_EXTENSION, TLS_ALERT_ILLEGAL_PARAMETER)),
    ROW(cookie_outside_a_retry, ONE_OF(TLS_ALERT_UNSUPPORTED_EXTENSION, TLS_ALERT_ILLEGAL_PARAMETER)),
    ROW(groups_forbidden_here, ILLEGAL),
    ROW(modes_forbidden_for_servers, ILLEGAL), /* 4.2.9 */
    ROW(duplicate_versions, ILLEGAL),          /* 4.2 */
    ROW(duplicate_share, ILLEGAL),
    ROW(duplicate_psk, ILLEGAL),
};

int main(void)
{
    return cases_run("server_hello", rows, sizeof rows / sizeof *rows, cases_server_hello);
}
