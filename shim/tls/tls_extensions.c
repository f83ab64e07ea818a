/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "tls/tls_extensions.h"

/* RFC 8446, 4.2: the messages that may have each, and whether our ClientHello has it, so that a server may
 * answer it. */
static const struct {
    uint8_t type;
    uint8_t places;
    uint8_t asked;
} known[] = {
    {TLS_EXTENSION_SUPPORTED_GROUPS, TLS_IN_CLIENT_HELLO | TLS_IN_ENCRYPTED_EXTENSIONS, true},
    {TLS_EXTENSION_PRE_SHARED_KEY, TLS_IN_CLIENT_HELLO | TLS_IN_SERVER_HELLO, true},
    {TLS_EXTENSION_EARLY_DATA, TLS_IN_CLIENT_HELLO | TLS_IN_ENCRYPTED_EXTENSIONS, false},
    {TLS_EXTENSION_SUPPORTED_VERSIONS, TLS_IN_CLIENT_HELLO | TLS_IN_SERVER_HELLO | TLS_IN_HELLO_RETRY_REQUEST,
     true},
    /* The exception: a HelloRetryRequest may bring a cookie unasked. */
    {TLS_EXTENSION_COOKIE, TLS_IN_CLIENT_HELLO | TLS_IN_HELLO_RETRY_REQUEST, true},
    {TLS_EXTENSION_PSK_KEY_EXCHANGE_MODES, TLS_IN_CLIENT_HELLO, true},
    {TLS_EXTENSION_KEY_SHARE, TLS_IN_CLIENT_HELLO | TLS_IN_SERVER_HELLO | TLS_IN_HELLO_RETRY_REQUEST, true},
};

static bool find(const struct tls_extensions *list, uint16_t type, struct tls_reader *body)
{
    for (size_t i = 0; i < list->count; i++) {
        if (list->at[i].type == type) {
            *body = list->at[i].body;
            return true;
        }
    }
    *body = tls_cursor_reader(NULL, 0);
    return false;
}

enum tls_reason tls_extensions_parse(struct tls_reader block, struct tls_extensions *list)
{
    list->count = 0;
    while (block.left > 0) {
        struct tls_extension extension;
        struct tls_reader earlier;
        if (!tls_cursor_get_u16(&block, &extension.type) ||
            !tls_cursor_get_vector16(&block, 0, &extension.body))
            return TLS_REASON_MALFORMED;
        if (find(list, extension.type, &earlier))
            return TLS_REASON_EXTENSION_TWICE; /* RFC 8446, 4.2 */
        if (list->count == TLS_EXTENSIONS_MAX)
            return TLS_REASON_EXTENSION_UNASKED; /* more than a ClientHello of ours has */
        list->at[list->count++] = extension;
    }
    return TLS_REASON_NONE;
}

bool tls_extensions_find(const struct tls_extensions *list, enum tls_extension_type type,
                         struct tls_reader *body)
{
    return find(list, (uint16_t)type, body);
}

static enum tls_reason check_one(uint16_t type, enum tls_extension_place place)
{
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (known[i].type != type)
            continue;
        if ((known[i].places & place) == 0)
            /* RFC 8446, 4.2: recognised, and not specified for this message. */
            return TLS_REASON_EXTENSION_FORBIDDEN;
        return known[i].asked ? TLS_REASON_NONE : TLS_REASON_EXTENSION_UNASKED;
    }
    return TLS_REASON_EXTENSION_UNASKED; /* RFC 8446, 4.2: a response without a request */
}

enum tls_reason tls_extensions_check(const struct tls_extensions *list, enum tls_extension_place place)
{
    for (size_t i = 0; i < list->count; i++) {
        enum tls_reason reason = check_one(list->at[i].type, place);
        if (reason != TLS_REASON_NONE)
            return reason;
    }
    return TLS_REASON_NONE;
}
