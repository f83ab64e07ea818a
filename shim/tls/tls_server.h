/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_TLS_SERVER_H
#define SOCKSEAL_TLS_SERVER_H

/* The server's side of the handshake: handlers for the state table. tls_server_begin() is in the public
 * header. */

#include "tls/tls_call.h"
#include "tls/tls_failure.h"

/* Start with a ClientHello, and take a part of its body as it comes. */
enum tls_reason tls_server_begin_hello(const struct tls_call *call, const uint8_t *header, size_t body_len);
enum tls_reason tls_server_take_hello(const struct tls_call *call, struct tls_reader part);

/* Takes the ClientHello that has been read and answers with the whole flight, or, the first time, perhaps
 * with a HelloRetryRequest. */
enum tls_reason tls_server_client_hello(const struct tls_call *call, const uint8_t *message, size_t len);

/* Takes the client's Finished and completes the handshake. */
enum tls_reason tls_server_finished(const struct tls_call *call, const uint8_t *message, size_t len);

#endif
