/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "endpoint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/secret.h"

const uint8_t endpoint_key[32] = {0x10, 0x32, 0x54, 0x76, 0x98, 0xba, 0xdc, 0xfe, 1, 2, 3, 4, 5, 6, 7, 8,
                                  9,    10,   11,   12,   13,   14,   15,   16,   9, 8, 7, 6, 5, 4, 3, 2};

static const uint16_t x25519_alone[] = {TLS_GROUP_X25519};

void endpoint_random(uint8_t *out, size_t len)
{
    static uint64_t state = 0x9e3779b97f4a7c15;
    for (size_t i = 0; i < len; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out[i] = (uint8_t)(state >> 32);
    }
}

void endpoint_init(struct endpoint *endpoint, const uint16_t *suites, size_t count, bool with_key)
{
    if (!secret_init())
        abort();
    memset(endpoint, 0, offsetof(struct endpoint, out));
    memset(endpoint->events, 0, sizeof endpoint->events);
    endpoint->out.len = endpoint->pending.len = endpoint->data.len = 0;
    endpoint->result = TLS_OK;
    if (count > 0)
        memcpy(endpoint->suites, suites, count * sizeof *suites);
    endpoint->config = (struct tls_config){
        .psks = endpoint->psks,
        .suites = endpoint->suites,
        .groups = x25519_alone,
        .group_count = 1,
        .pair = &endpoint->pair,
        .suite_count = count,
        .random = endpoint_random,
    };
    if (with_key)
        endpoint_add_key(endpoint, ENDPOINT_IDENTITY, endpoint_key, sizeof endpoint_key);
}

void endpoint_add_key(struct endpoint *endpoint, const char *identity, const uint8_t *key, size_t len)
{
    endpoint->psks[endpoint->config.psk_count++] = (struct tls_psk){
        .identity = (const uint8_t *)identity,
        .identity_len = strlen(identity),
        .key = key,
        .key_len = len,
    };
}

/* An output buffer of the least size that a caller may give. */
static struct tls_buffer flight_buffer(void)
{
    return (struct tls_buffer){.data = malloc(TLS_FLIGHT_MAX), .cap = TLS_FLIGHT_MAX};
}

static void collect(struct endpoint *endpoint, struct tls_buffer *flight)
{
    toy_put(&endpoint->out, flight->data, flight->len);
    free(flight->data);
}

static void take_rest_of_flight(struct endpoint *endpoint)
{
    bool more = true;
    while (more) {
        struct tls_buffer flight = flight_buffer();
        more = tls_handshake_more(&endpoint->session, &endpoint->handshake, &flight);
        collect(endpoint, &flight);
    }
}

enum tls_result endpoint_begin(struct endpoint *endpoint, enum tls_role role)
{
    if (role == TLS_SERVER) {
        tls_server_begin(&endpoint->session, &endpoint->handshake);
        return TLS_OK;
    }
    struct tls_buffer flight = flight_buffer();
    endpoint->result = tls_client_begin(&endpoint->session, &endpoint->handshake, &endpoint->config, &flight);
    collect(endpoint, &flight);
    if (endpoint->result == TLS_OK)
        take_rest_of_flight(endpoint);
    return endpoint->result;
}

/* Into memory that ends where the content must end, or in place. */
static enum tls_result open_record(struct endpoint *endpoint, uint8_t *record, size_t len)
{
    enum { CANARY = 0xa5 };
    enum tls_event event = TLS_EVENT_NONE;
    size_t out_len = 0, room = len > TLS_SEAL_OVERHEAD ? len - TLS_SEAL_OVERHEAD : 0;
    uint8_t *own = endpoint->in_place ? NULL : malloc(room + 1);
    uint8_t *out = own == NULL ? record + TLS_RECORD_HEADER : own;
    if (own != NULL)
        memset(own, CANARY, room + 1);
    enum tls_result result = tls_session_open(&endpoint->session, record, len, out, &out_len, &event);
    if (own != NULL)
        assert_int_equal(own[room], CANARY);
    if (result == TLS_OK) {
        endpoint->events[event]++;
        if (event == TLS_EVENT_DATA)
            toy_put(&endpoint->data, out, out_len);
    }
    free(own);
    return result;
}

static enum tls_result take_record(struct endpoint *endpoint, const uint8_t *bytes, size_t len)
{
    enum tls_result result;
    uint8_t *record = malloc(len);
    memcpy(record, bytes, len);
    if (endpoint->session.complete) {
        result = open_record(endpoint, record, len);
    } else {
        struct tls_buffer flight = flight_buffer();
        result = tls_handshake_record(&endpoint->session, &endpoint->handshake, &endpoint->config, record,
                                      len, &flight);
        collect(endpoint, &flight);
        take_rest_of_flight(endpoint);
    }
    free(record);
    return result;
}

enum tls_result endpoint_receive(struct endpoint *endpoint, const void *bytes, size_t len)
{
    struct toy_buffer *pending = &endpoint->pending;
    toy_put(pending, bytes, len);
    while (pending->len > 0) {
        size_t size = 0;
        enum tls_result result = tls_record_size(&endpoint->session, pending->data, pending->len, &size);
        if (result == TLS_OK && (size == 0 || size > pending->len))
            return TLS_OK;
        if (result == TLS_OK)
            result = take_record(endpoint, pending->data, size);
        if (result != TLS_OK) {
            endpoint->result = result;
            pending->len = 0;
            return result;
        }
        pending->len -= size;
        memmove(pending->data, pending->data + size, pending->len);
    }
    return TLS_OK;
}

enum tls_result endpoint_send(struct endpoint *endpoint, const void *content, size_t len)
{
    size_t room = len + TLS_SEAL_OVERHEAD, out_len = 0;
    uint8_t *out = malloc(room);
    enum tls_result result = tls_session_seal(&endpoint->session, content, len, out, &out_len);
    if (result == TLS_OK)
        toy_put(&endpoint->out, out, out_len);
    free(out);
    return result;
}

enum tls_result endpoint_key_update(struct endpoint *endpoint, bool request)
{
    struct tls_buffer flight = flight_buffer();
    enum tls_result result = tls_session_key_update(&endpoint->session, request, &flight);
    collect(endpoint, &flight);
    return result;
}

void endpoint_alert(struct endpoint *endpoint, enum tls_alert alert)
{
    struct tls_buffer flight = flight_buffer();
    tls_session_alert(&endpoint->session, alert, &flight);
    collect(endpoint, &flight);
}
