/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_TLS_OFFER_H
#define SOCKSEAL_TLS_OFFER_H

/*
 * What a client's hello offers, as far as a server of ours looks at it, and its validation by the rules of
 * the protocol: no key, no state and no configuration is known here. tls_hello_reader fills it in.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tls/tls_failure.h"
#include "tls/tls_hello.h"
#include "tls/tls_kex.h"

enum {
    TLS_OFFER_SUITES_MAX = 8,
    TLS_OFFER_GROUPS_MAX = 256,
    TLS_OFFER_SHARES_MAX = 64,
};

/* The extensions of a ClientHello that are looked at, as bits. */
enum tls_offer_has {
    TLS_OFFER_HAS_VERSIONS = 1,
    TLS_OFFER_HAS_GROUPS = 2,
    TLS_OFFER_HAS_SHARES = 4,
    TLS_OFFER_HAS_MODES = 8,
    TLS_OFFER_HAS_PSKS = 16,
    TLS_OFFER_HAS_EARLY_DATA = 32,
    TLS_OFFER_HAS_COOKIE = 64,
};

struct tls_offer {
    uint16_t legacy_version;
    uint8_t random[TLS_HELLO_RANDOM];
    uint8_t session_id[TLS_HELLO_SESSION_ID_MAX];
    uint8_t session_id_len;
    bool null_compression;                 /* legacy_compression_methods is the null method alone */
    bool version_13;                       /* supported_versions has TLS 1.3 */
    bool psk_dhe_ke;                       /* psk_key_exchange_modes has it */
    bool psks_last;                        /* pre_shared_key is the last extension */
    uint8_t has;                           /* enum tls_offer_has, or-ed */
    uint8_t suite_count;                   /* of those that this implementation knows, each once */
    uint16_t suites[TLS_OFFER_SUITES_MAX]; /* in the client's order */
    uint32_t group_count;                  /* all of supported_groups; the first ones are kept */
    uint32_t share_count;                  /* all of key_share; the groups of the first ones are kept */
    uint16_t groups[TLS_OFFER_GROUPS_MAX];
    uint16_t shares[TLS_OFFER_SHARES_MAX];
    unsigned known_groups; /* in supported_groups: tls_kex_bit(), or-ed */
    unsigned known_shares; /* in key_share: the same */
    uint8_t x25519_share[X25519_LEN];
    uint8_t hybrid_share[TLS_KEX_CLIENT_MAX]; /* of X25519MLKEM768 */
    uint32_t identity_count;
    uint32_t binder_count;
    uint32_t psk_index; /* of the identity whose binder is kept; set by the reader's caller, 0 before */
    uint8_t binder[TLS_HELLO_BINDER];
    uint8_t binder_len;   /* as sent: another length than TLS_HELLO_BINDER never verifies */
    uint8_t repeated[32]; /* hash over what a second ClientHello must repeat (RFC 8446, 4.1.2) */
};

/* The value of the share of a known group, which the client must have sent. */
const uint8_t *tls_offer_share(const struct tls_offer *offer, uint16_t group);

/* Checks that a ClientHello is one of TLS 1.3 that offers PSKs with psk_dhe_ke, and the rules for everything
 * in it but the choice of PSK, suite and group. */
enum tls_reason tls_offer_check(const struct tls_offer *offer);

#endif
