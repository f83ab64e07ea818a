/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_TESTS_PAIR_H
#define SOCKSEAL_TESTS_PAIR_H

/* The engine and a toy peer of the opposite role, driven step by step through a handshake. Each call asserts
 * that its own step goes well, the ones that return a result apart. */

#include "endpoint.h"
#include "toy_tls.h"

struct pair {
    struct endpoint engine;
    struct toy toy;
    size_t read_at;           /* how much of engine.out the toy has read */
    struct toy_buffer unread; /* handshake messages out of records, not parsed yet */
};

/* Where a handshake stands, from the engine's side; the states of RFC 8446, appendix A, that a PSK handshake
 * has. */
enum pair_state {
    PAIR_CLIENT_WAIT_SH,
    PAIR_CLIENT_WAIT_SH_RETRIED, /* after a HelloRetryRequest */
    PAIR_CLIENT_WAIT_EE,
    PAIR_CLIENT_WAIT_FINISHED,
    PAIR_CLIENT_CONNECTED,
    PAIR_SERVER_WAIT_CH,
    PAIR_SERVER_WAIT_CH_RETRIED,
    PAIR_SERVER_WAIT_FINISHED,
    PAIR_SERVER_CONNECTED,
};

/* The suites to run a test with: *count of them, AEGIS only where the machine has it. */
const uint16_t *pair_suites(size_t *count);

/* Makes a new pair; the engine has the first or, as a client, has sent its ClientHello. */
void pair_begin(struct pair *pair, enum tls_role engine_role, uint16_t suite);

/* The same, carried on to `state`. */
void pair_reach(struct pair *pair, enum pair_state state, uint16_t suite);

/* The toy sends one record under its present keys, or a message in as many as it takes. */
enum tls_result pair_send(struct pair *pair, uint8_t type, const void *content, size_t len);
enum tls_result pair_send_message(struct pair *pair, const struct toy_buffer *message);

/* The toy's next record from the engine: false if there is none. */
bool pair_read(struct pair *pair, uint8_t *type, struct toy_buffer *content);

/* The engine is the server: the toy sends this ClientHello (binding `binders` of them); reads ServerHello;
 * reads the rest of the flight and checks the Finished; sends its own. */
enum tls_result pair_client_hello(struct pair *pair, const struct toy_hello *hello, size_t binders);
void pair_read_server_hello(struct pair *pair);
void pair_read_server_flight(struct pair *pair);
enum tls_result pair_client_finished(struct pair *pair);

/* The first ClientHello of a client without an X25519 share, and the reading of the HelloRetryRequest that
 * answers it. */
void pair_shareless_hello(const struct pair *pair, struct toy_hello *hello);
void pair_read_retry_request(struct pair *pair);

/* The second ClientHello of that client, as it should be. */
void pair_second_hello(const struct pair *pair, struct toy_hello *hello);

/* The engine is the client: the toy sends this ServerHello, and takes its keys from the transcript; the rest.
 */
enum tls_result pair_server_hello(struct pair *pair, const struct toy_hello *hello);
enum tls_result pair_encrypted_extensions(struct pair *pair, const void *body, size_t len);
enum tls_result pair_server_finished(struct pair *pair);
void pair_read_client_finished(struct pair *pair);

/* The toy sends this HelloRetryRequest and, if the engine answers, reads the second ClientHello and checks
 * its binder. */
enum tls_result pair_retry_request(struct pair *pair, const struct toy_hello *hello);

/* Asserts that the engine failed with this result and alert, that it sent that alert, that it delivered
 * nothing, and that it stays failed. pair_expect_one_of() takes several permissible alerts, ended by
 * TLS_ALERT_NONE. */
void pair_expect_failure(struct pair *pair, enum tls_result result, enum tls_alert alert);
void pair_expect_one_of(struct pair *pair, enum tls_result result, const enum tls_alert *alerts);

/* Asserts that both sides are connected: data goes through both ways. */
void pair_expect_connected(struct pair *pair);

#endif
