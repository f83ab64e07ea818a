/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_TLS_HANDSHAKE_H
#define SOCKSEAL_TLS_HANDSHAKE_H

/*
 * The handshake's state machine: which message may come when, reassembly, dispatch. What a message means is
 * in tls_client.c and tls_server.c, which know nothing of this file.
 *
 *     client                                        server
 *     WAIT_SERVER_HELLO --HRR--> WAIT_SERVER_HELLO_2    WAIT_CLIENT_HELLO --HRR--> WAIT_CLIENT_HELLO_2
 *         |                          |                      |                          |
 *         +------ ServerHello -------+                      +------- ClientHello ------+
 *                     |                                                 |
 *           WAIT_ENCRYPTED_EXTENSIONS                              WAIT_FINISHED
 *                     |                                                 |
 *              WAIT_SERVER_FINISHED                                  COMPLETE
 *                     |
 *                  COMPLETE
 */

#include "tls/tls_call.h"
#include "tls/tls_message.h"

/* Whether a message of this type is the one that this state waits for. */
bool tls_handshake_expects(enum tls_state state, uint8_t message_type);

#endif
