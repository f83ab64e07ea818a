/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_TESTS_ENDPOINT_H
#define SOCKSEAL_TESTS_ENDPOINT_H

/* The engine of shim/tls with the caller around it that its header asks for: framing, buffers of exactly the
 * promised sizes (so that a sanitizer sees a byte too many), collected output and delivered data. */

#include "tls/tls.h"
#include "toy_codec.h"

enum { ENDPOINT_PSKS_MAX = 16, ENDPOINT_EVENTS = TLS_EVENT_KEY_UPDATE_ASKED + 1 };

struct endpoint {
    struct tls_session session;
    struct tls_handshake handshake;
    struct tls_key_pair pair;
    struct tls_psk psks[ENDPOINT_PSKS_MAX];
    uint16_t suites[4];
    struct tls_config config;
    bool in_place;             /* open records in place rather than into a buffer of their own */
    struct toy_buffer out;     /* what it has sent */
    struct toy_buffer pending; /* received bytes that are no whole record yet */
    struct toy_buffer data;    /* delivered application data */
    unsigned events[ENDPOINT_EVENTS];
    enum tls_result result; /* of the last call that failed, or TLS_OK */
};

/* The key that endpoints and toys share in most tests, and its identity. */
extern const uint8_t endpoint_key[32];
#define ENDPOINT_IDENTITY "alpha"

/* Prepares an endpoint with these suites (none: the engine's own choice) and, if `with_key`, the usual key.
 */
void endpoint_init(struct endpoint *endpoint, const uint16_t *suites, size_t count, bool with_key);

/* Adds a key; identity and key are not copied. */
void endpoint_add_key(struct endpoint *endpoint, const char *identity, const uint8_t *key, size_t len);

/* Starts; a client's ClientHello is in `out`. */
enum tls_result endpoint_begin(struct endpoint *endpoint, enum tls_role role);

/* Takes bytes from the wire, in any portions. After the handshake, data goes to `data` and events are
 * counted. */
enum tls_result endpoint_receive(struct endpoint *endpoint, const void *bytes, size_t len);

/* Seals data / a KeyUpdate / an alert into `out`. */
enum tls_result endpoint_send(struct endpoint *endpoint, const void *content, size_t len);
enum tls_result endpoint_key_update(struct endpoint *endpoint, bool request);
void endpoint_alert(struct endpoint *endpoint, enum tls_alert alert);

/* A source of bytes that is the same in every run. */
void endpoint_random(uint8_t *out, size_t len);

#endif
