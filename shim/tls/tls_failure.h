/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_TLS_FAILURE_H
#define SOCKSEAL_TLS_FAILURE_H

/*
 * Why a session failed. Each reason belongs to one check. It determines the result that the program sees
 * (enum tls_result), the alert for the peer and the text for the log; the table is in tls_failure.c. A check
 * returns a reason, and its caller makes that the session's failure.
 */

#include <stdint.h>

#include "tls/tls.h"

enum tls_reason {
    TLS_REASON_NONE = 0, /* the check passed */

    /* records */
    TLS_REASON_NOT_TLS,
    TLS_REASON_RECORD_TYPE,
    TLS_REASON_RECORD_CLEAR,
    TLS_REASON_RECORD_LONG,
    TLS_REASON_RECORD_EMPTY,
    TLS_REASON_RECORD_PADDING,
    TLS_REASON_RECORD_MAC,
    TLS_REASON_CCS,
    TLS_REASON_ALERT_SIZE,
    TLS_REASON_SEQUENCE,

    /* handshake messages in general */
    TLS_REASON_INTERLEAVED,
    TLS_REASON_KEY_CHANGE,
    TLS_REASON_ORDER,
    TLS_REASON_MESSAGE_LONG,
    TLS_REASON_FRAGMENTS,
    TLS_REASON_MALFORMED,
    TLS_REASON_EXTENSION_TWICE,
    TLS_REASON_EXTENSION_FORBIDDEN,
    TLS_REASON_EXTENSION_UNASKED,
    TLS_REASON_EXTENSION_MISSING,
    TLS_REASON_SSL3,
    TLS_REASON_LEGACY_VERSION,
    TLS_REASON_COMPRESSION,
    TLS_REASON_KEY_SHARE,
    TLS_REASON_SMALL_ORDER,
    TLS_REASON_FINISHED,

    /* ClientHello */
    TLS_REASON_NO_TLS13_OFFERED,
    TLS_REASON_NO_PSK_OFFERED,
    TLS_REASON_NO_PSK_MODES,
    TLS_REASON_NO_PSK_DHE,
    TLS_REASON_NO_GROUP,
    TLS_REASON_NO_SUITE,
    TLS_REASON_PSK_NOT_LAST,
    TLS_REASON_PSK_BINDERS,
    TLS_REASON_PSK_UNKNOWN,
    TLS_REASON_BINDER,
    TLS_REASON_SECOND_HELLO,

    /* ServerHello, HelloRetryRequest */
    TLS_REASON_OLD_SERVER,
    TLS_REASON_VERSION_CHOSEN,
    TLS_REASON_SESSION_ID,
    TLS_REASON_SUITE_CHOSEN,
    TLS_REASON_PSK_CHOSEN,
    TLS_REASON_PSK_IGNORED,
    TLS_REASON_RETRY_USELESS,
    TLS_REASON_RETRY_TWICE,
    TLS_REASON_COOKIE_LONG,

    /* after the handshake */
    TLS_REASON_KEY_UPDATE_VALUE,
    TLS_REASON_UPDATES,

    /* the peer's alerts */
    TLS_REASON_KEY_REFUSED,
    TLS_REASON_VERSION_REFUSED,
    TLS_REASON_HELLO_REFUSED,
    TLS_REASON_HANDSHAKE_REFUSED,
    TLS_REASON_CLOSED_EARLY,
    TLS_REASON_PEER_ALERT,

    /* ourselves */
    TLS_REASON_NO_KEY,
    TLS_REASON_NO_RANDOM,
    TLS_REASON_NO_USABLE_SUITE,
    TLS_REASON_NO_USABLE_GROUP,
    TLS_REASON_MISUSE,
    TLS_REASON_DECLARED,

    TLS_REASON_COUNT
};

/* Makes `reason` the session's failure unless it has one already, and returns the session's failure. With
 * TLS_REASON_NONE it changes nothing. The two directions may fail at the same time: the first wins. */
TLS_CHECKED enum tls_result tls_failure_set(struct tls_session *session, enum tls_reason reason);

/* The same for a failure that was declared from outside, with a result of its own and no alert. */
void tls_failure_declare(struct tls_session *session, enum tls_result result);

/* The sticky failure, or TLS_OK. */
TLS_CHECKED enum tls_result tls_failure_get(const struct tls_session *session);

#endif
