/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_FAILURE_H
#define SOCKSEAL_FAILURE_H

/* How a connection fails: a sticky errno (design, section 9), one log line, an end for the socket that every
 * wait reports. */

#include "conn/registry.h"

/* Fails the connection with `error` (an errno) unless it has failed before. `reason` is for the log line,
 * which names both addresses, the identity and what to do. Any thread; holds no role. */
void failure_set(const struct sealed *sealed, int error, const char *reason);

/* The errno for what the engine found. */
int failure_errno(enum tls_result result);

/* Fails the connection with what the engine found in `session` (the connection's own, or a copy of it). */
void failure_from(const struct sealed *sealed, const struct tls_session *session, enum tls_result result);

/* "10.0.0.1:80" or "[::1]:80". */
enum { FAILURE_ADDRESS_TEXT = 64 };
const char *failure_address(const struct conn_address *address, char text[static FAILURE_ADDRESS_TEXT]);

/* One log line about the connection at another level: "LOCAL <- PEER: what". */
void failure_note(const struct conn *conn, int level, const char *what);

#endif
