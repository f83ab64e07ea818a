/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/*
 * The engine's state table against one derived here from RFC 8446, appendix A, for a handshake with a PSK and
 * without early data: in each state, each of the 256 handshake types is sent, well-formed and under the keys
 * of the moment. Exactly the legal ones are accepted; each other one gives unexpected_message (RFC 8446, 4).
 */

#include "pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { NONE = 256 };

static const struct {
    enum pair_state state;
    int legal[2];
} table[] = {
    {PAIR_CLIENT_WAIT_SH, {TOY_SERVER_HELLO, NONE}},
    {PAIR_CLIENT_WAIT_SH_RETRIED, {TOY_SERVER_HELLO, NONE}},
    {PAIR_CLIENT_WAIT_EE, {TOY_ENCRYPTED_EXTENSIONS, NONE}},
    {PAIR_CLIENT_WAIT_FINISHED, {TOY_FINISHED, NONE}}, /* no Certificate, no CertificateRequest (4.3.2) */
    {PAIR_CLIENT_CONNECTED, {TOY_NEW_SESSION_TICKET, TOY_KEY_UPDATE}},
    {PAIR_SERVER_WAIT_CH, {TOY_CLIENT_HELLO, NONE}},
    {PAIR_SERVER_WAIT_CH_RETRIED, {TOY_CLIENT_HELLO, NONE}},
    {PAIR_SERVER_WAIT_FINISHED, {TOY_FINISHED, NONE}}, /* no EndOfEarlyData, no Certificate */
    {PAIR_SERVER_CONNECTED, {TOY_KEY_UPDATE, NONE}},   /* no ClientHello: no renegotiation (4.1.2) */
};

static void put_ticket(struct toy_buffer *message)
{
    static const uint8_t body[] = {0, 0, 14, 16, 1, 2, 3, 4, 1, 0, 0, 4, 'a', 'b', 'c', 'd', 0, 0};
    toy_message(message, TOY_NEW_SESSION_TICKET, body, sizeof body);
}

static void put_hello(const struct pair *pair, enum pair_state state, bool client, struct toy_buffer *message)
{
    static struct toy_hello hello;
    if (!client)
        toy_server_hello(&pair->toy, &hello);
    else if (state == PAIR_SERVER_WAIT_CH_RETRIED)
        pair_second_hello(pair, &hello);
    else
        toy_client_hello(&pair->toy, &hello);
    toy_hello_encode(&hello, message);
    if (client)
        toy_bind(&pair->toy, message, 1);
}

/* A message of that type as a peer would send it in this state if it were legal; of types that TLS 1.3 does
 * not have, one with a short body. */
static void well_formed(const struct pair *pair, enum pair_state state, uint8_t type,
                        struct toy_buffer *message)
{
    static const uint8_t zeros[8];
    message->len = 0;
    switch (type) {
    case TOY_CLIENT_HELLO:
    case TOY_SERVER_HELLO:
        put_hello(pair, state, type == TOY_CLIENT_HELLO, message);
        break;
    case TOY_NEW_SESSION_TICKET:
        put_ticket(message);
        break;
    case TOY_END_OF_EARLY_DATA:
        toy_message(message, type, NULL, 0);
        break;
    case TOY_ENCRYPTED_EXTENSIONS:
        toy_message(message, type, zeros, 2);
        break;
    case TOY_FINISHED:
        toy_finished(&pair->toy, pair->toy.server, message);
        break;
    case TOY_KEY_UPDATE:
        toy_message(message, type, zeros, 1);
        break;
    default:
        toy_message(message, type, zeros, sizeof zeros);
    }
}

static void check(enum pair_state state, const int legal[2], uint8_t type, uint16_t suite)
{
    static struct pair pair;
    static struct toy_buffer message;
    pair_reach(&pair, state, suite);
    well_formed(&pair, state, type, &message);
    enum tls_result result = pair_send_message(&pair, &message);
    if (type != legal[0] && type != legal[1]) {
        pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_UNEXPECTED_MESSAGE);
        return;
    }
    if (result != TLS_OK)
        fail_msg("state %d refuses type %d: %s", (int)state, type, tls_session_reason(&pair.engine.session));
    assert_int_equal(pair.engine.data.len, 0);
}

static void check_role(bool client)
{
    size_t count;
    const uint16_t *suites = pair_suites(&count);
    for (size_t row = 0; row < sizeof table / sizeof *table; row++) {
        if ((table[row].state <= PAIR_CLIENT_CONNECTED) != client)
            continue;
        for (int type = 0; type < 256; type++)
            check(table[row].state, table[row].legal, (uint8_t)type, suites[type % (int)count]);
    }
}

static void a_client_accepts_only_the_legal_message_of_each_state(void **state)
{
    (void)state;
    check_role(true);
}

static void a_server_accepts_only_the_legal_message_of_each_state(void **state)
{
    (void)state;
    check_role(false);
}

/* The header alone settles it: the engine does not wait for the body of what it must refuse. */
static void an_illegal_type_is_refused_at_once(void **state)
{
    (void)state;
    static struct pair pair;
    static const uint8_t certificate[] = {TOY_CERTIFICATE, 0, 16, 0};
    for (size_t row = 0; row < sizeof table / sizeof *table; row++) {
        pair_reach(&pair, table[row].state, TOY_CHACHA20);
        pair_send(&pair, TOY_HANDSHAKE, certificate, sizeof certificate);
        pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_UNEXPECTED_MESSAGE);
    }
}

static void application_data_before_the_handshake_is_done_is_refused(void **state)
{
    (void)state;
    static struct pair pair;
    for (size_t row = 0; row < sizeof table / sizeof *table; row++) {
        if (table[row].state == PAIR_CLIENT_CONNECTED || table[row].state == PAIR_SERVER_CONNECTED)
            continue;
        pair_reach(&pair, table[row].state, TOY_CHACHA20);
        pair_send(&pair, TOY_DATA, "early", 5);
        pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_UNEXPECTED_MESSAGE);
    }
}

/* The session may be in memory that other processes write to: what a client keeps is none of a server's. */
static void a_state_of_the_other_role_is_refused(void **state)
{
    (void)state;
    static struct pair pair;
    static struct toy_buffer message;
    for (size_t row = 0; row < sizeof table / sizeof *table; row++) {
        if (table[row].state == PAIR_CLIENT_CONNECTED || table[row].state == PAIR_SERVER_CONNECTED)
            continue;
        pair_reach(&pair, table[row].state, TOY_CHACHA20);
        well_formed(&pair, table[row].state, (uint8_t)table[row].legal[0], &message);
        pair.engine.session.role = pair.engine.session.role == TLS_CLIENT ? TLS_SERVER : TLS_CLIENT;
        assert_int_equal(pair_send_message(&pair, &message), TLS_FAIL_INTERNAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_accepts_only_the_legal_message_of_each_state),
        cmocka_unit_test(a_server_accepts_only_the_legal_message_of_each_state),
        cmocka_unit_test(an_illegal_type_is_refused_at_once),
        cmocka_unit_test(application_data_before_the_handshake_is_done_is_refused),
        cmocka_unit_test(a_state_of_the_other_role_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
