/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* The pre_shared_key extension of a ClientHello (RFC 8446, 4.2.11) as a server must refuse it, one broken
 * rule each. */

#include "cases.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t zeros[64];

/* Replaces the extension by one with these identities and this many binders of that length. */
static void set_psk(struct toy_hello *hello, const char *const identities[], size_t count, size_t binders,
                    size_t len)
{
    struct toy_buffer body = {.len = 0};
    toy_psk_body(&body, identities, count);
    body.len -= 2 + 33 * count;
    size_t list = toy_vector_begin(&body, 2);
    for (size_t i = 0; i < binders; i++) {
        toy_put_number(&body, len, 1);
        toy_put(&body, zeros, len);
    }
    toy_vector_end(&body, list, 2);
    toy_hello_replace(hello, TOY_PRE_SHARED_KEY, body.data, body.len);
}

static void psk_missing(struct toy_hello *hello)
{
    toy_hello_remove(hello, TOY_PRE_SHARED_KEY);
}

static void psk_before_an_unknown_extension(struct toy_hello *hello)
{
    toy_hello_append(hello, 0xfafa, NULL, 0);
}

static void psk_first(struct toy_hello *hello)
{
    static struct toy_extension copy;
    copy = *toy_hello_find(hello, TOY_PRE_SHARED_KEY);
    toy_hello_remove(hello, TOY_PRE_SHARED_KEY);
    toy_hello_insert(hello, 0, copy.type, copy.body, copy.len);
}

static void psk_before_padding(struct toy_hello *hello)
{
    toy_hello_append(hello, 21, zeros, 16);
}

static void identity_unknown(struct toy_hello *hello)
{
    set_psk(hello, (const char *const[]){"somebody"}, 1, 1, 32);
}

static void identity_longer_than_known(struct toy_hello *hello)
{
    set_psk(hello, (const char *const[]){ENDPOINT_IDENTITY "x"}, 1, 1, 32);
}

static void identity_shorter_than_known(struct toy_hello *hello)
{
    set_psk(hello, (const char *const[]){"alph"}, 1, 1, 32);
}

static void identity_in_other_case(struct toy_hello *hello)
{
    set_psk(hello, (const char *const[]){"Alpha"}, 1, 1, 32);
}

static void identity_of_1000_bytes(struct toy_hello *hello)
{
    static char name[1001];
    memset(name, 'a', 1000);
    set_psk(hello, (const char *const[]){name}, 1, 1, 32);
}

static void identities_all_unknown(struct toy_hello *hello)
{
    set_psk(hello, (const char *const[]){"one", "two", "three"}, 3, 3, 32);
}

static void identity_empty(struct toy_hello *hello)
{
    set_psk(hello, (const char *const[]){""}, 1, 1, 32);
}

static void identities_empty(struct toy_hello *hello)
{
    set_psk(hello, NULL, 0, 0, 0);
}

static void identities_empty_but_a_binder(struct toy_hello *hello)
{
    set_psk(hello, NULL, 0, 1, 32);
}

static void binders_empty(struct toy_hello *hello)
{
    set_psk(hello, (const char *const[]){ENDPOINT_IDENTITY}, 1, 0, 0);
}

static void binder_wrong(struct toy_hello *hello)
{
    set_psk(hello, (const char *const[]){ENDPOINT_IDENTITY}, 1, 1, 32);
}

static void binder_of_no_bytes(struct toy_hello *hello)
{
    set_psk(hello, (const char *const[]){ENDPOINT_IDENTITY}, 1, 1, 0);
}

static void binder_of_31_bytes(struct toy_hello *hello)
{
    set_psk(hello, (const char *const[]){ENDPOINT_IDENTITY}, 1, 1, 31);
}

static void binder_of_33_bytes(struct toy_hello *hello)
{
    set_psk(hello, (const char *const[]){ENDPOINT_IDENTITY}, 1, 1, 33);
}

static void one_binder_for_two_identities(struct toy_hello *hello)
{
    set_psk(hello, (const char *const[]){ENDPOINT_IDENTITY, "beta"}, 2, 1, 32);
}

static void two_binders_for_one_identity(struct toy_hello *hello)
{
    set_psk(hello, (const char *const[]){ENDPOINT_IDENTITY}, 1, 2, 32);
}

static void body_empty(struct toy_hello *hello)
{
    toy_hello_replace(hello, TOY_PRE_SHARED_KEY, NULL, 0);
}

static void body_with_a_trailing_byte(struct toy_hello *hello)
{
    toy_hello_find(hello, TOY_PRE_SHARED_KEY)->len++;
}

/* The binder comes before any curve arithmetic: a wrong one is what is reported, though the share is
 * worthless too. */
static void binder_wrong_and_share_zero(struct toy_hello *hello)
{
    binder_wrong(hello);
    memset(toy_hello_find(hello, TOY_KEY_SHARE)->body + 6, 0, 32);
}

#define ILLEGAL            ONE_OF(TLS_ALERT_ILLEGAL_PARAMETER)
#define ILLEGAL_OR_DECODE  ONE_OF(TLS_ALERT_ILLEGAL_PARAMETER, TLS_ALERT_DECODE_ERROR)
#define FAILURE_OR_MISSING ONE_OF(TLS_ALERT_HANDSHAKE_FAILURE, TLS_ALERT_MISSING_EXTENSION)
/* RFC 8446, E.6, 6.2: the same as of a wrong binder, so that nobody learns which identities exist. */
#define UNKNOWN DECRYPT
#define DECRYPT ONE_OF(TLS_ALERT_DECRYPT_ERROR)
#define ROW(edit, binders, result, alerts)                                                                   \
    {                                                                                                        \
#edit, edit, binders, result, alerts                                                                 \
    }

static const struct case_of_hello rows[] = {
    ROW(psk_missing, 0, TLS_FAIL_PROTOCOL, FAILURE_OR_MISSING),
    ROW(psk_before_an_unknown_extension, 0, TLS_FAIL_PROTOCOL, ILLEGAL),
    ROW(psk_first, 0, TLS_FAIL_PROTOCOL, ILLEGAL),
    ROW(psk_before_padding, 0, TLS_FAIL_PROTOCOL, ILLEGAL),
    ROW(identity_unknown, 1, TLS_FAIL_KEY, UNKNOWN),
    ROW(identity_longer_than_known, 1, TLS_FAIL_KEY, UNKNOWN),
    ROW(identity_shorter_than_known, 1, TLS_FAIL_KEY, UNKNOWN),
    ROW(identity_in_other_case, 1, TLS_FAIL_KEY, UNKNOWN),
    ROW(identity_of_1000_bytes, 1, TLS_FAIL_KEY, UNKNOWN),
    ROW(identities_all_unknown, 3, TLS_FAIL_KEY, UNKNOWN),
    ROW(identity_empty, 1, TLS_FAIL_PROTOCOL, ILLEGAL_OR_DECODE),
    ROW(identities_empty, 0, TLS_FAIL_PROTOCOL, ILLEGAL_OR_DECODE),
    ROW(identities_empty_but_a_binder, 1, TLS_FAIL_PROTOCOL, ILLEGAL_OR_DECODE),
    ROW(binders_empty, 0, TLS_FAIL_PROTOCOL, ILLEGAL_OR_DECODE),
    ROW(binder_wrong, 0, TLS_FAIL_KEY, DECRYPT),
    ROW(binder_of_no_bytes, 0, TLS_FAIL_PROTOCOL, ILLEGAL_OR_DECODE),
    ROW(binder_of_31_bytes, 0, TLS_FAIL_PROTOCOL, ILLEGAL_OR_DECODE),
    ROW(binder_of_33_bytes, 0, TLS_FAIL_KEY, DECRYPT),
    ROW(one_binder_for_two_identities, 1, TLS_FAIL_PROTOCOL, ILLEGAL),
    ROW(two_binders_for_one_identity, 2, TLS_FAIL_PROTOCOL, ILLEGAL),
    ROW(body_empty, 0, TLS_FAIL_PROTOCOL, ILLEGAL_OR_DECODE),
    ROW(body_with_a_trailing_byte, 0, TLS_FAIL_PROTOCOL, ILLEGAL_OR_DECODE),
    ROW(binder_wrong_and_share_zero, 0, TLS_FAIL_KEY, DECRYPT),
};

int main(void)
{
    return cases_run("psk", rows, sizeof rows / sizeof *rows, cases_client_hello);
}
