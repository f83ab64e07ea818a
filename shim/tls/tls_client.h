/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_TLS_CLIENT_H
#define SOCKSEAL_TLS_CLIENT_H

/* The client's side of the handshake: handlers for the state table. tls_client_begin() is in the public
 * header. */

#include "tls/tls_call.h"
#include "tls/tls_failure.h"

/* Whether a part of a long ClientHello is still to be sent, and the call that appends the next one. */
bool tls_client_unsent(const struct tls_handshake_data *handshake);
enum tls_reason tls_client_more(const struct tls_call *call);

/* Takes a ServerHello, or a HelloRetryRequest, which it answers with a second ClientHello. */
enum tls_reason tls_client_server_hello(const struct tls_call *call, const uint8_t *message, size_t len);

enum tls_reason tls_client_encrypted_extensions(const struct tls_call *call, const uint8_t *message,
                                                size_t len);

/* Takes the server's Finished, answers with ours and completes the handshake. */
enum tls_reason tls_client_finished(const struct tls_call *call, const uint8_t *message, size_t len);

#endif
