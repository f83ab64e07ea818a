/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_TLS_PSK_H
#define SOCKSEAL_TLS_PSK_H

/* The configured pre-shared keys. */

#include "tls/tls.h"
#include "tls/tls_schedule.h"

/* Whether a PSK keeps to its limits: the identity's length, and 128 bits of key (RFC 9257, 4). */
bool tls_psk_usable(const struct tls_psk *psk);

/* What follows from a PSK of this configuration, out of its memo if it is there. */
void tls_psk_prepare(const struct tls_config *config, const struct tls_psk *psk,
                     struct tls_schedule_psk *prepared);

#endif
