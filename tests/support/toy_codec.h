/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_TESTS_TOY_CODEC_H
#define SOCKSEAL_TESTS_TOY_CODEC_H

/* The encoding half of the toy peer (toy_tls.h): buffers, vectors and hello messages that may be as wrong as
 * a test wants. Shares no code with shim/tls. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TOY_BUFFER_MAX = 135168,
    TOY_EXTENSION_BODY_MAX = 18176,
    TOY_EXTENSIONS_MAX = 16,
};

/* HandshakeType (RFC 8446, 4). */
enum toy_handshake_type {
    TOY_CLIENT_HELLO = 1,
    TOY_SERVER_HELLO = 2,
    TOY_NEW_SESSION_TICKET = 4,
    TOY_END_OF_EARLY_DATA = 5,
    TOY_ENCRYPTED_EXTENSIONS = 8,
    TOY_CERTIFICATE = 11,
    TOY_CERTIFICATE_REQUEST = 13,
    TOY_FINISHED = 20,
    TOY_KEY_UPDATE = 24,
    TOY_MESSAGE_HASH = 254,
};

/* ContentType (RFC 8446, 5.1). */
enum toy_content_type { TOY_CCS = 20, TOY_ALERT = 21, TOY_HANDSHAKE = 22, TOY_DATA = 23 };

/* ExtensionType (RFC 8446, 4.2). */
enum toy_extension_type {
    TOY_SERVER_NAME = 0,
    TOY_SUPPORTED_GROUPS = 10,
    TOY_ALPN = 16,
    TOY_PRE_SHARED_KEY = 41,
    TOY_EARLY_DATA = 42,
    TOY_SUPPORTED_VERSIONS = 43,
    TOY_COOKIE = 44,
    TOY_PSK_MODES = 45,
    TOY_KEY_SHARE = 51,
};

enum { TOY_SECP256R1 = 23, TOY_X25519 = 29 };

struct toy_buffer {
    size_t len;
    uint8_t data[TOY_BUFFER_MAX];
};

struct toy_extension {
    uint16_t type;
    size_t len;
    uint8_t body[TOY_EXTENSION_BODY_MAX];
};

/* A ClientHello, ServerHello or HelloRetryRequest in pieces. Of a ServerHello, suites and compression hold
 * the one value chosen. */
struct toy_hello {
    uint8_t type; /* TOY_CLIENT_HELLO or TOY_SERVER_HELLO */
    uint16_t legacy_version;
    uint8_t random[32];
    size_t session_id_len;
    uint8_t session_id[64];
    size_t suites_len; /* bytes */
    uint8_t suites[64];
    size_t compression_len;
    uint8_t compression[8];
    size_t extension_count;
    struct toy_extension extensions[TOY_EXTENSIONS_MAX];
};

/* Appending; a full buffer ends the test program. */
void toy_put(struct toy_buffer *buffer, const void *bytes, size_t len);
void toy_put_number(struct toy_buffer *buffer, uint64_t value, size_t width);

/* Starts a vector whose length field has `width` bytes; toy_vector_end() takes the mark and fills the field
 * in. */
size_t toy_vector_begin(struct toy_buffer *buffer, size_t width);
void toy_vector_end(struct toy_buffer *buffer, size_t mark, size_t width);

/* A big-endian number. */
uint32_t toy_number(const uint8_t *bytes, size_t width);

/* Appends a handshake message with a right header. */
void toy_message(struct toy_buffer *buffer, uint8_t type, const void *body, size_t len);

/* Appends a plaintext record of `type`. */
void toy_plain_record(struct toy_buffer *buffer, uint8_t type, const void *content, size_t len);

/* The first extension of that type, or NULL. */
struct toy_extension *toy_hello_find(struct toy_hello *hello, uint16_t type);

/* Puts an extension in place `index` (not past the end), moving the others back. */
void toy_hello_insert(struct toy_hello *hello, size_t index, uint16_t type, const void *body, size_t len);
void toy_hello_append(struct toy_hello *hello, uint16_t type, const void *body, size_t len);
void toy_hello_remove(struct toy_hello *hello, uint16_t type);
void toy_hello_replace(struct toy_hello *hello, uint16_t type, const void *body, size_t len);

/* The whole handshake message, header included. Replaces what `message` held. */
void toy_hello_encode(const struct toy_hello *hello, struct toy_buffer *message);

/* Puts an extension in front of the others of an encoded ClientHello, where one of any length has room. */
void toy_hello_pad(struct toy_buffer *message, uint16_t type, const void *body, size_t len);

/* The inverse of toy_hello_encode(). False if it is malformed. */
bool toy_hello_decode(struct toy_hello *hello, const uint8_t *message, size_t len);

#endif
