/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_TLS_PSK_H
#define SOCKSEAL_TLS_PSK_H

/* The configured pre-shared keys. */

#include "tls/tls.h"
#include "tls/tls_schedule.h"

/* Whether a configured PSK may be used for this connection and keeps to its limits: the identity's length,
 * and 128 bits of key (RFC 9257, 4). */
bool tls_psk_usable(const struct tls_config *config, const struct tls_psk *psk);

/* The configured key of an identity, or NULL. `*beside` is a key that the search has met, for doing the same
 * work when there is none, but never for accepting anything: NULL only if no key is configured. */
const struct tls_psk *tls_psk_find(const struct tls_config *config, const uint8_t *identity, size_t len,
                                   const struct tls_psk **beside);

/* What follows from a PSK of this configuration, out of its memo if it is there. */
void tls_psk_prepare(const struct tls_config *config, const struct tls_psk *psk,
                     struct tls_schedule_psk *prepared);

#endif
