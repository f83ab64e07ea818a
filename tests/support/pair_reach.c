/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void reach_as_client(struct pair *pair, enum pair_state state)
{
    static const uint8_t no_extensions[] = {0, 0};
    static struct toy_hello hello;
    if (state == PAIR_CLIENT_WAIT_SH)
        return;
    if (state == PAIR_CLIENT_WAIT_SH_RETRIED) {
        toy_retry_request(&pair->toy, &hello, "cookie", 6);
        assert_int_equal(pair_retry_request(pair, &hello), TLS_OK);
        return;
    }
    toy_server_hello(&pair->toy, &hello);
    assert_int_equal(pair_server_hello(pair, &hello), TLS_OK);
    if (state == PAIR_CLIENT_WAIT_EE)
        return;
    assert_int_equal(pair_encrypted_extensions(pair, no_extensions, sizeof no_extensions), TLS_OK);
    if (state == PAIR_CLIENT_WAIT_FINISHED)
        return;
    assert_false(pair->engine.session.complete);
    assert_int_equal(pair_server_finished(pair), TLS_OK);
    pair_read_client_finished(pair);
    assert_true(pair->engine.session.complete);
}

static void reach_as_server(struct pair *pair, enum pair_state state)
{
    static struct toy_hello hello;
    if (state == PAIR_SERVER_WAIT_CH)
        return;
    if (state == PAIR_SERVER_WAIT_CH_RETRIED) {
        pair_shareless_hello(pair, &hello);
        assert_int_equal(pair_client_hello(pair, &hello, 1), TLS_OK);
        pair_read_retry_request(pair);
        return;
    }
    toy_client_hello(&pair->toy, &hello);
    assert_int_equal(pair_client_hello(pair, &hello, 1), TLS_OK);
    pair_read_server_hello(pair);
    pair_read_server_flight(pair);
    assert_true(pair->engine.session.can_send);
    assert_false(pair->engine.session.complete);
    if (state == PAIR_SERVER_WAIT_FINISHED)
        return;
    assert_int_equal(pair_client_finished(pair), TLS_OK);
    assert_true(pair->engine.session.complete);
}

void pair_reach(struct pair *pair, enum pair_state state, uint16_t suite)
{
    bool client = state <= PAIR_CLIENT_CONNECTED;
    pair_begin(pair, client ? TLS_CLIENT : TLS_SERVER, suite);
    if (client)
        reach_as_client(pair, state);
    else
        reach_as_server(pair, state);
}

/* The alert that the engine sent or wants sent, read as the toy sees it. */
static void expect_alert_on_wire(struct pair *pair, enum tls_alert alert)
{
    static struct toy_buffer content;
    uint8_t type = 0;
    bool found = false;
    if (pair->read_at == pair->engine.out.len)
        endpoint_alert(&pair->engine, (enum tls_alert)pair->engine.session.alert_out);
    while (pair_read(pair, &type, &content))
        found = type == TOY_ALERT;
    assert_true(found);
    assert_int_equal(content.len, 2);
    assert_int_equal(content.data[0], 2);
    assert_int_equal(content.data[1], alert);
}

static void expect_sticky(struct pair *pair, enum tls_result result)
{
    struct endpoint *engine = &pair->engine;
    size_t sent = engine->out.len;
    uint8_t record[] = {TOY_HANDSHAKE, 3, 3, 0, 4, TOY_FINISHED, 0, 0, 0};
    size_t size = 0;
    assert_int_equal(tls_record_size(&engine->session, record, sizeof record, &size), result);
    assert_int_equal(endpoint_send(engine, "secret", 6), result);
    assert_int_equal(endpoint_key_update(engine, false), result);
    assert_int_equal(endpoint_receive(engine, record, sizeof record), result);
    assert_int_equal(engine->session.failure, result);
    assert_int_equal(engine->out.len, sent);
}

void pair_expect_failure(struct pair *pair, enum tls_result result, enum tls_alert alert)
{
    pair_expect_one_of(pair, result, (const enum tls_alert[]){alert, TLS_ALERT_NONE});
}

void pair_expect_one_of(struct pair *pair, enum tls_result result, const enum tls_alert *alerts)
{
    const struct tls_session *session = &pair->engine.session;
    while (*alerts != TLS_ALERT_NONE && *alerts != session->alert_out)
        alerts++;
    if (*alerts == TLS_ALERT_NONE || pair->engine.result != result)
        fail_msg("result %d (expected %d), alert %s, reason: %s", (int)pair->engine.result, (int)result,
                 tls_alert_name(session->alert_out), tls_session_reason(session));
    assert_int_equal(session->failure, result);
    assert_int_equal(pair->engine.data.len, 0);
    expect_alert_on_wire(pair, *alerts);
    expect_sticky(pair, result);
    assert_true(strlen(tls_session_reason(session)) > 0);
}

void pair_expect_connected(struct pair *pair)
{
    static struct toy_buffer content;
    uint8_t type = 0;
    size_t before = pair->engine.data.len;
    if (pair->engine.result != TLS_OK || !pair->engine.session.complete)
        fail_msg("not connected: result %d, alert %s, reason: %s", (int)pair->engine.result,
                 tls_alert_name(pair->engine.session.alert_out), tls_session_reason(&pair->engine.session));
    assert_int_equal(pair_send(pair, TOY_DATA, "to the engine", 13), TLS_OK);
    assert_int_equal(pair->engine.data.len, before + 13);
    assert_memory_equal(pair->engine.data.data + before, "to the engine", 13);
    assert_int_equal(endpoint_send(&pair->engine, "from the engine", 15), TLS_OK);
    assert_true(pair_read(pair, &type, &content));
    assert_int_equal(type, TOY_DATA);
    assert_int_equal(content.len, 15);
    assert_memory_equal(content.data, "from the engine", 15);
}
