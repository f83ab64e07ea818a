/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/aead.h"
#include "crypto/secret.h"

const uint16_t *pair_suites(size_t *count)
{
    static const uint16_t suites[] = {TOY_CHACHA20, TOY_AEGIS, TOY_AEGIS_X2, TOY_AEGIS_X4};
    *count = secret_init() && aead_usable(TOY_AEGIS) ? sizeof suites / sizeof *suites : 1;
    return suites;
}

enum tls_result pair_send(struct pair *pair, uint8_t type, const void *content, size_t len)
{
    struct toy_buffer wire = {.len = 0};
    if (pair->toy.tx.suite == 0)
        toy_plain_record(&wire, type, content, len);
    else
        toy_seal(&pair->toy.tx, type, content, len, 0, &wire);
    return endpoint_receive(&pair->engine, wire.data, wire.len);
}

enum tls_result pair_send_message(struct pair *pair, const struct toy_buffer *message)
{
    enum tls_result result = TLS_OK;
    for (size_t at = 0; at < message->len && result == TLS_OK;) {
        size_t part = message->len - at < TLS_PLAINTEXT_MAX ? message->len - at : TLS_PLAINTEXT_MAX;
        result = pair_send(pair, TOY_HANDSHAKE, message->data + at, part);
        at += part;
    }
    return result;
}

bool pair_read(struct pair *pair, uint8_t *type, struct toy_buffer *content)
{
    const uint8_t *record = pair->engine.out.data + pair->read_at;
    size_t left = pair->engine.out.len - pair->read_at;
    if (left == 0)
        return false;
    assert_true(left >= 5);
    size_t len = toy_number(record + 3, 2);
    assert_true(left >= 5 + len);
    pair->read_at += 5 + len;
    if (record[0] == TOY_DATA && pair->toy.rx.suite != 0) {
        assert_true(toy_open(&pair->toy.rx, record, 5 + len, type, content));
        return true;
    }
    *type = record[0];
    content->len = 0;
    toy_put(content, record + 5, len);
    return true;
}

/* The next handshake message of the engine; change_cipher_spec in between is passed over. */
static void read_message(struct pair *pair, struct toy_buffer *message)
{
    struct toy_buffer *unread = &pair->unread;
    static struct toy_buffer content;
    uint8_t type = 0;
    while (unread->len < 4 || unread->len < 4 + toy_number(unread->data + 1, 3)) {
        assert_true(pair_read(pair, &type, &content));
        if (type == TOY_CCS)
            continue;
        assert_int_equal(type, TOY_HANDSHAKE);
        toy_put(unread, content.data, content.len);
    }
    message->len = 0;
    toy_put(message, unread->data, 4 + toy_number(unread->data + 1, 3));
    unread->len -= message->len;
    memmove(unread->data, unread->data + message->len, unread->len);
}

static void read_client_hello(struct pair *pair)
{
    struct toy *toy = &pair->toy;
    static struct toy_buffer message;
    uint8_t binder[32];
    read_message(pair, &message);
    assert_true(toy_hello_decode(&toy->peer, message.data, message.len));
    assert_int_equal(toy->peer.type, TOY_CLIENT_HELLO);
    toy_binder(toy, message.data, message.len, 1, binder);
    assert_memory_equal(message.data + message.len - 32, binder, 32);
    toy_transcript_add(toy, message.data, message.len);
}

void pair_begin(struct pair *pair, enum tls_role engine_role, uint16_t suite)
{
    memset(pair, 0, sizeof *pair);
    endpoint_init(&pair->engine, &suite, 1, true);
    toy_init(&pair->toy, engine_role == TLS_CLIENT, suite, ENDPOINT_IDENTITY, endpoint_key,
             sizeof endpoint_key);
    assert_int_equal(endpoint_begin(&pair->engine, engine_role), TLS_OK);
    if (engine_role == TLS_CLIENT)
        read_client_hello(pair);
}

enum tls_result pair_client_hello(struct pair *pair, const struct toy_hello *hello, size_t binders)
{
    static struct toy_buffer message;
    toy_hello_encode(hello, &message);
    toy_bind(&pair->toy, &message, binders);
    toy_transcript_add(&pair->toy, message.data, message.len);
    return pair_send_message(pair, &message);
}

void pair_read_server_hello(struct pair *pair)
{
    struct toy *toy = &pair->toy;
    static struct toy_buffer message;
    read_message(pair, &message);
    assert_true(toy_hello_decode(&toy->peer, message.data, message.len));
    assert_int_equal(toy->peer.type, TOY_SERVER_HELLO);
    assert_int_equal(toy_number(toy->peer.suites, 2), toy->suite);
    const struct toy_extension *share = toy_hello_find(&toy->peer, TOY_KEY_SHARE);
    assert_non_null(share);
    assert_int_equal(share->len, 36);
    toy_transcript_add(toy, message.data, message.len);
    toy_handshake_secrets(toy, share->body + 4);
    toy_keys_set(&toy->rx, toy->suite, toy->server_handshake);
    toy_keys_set(&toy->tx, toy->suite, toy->client_handshake);
}

void pair_read_server_flight(struct pair *pair)
{
    struct toy *toy = &pair->toy;
    static struct toy_buffer message, finished;
    read_message(pair, &message);
    assert_int_equal(message.data[0], TOY_ENCRYPTED_EXTENSIONS);
    toy_transcript_add(toy, message.data, message.len);
    toy_finished(toy, true, &finished);
    read_message(pair, &message);
    assert_int_equal(message.len, finished.len);
    assert_memory_equal(message.data, finished.data, finished.len);
    toy_transcript_add(toy, message.data, message.len);
    toy_application_secrets(toy);
    toy_keys_set(&toy->rx, toy->suite, toy->server_application);
}

enum tls_result pair_client_finished(struct pair *pair)
{
    struct toy *toy = &pair->toy;
    static struct toy_buffer message;
    toy_finished(toy, false, &message);
    toy_transcript_add(toy, message.data, message.len);
    enum tls_result result = pair_send_message(pair, &message);
    toy_keys_set(&toy->tx, toy->suite, toy->client_application);
    return result;
}

void pair_shareless_hello(const struct pair *pair, struct toy_hello *hello)
{
    static const uint8_t groups[] = {0, 4, 0, TOY_SECP256R1, 0, TOY_X25519};
    struct toy_buffer share = {.len = 0};
    toy_client_hello(&pair->toy, hello);
    toy_hello_replace(hello, TOY_SUPPORTED_GROUPS, groups, sizeof groups);
    size_t list = toy_vector_begin(&share, 2);
    toy_put_number(&share, TOY_SECP256R1, 2);
    size_t point = toy_vector_begin(&share, 2);
    toy_put_number(&share, 4, 1);
    for (size_t i = 0; i < 64; i++)
        toy_put_number(&share, i, 1);
    toy_vector_end(&share, point, 2);
    toy_vector_end(&share, list, 2);
    toy_hello_replace(hello, TOY_KEY_SHARE, share.data, share.len);
}

void pair_second_hello(const struct pair *pair, struct toy_hello *hello)
{
    struct toy_buffer share = {.len = 0};
    static struct toy_hello plain;
    toy_client_hello(&pair->toy, &plain);
    const struct toy_extension *own = toy_hello_find(&plain, TOY_KEY_SHARE);
    toy_put(&share, own->body, own->len);
    pair_shareless_hello(pair, hello);
    toy_hello_replace(hello, TOY_KEY_SHARE, share.data, share.len);
}

void pair_read_retry_request(struct pair *pair)
{
    struct toy *toy = &pair->toy;
    static struct toy_buffer message;
    static struct toy_hello expected;
    read_message(pair, &message);
    assert_true(toy_hello_decode(&toy->peer, message.data, message.len));
    toy_retry_request(toy, &expected, NULL, 0);
    assert_memory_equal(toy->peer.random, expected.random, 32);
    const struct toy_extension *share = toy_hello_find(&toy->peer, TOY_KEY_SHARE);
    assert_non_null(share);
    assert_int_equal(share->len, 2);
    assert_int_equal(toy_number(share->body, 2), TOY_X25519);
    toy_transcript_retry(toy);
    toy_transcript_add(toy, message.data, message.len);
}

enum tls_result pair_server_hello(struct pair *pair, const struct toy_hello *hello)
{
    struct toy *toy = &pair->toy;
    static struct toy_buffer message;
    const struct toy_extension *share = toy_hello_find(&toy->peer, TOY_KEY_SHARE);
    assert_non_null(share);
    assert_int_equal(share->len, 2 + 4 + 32);
    toy_hello_encode(hello, &message);
    toy_transcript_add(toy, message.data, message.len);
    enum tls_result result = pair_send_message(pair, &message);
    toy_handshake_secrets(toy, share->body + 6);
    toy_keys_set(&toy->tx, toy->suite, toy->server_handshake);
    toy_keys_set(&toy->rx, toy->suite, toy->client_handshake);
    return result;
}

enum tls_result pair_encrypted_extensions(struct pair *pair, const void *body, size_t len)
{
    struct toy_buffer message = {.len = 0};
    toy_message(&message, TOY_ENCRYPTED_EXTENSIONS, body, len);
    toy_transcript_add(&pair->toy, message.data, message.len);
    return pair_send_message(pair, &message);
}

enum tls_result pair_server_finished(struct pair *pair)
{
    struct toy *toy = &pair->toy;
    static struct toy_buffer message;
    toy_finished(toy, true, &message);
    toy_transcript_add(toy, message.data, message.len);
    enum tls_result result = pair_send_message(pair, &message);
    toy_application_secrets(toy);
    toy_keys_set(&toy->tx, toy->suite, toy->server_application);
    return result;
}

void pair_read_client_finished(struct pair *pair)
{
    struct toy *toy = &pair->toy;
    static struct toy_buffer message, finished;
    toy_finished(toy, false, &finished);
    read_message(pair, &message);
    assert_int_equal(message.len, finished.len);
    assert_memory_equal(message.data, finished.data, finished.len);
    toy_transcript_add(toy, message.data, message.len);
    toy_keys_set(&toy->rx, toy->suite, toy->client_application);
}

enum tls_result pair_retry_request(struct pair *pair, const struct toy_hello *hello)
{
    static struct toy_buffer message;
    toy_hello_encode(hello, &message);
    toy_transcript_retry(&pair->toy);
    toy_transcript_add(&pair->toy, message.data, message.len);
    enum tls_result result = pair_send_message(pair, &message);
    if (result == TLS_OK)
        read_client_hello(pair);
    return result;
}
