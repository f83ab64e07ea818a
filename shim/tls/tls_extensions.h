/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_TLS_EXTENSIONS_H
#define SOCKSEAL_TLS_EXTENSIONS_H

/* Extension blocks of servers (RFC 8446, 4.2): parsing, and which message may have which extension. */

#include "tls/tls_cursor.h"
#include "tls/tls_failure.h"

/* ExtensionType: those that this implementation recognises. */
enum tls_extension_type {
    TLS_EXTENSION_SUPPORTED_GROUPS = 10,
    TLS_EXTENSION_PRE_SHARED_KEY = 41,
    TLS_EXTENSION_EARLY_DATA = 42,
    TLS_EXTENSION_SUPPORTED_VERSIONS = 43,
    TLS_EXTENSION_COOKIE = 44,
    TLS_EXTENSION_PSK_KEY_EXCHANGE_MODES = 45,
    TLS_EXTENSION_KEY_SHARE = 51,
};

/* The messages of the table in RFC 8446, 4.2, as bits. */
enum tls_extension_place {
    TLS_IN_CLIENT_HELLO = 1,
    TLS_IN_SERVER_HELLO = 2,
    TLS_IN_HELLO_RETRY_REQUEST = 4,
    TLS_IN_ENCRYPTED_EXTENSIONS = 8,
};

enum { TLS_EXTENSIONS_MAX = 16 }; /* in one block of a server: it may answer only what we sent */

struct tls_extension {
    uint16_t type;
    struct tls_reader body;
};

struct tls_extensions {
    size_t count;
    struct tls_extension at[TLS_EXTENSIONS_MAX];
};

/* Parses the content of an extension block. Extensions of types unknown are kept; a type that comes twice is
 * refused. */
enum tls_reason tls_extensions_parse(struct tls_reader block, struct tls_extensions *list);

/* Finds the extension of a type; gives false, and an empty body, if there is none. */
bool tls_extensions_find(const struct tls_extensions *list, enum tls_extension_type type,
                         struct tls_reader *body);

/* Checks what a server sent: this message may have each of the extensions, and our ClientHello asked for
 * it. */
enum tls_reason tls_extensions_check(const struct tls_extensions *list, enum tls_extension_place place);

#endif
