/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_HANDSHAKE_TIMEOUT_H
#define SOCKSEAL_HANDSHAKE_TIMEOUT_H

/* How long a handshake may take: SOCKSEAL_HANDSHAKE_TIMEOUT and SOCKSEAL_CONNECT_TIMEOUT. The limit of a
 * connection is status.deadline_ms (conn/conn.h), which conn_connected() sets first. */

#include "conn/fdtable.h"

/* Something of the peer's handshake has come. A connecting side whose peer begins to answer has been
 * accepted, and waits no longer than one that accepted. */
void handshake_timeout_note_answer(struct conn *conn);

/* Whether this side connects and has got no answer yet: the peer's program may not have accepted the
 * connection. Needs no lock. */
bool handshake_timeout_unanswered(const struct conn *conn);

/* If the handshake's deadline is past: fails the connection with ETIMEDOUT, or, with
 * SOCKSEAL_PLAINTEXT=accept and a peer that has sent nothing, serves it in the clear. A connecting side
 * without an answer goes on waiting until SOCKSEAL_CONNECT_TIMEOUT, if that is set. Needs no lock. */
void handshake_timeout_apply(const struct conn_handle *handle);

#endif
