/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_FAILURE_H
#define SOCKSEAL_FAILURE_H

/* How a connection fails: a sticky errno (design, section 9), one log line, an end for the socket that every
 * wait reports. */

#include "conn/fdtable.h"

/* Fails the connection with `error` (an errno) unless it has failed before. `reason` is for the log line,
 * which names both addresses, the identity and what to do. Any thread; holds no role. */
void error_set(const struct conn_handle *handle, int error, const char *reason);

/* The errno for what the engine found. */
int error_of_tls(enum tls_result result);

/* Fails the connection with what the engine found in `session` (the connection's own, or a copy of it). */
void error_from_tls(const struct conn_handle *handle, const struct tls_session *session,
                    enum tls_result result);

/* One log line about the connection at another level: "LOCAL <- PEER: what". */
void error_note(const struct conn_handle *handle, int level, const char *what);

#endif
