/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_ERROR_H
#define SOCKSEAL_ERROR_H

/*
 * How a connection fails: a sticky errno for every later read and write, one log line, and shutdown(2) of the
 * socket, so that every wait reports it. The errno tells what happened:
 *
 *   EKEYREJECTED   the peer has other keys, or a key that does not count here
 *   EPROTO         the peer does not speak TLS 1.3 with a PSK
 *   EBADMSG        a record fails authentication
 *   ECONNRESET     the stream ends without close_notify, or the peer sent an alert for another reason
 *   ETIMEDOUT      the handshake was not complete in time
 *   ENOKEY         there is no usable key
 *   EKEYREVOKED    the key was taken out of the key file (SOCKSEAL_REMOVED_KEYS=close)
 *   ENOBUFS, EIO   memory is lacking; a process or thread left a record incomplete, or a limit was reached
 */

#include "conn/fdtable.h"

/* Fails the connection with `error` (an errno) unless it has failed before. `reason` is for the log line,
 * which names both addresses, the identity and what to do. Any thread may call it, with or without locks. */
void error_set(const struct conn_handle *handle, int error, const char *reason);

/* The same with a log line of this level (enum log_level), for what is no fault. */
void error_set_at(const struct conn_handle *handle, int level, int error, const char *reason);

/* Fails the connection because its memory says what cannot be, as another process may have written it: gives
 * -EIO. */
int error_damaged(const struct conn_handle *handle);

/* The errno for a result of the TLS engine. */
int error_of_tls(enum tls_result result);

/* Fails the connection with the errno for `result` and the reason that is in `session`: the connection's own,
 * or a copy of it. */
void error_from_tls(const struct conn_handle *handle, const struct tls_session *session,
                    enum tls_result result);

/* Logs one line about the connection, at a level of enum log_level: "LOCAL <- PEER: what". */
void error_note(const struct conn_handle *handle, int level, const char *what);

#endif
