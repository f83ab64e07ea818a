/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_TLS_HELLO_READER_H
#define SOCKSEAL_TLS_HELLO_READER_H

/*
 * Reads a ClientHello (RFC 8446, 4.1.2) as it arrives, in parts of any size, and keeps only what a server of
 * ours looks at. The hello may be as long as its own length fields allow (128 KiB), and the memory for it is
 * always the same: suites, groups, shares and extensions that are not known are passed over (4.1.2, 9.3).
 * Form is checked here, in all of it that RFC 8446 defines; what the hello means is checked by
 * tls_offer_check().
 */

#include "crypto/sha256.h"
#include "tls/tls_cursor.h"
#include "tls/tls_offer.h"

enum {
    TLS_HELLO_FIELD_MAX = TLS_KEX_CLIENT_MAX, /* bytes of one field that are kept */
    TLS_HELLO_IDENTITIES_MAX = 64, /* identities that are looked at; a client that rotates keys offers two */
    /* The longest body: every vector as long as it may be. */
    TLS_HELLO_BODY_MAX =
        2 + TLS_HELLO_RANDOM + 1 + TLS_HELLO_SESSION_ID_MAX + 2 + 65534 + 1 + 255 + 2 + 65535,
};

/* Why tls_hello_reader_next() has stopped. */
enum tls_hello_event {
    TLS_HELLO_MORE,     /* the bytes are used up */
    TLS_HELLO_IDENTITY, /* an identity of pre_shared_key is in `field`, its number is offer.identity_count;
                           only of the first TLS_HELLO_IDENTITIES_MAX */
    TLS_HELLO_BINDERS,  /* the binders begin: what was read so far is what they cover (RFC 8446, 4.2.11.2) */
    TLS_HELLO_END,      /* the hello is complete */
};

struct tls_hello_reader {
    struct tls_offer offer;
    struct sha256 repeated;
    uint8_t step;                       /* which field is read; internal */
    bool seen_ready;                    /* `seen` was cleared, for the first extension that is not known */
    uint16_t extension;                 /* type of the extension being read */
    uint16_t share_group;               /* group of the share being read */
    uint32_t identity_len;              /* of the identity of the last event; `field` has its first bytes */
    uint32_t need, have;                /* length of the field being read, and how many of its bytes came */
    uint32_t message_left;              /* bytes of the message behind the extension or field being read */
    uint32_t extension_left;            /* bytes of the extension behind the list or field being read */
    uint32_t list_left;                 /* bytes of the list behind the field being read */
    uint8_t field[TLS_HELLO_FIELD_MAX]; /* the first bytes of the field being read */
    uint8_t seen[65536 / 8];            /* a bit for each type of an unknown extension that came */
};

/* Starts with the body of a ClientHello of `len` bytes. */
enum tls_reason tls_hello_reader_begin(struct tls_hello_reader *reader, size_t len);

/* Takes bytes off `bytes` up to the next event. Once the whole body was given, the last event is
 * TLS_HELLO_END. */
enum tls_reason tls_hello_reader_next(struct tls_hello_reader *reader, struct tls_reader *bytes,
                                      enum tls_hello_event *event);

/* Whether what a reader that has begun keeps is within its bounds, wherever its memory has been. */
bool tls_hello_reader_valid(const struct tls_hello_reader *reader);

/* Bytes of the reader that may hold something of a hello, for wiping. */
size_t tls_hello_reader_used(const struct tls_hello_reader *reader);

#endif
