/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* The text of a key file. The keys that are taken lie within it, have lengths and identities that are
 * allowed, each identity once, and are found by their order. */

#include <string.h>

#include "config/keyfile.h"
#include "config/rules.h"
#include "harness.h"

const unsigned harness_runs = 20000;

enum { KEYS_MAX = 64 };

static void check_key(const char *text, size_t size, const struct tls_psk *psk, struct rule_span rules)
{
    const uint8_t *start = (const uint8_t *)text, *end = start + size;
    REQUIRE(psk->identity_len >= 1 && psk->identity_len <= TLS_IDENTITY_MAX);
    REQUIRE(psk->identity >= start && psk->identity + psk->identity_len <= end);
    REQUIRE(psk->key_len >= KEYFILE_KEY_MIN && psk->key_len <= KEYFILE_KEY_MAX);
    REQUIRE(psk->key >= start && psk->key + psk->key_len <= end);
    REQUIRE(!memchr(psk->identity, '\n', psk->identity_len) &&
            !memchr(psk->identity, ':', psk->identity_len));
    if (rules.len > 0) {
        REQUIRE(rules.at >= text && rules.at + rules.len <= text + size);
        REQUIRE(rules_of_key_check(rules) == NULL);
    }
}

static int compare(const struct tls_psk *a, const struct tls_psk *b)
{
    size_t shorter = a->identity_len < b->identity_len ? a->identity_len : b->identity_len;
    int order = memcmp(a->identity, b->identity, shorter);
    return order ? order : (int)a->identity_len - (int)b->identity_len;
}

static void check_order(const struct tls_psk *psks, size_t count)
{
    uint16_t order[KEYS_MAX];
    int turn = 0;
    tls_psk_sort(psks, count, order);
    for (size_t i = 1; i < count; i++) {
        int sign = compare(&psks[order[i - 1]], &psks[order[i]]);
        REQUIRE(sign != 0);
        /* By length first or by content first: but always the same. */
        if (psks[order[i - 1]].identity_len == psks[order[i]].identity_len) {
            REQUIRE(turn == 0 || (turn < 0) == (sign < 0));
            turn = sign;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tls_psk psks[KEYS_MAX];
    struct rule_span rules[KEYS_MAX];
    struct keyfile_error error = {0};
    char *text = malloc(size ? size : 1);
    if (!text)
        return 0;
    if (size > 0)
        memcpy(text, data, size);
    size_t count = keyfile_parse(text, size, psks, rules, KEYS_MAX, &error);
    REQUIRE(count <= KEYS_MAX && (count > 0 || error.reason));
    for (size_t i = 0; i < count; i++)
        check_key(text, size, &psks[i], rules[i]);
    if (count > 0)
        check_order(psks, count);
    free(text);
    return 0;
}
