/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_TLS_OFFER_H
#define SOCKSEAL_TLS_OFFER_H

/* Validates what a client offers by the rules of the protocol: no key, no state and no configuration is known
 * here. */

#include "tls/tls_hello.h"

/* Whether a list of 16-bit values has one. */
bool tls_offer_has_u16(struct tls_reader list, uint16_t value);

/* Checks that a ClientHello is one of TLS 1.3 that offers PSKs with psk_dhe_ke and supports X25519, and the
 * rules for everything in it but the choice of PSK and suite. */
enum tls_reason tls_offer_check(const struct tls_client_hello *hello);

/* Finds the X25519 share, or leaves `share` empty, and checks all of them against supported_groups. */
enum tls_reason tls_offer_find_share(const struct tls_client_hello *hello, struct tls_reader *share);

/* Whether key_share has exactly one entry, as after a HelloRetryRequest. */
bool tls_offer_has_one_share(const struct tls_client_hello *hello);

/* Takes the next identity and its binder off the two lists. */
bool tls_offer_next_psk(struct tls_reader *identities, struct tls_reader *binders,
                        struct tls_reader *identity, struct tls_reader *binder);

#endif
