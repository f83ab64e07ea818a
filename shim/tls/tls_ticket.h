/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_TLS_TICKET_H
#define SOCKSEAL_TLS_TICKET_H

/* The form of a NewSessionTicket (RFC 8446, 4.6.1), which is checked as it arrives. Nothing of it is kept: a
 * client that does not resume ignores it (RFC 9846, 4.6.1). */

#include "tls/tls.h"
#include "tls/tls_failure.h"

/* The longest body: nonce, ticket and extensions as long as their length fields allow. */
enum { TLS_TICKET_MAX = 4 + 4 + 1 + 255 + 2 + 65535 + 2 + 65534 };

/* Starts with a body of `len` bytes. */
enum tls_reason tls_ticket_begin(struct tls_ticket *ticket, size_t len);

/* Takes the next part of the body. */
enum tls_reason tls_ticket_take(struct tls_ticket *ticket, const uint8_t *data, size_t len);

#endif
