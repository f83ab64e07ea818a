/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_TLS_MESSAGE_H
#define SOCKSEAL_TLS_MESSAGE_H

/* Handshake messages on the wire (RFC 8446, 4): their types and their header. */

/* HandshakeType (RFC 8446, 4). */
enum tls_message_type {
    TLS_CLIENT_HELLO = 1,
    TLS_SERVER_HELLO = 2,
    TLS_NEW_SESSION_TICKET = 4,
    TLS_END_OF_EARLY_DATA = 5,
    TLS_ENCRYPTED_EXTENSIONS = 8,
    TLS_CERTIFICATE = 11,
    TLS_CERTIFICATE_REQUEST = 13,
    TLS_CERTIFICATE_VERIFY = 15,
    TLS_FINISHED = 20,
    TLS_KEY_UPDATE = 24,
    TLS_MESSAGE_HASH = 254,
};

enum { TLS_MESSAGE_HEADER = 4, TLS_FINISHED_LEN = 36 };

#endif
