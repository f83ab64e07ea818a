/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* NewSessionTickets, which a client without resumption passes over in whatever portions they come (RFC
 * 8446, 4.6.1). */

#include "pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct pair pair;
static struct toy_buffer message;

static void put_ticket(size_t ticket_len)
{
    toy_put_number(&message, TOY_NEW_SESSION_TICKET, 1);
    size_t whole = toy_vector_begin(&message, 3);
    toy_put_number(&message, 7200, 4);
    toy_put_number(&message, 0x01020304, 4);
    toy_put(&message, "\2\0\0", 3);
    size_t ticket = toy_vector_begin(&message, 2);
    for (size_t i = 0; i < ticket_len; i++)
        toy_put_number(&message, TOY_KEY_UPDATE, 1);
    toy_vector_end(&message, ticket, 2);
    toy_put(&message, "\0\0", 2);
    toy_vector_end(&message, whole, 3);
}

static void begin(void)
{
    pair_reach(&pair, PAIR_CLIENT_CONNECTED, TOY_CHACHA20);
    message.len = 0;
}

static void tickets_are_ignored(void **state)
{
    (void)state;
    static const size_t lengths[] = {1, 32, 208, 4096, 16000};
    begin();
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        message.len = 0;
        put_ticket(lengths[i]);
        assert_int_equal(pair_send_message(&pair, &message), TLS_OK);
        assert_int_equal(pair.engine.events[TLS_EVENT_NONE], i + 1);
        assert_int_equal(pair.engine.data.len, 0);
    }
    pair_expect_connected(&pair);
    assert_int_equal(pair.engine.events[TLS_EVENT_KEY_UPDATE], 0);
}

static void tickets_in_one_record_are_ignored(void **state)
{
    (void)state;
    begin();
    for (int i = 0; i < 4; i++)
        put_ticket(200);
    assert_int_equal(pair_send_message(&pair, &message), TLS_OK);
    pair_expect_connected(&pair);
}

static void a_ticket_split_anywhere_is_ignored(void **state)
{
    (void)state;
    begin();
    put_ticket(20);
    for (size_t cut = 1; cut < message.len; cut++) {
        assert_int_equal(pair_send(&pair, TOY_HANDSHAKE, message.data, cut), TLS_OK);
        assert_int_equal(pair_send(&pair, TOY_HANDSHAKE, message.data + cut, message.len - cut), TLS_OK);
    }
    assert_int_equal(pair.engine.data.len, 0);
    pair_expect_connected(&pair);
}

static void tickets_in_records_of_one_byte_are_ignored(void **state)
{
    (void)state;
    begin();
    put_ticket(100);
    put_ticket(3);
    for (size_t i = 0; i < message.len; i++)
        assert_int_equal(pair_send(&pair, TOY_HANDSHAKE, message.data + i, 1), TLS_OK);
    pair_expect_connected(&pair);
}

static void a_key_update_behind_tickets_in_their_record_is_followed(void **state)
{
    (void)state;
    begin();
    put_ticket(48);
    put_ticket(48);
    toy_message(&message, TOY_KEY_UPDATE, "\1", 1);
    assert_int_equal(pair_send_message(&pair, &message), TLS_OK);
    toy_keys_update(&pair.toy.tx);
    assert_int_equal(pair.engine.events[TLS_EVENT_KEY_UPDATE_ASKED], 1);
    pair_expect_connected(&pair);
}

static void tickets_and_a_key_update_split_anywhere_are_followed(void **state)
{
    (void)state;
    size_t len = 2;
    for (size_t cut = 1; cut < len; cut++) {
        begin();
        put_ticket(20);
        toy_message(&message, TOY_KEY_UPDATE, "\0", 1);
        len = message.len;
        assert_int_equal(pair_send(&pair, TOY_HANDSHAKE, message.data, cut), TLS_OK);
        assert_int_equal(pair_send(&pair, TOY_HANDSHAKE, message.data + cut, len - cut), TLS_OK);
        toy_keys_update(&pair.toy.tx);
        assert_int_equal(pair.engine.events[TLS_EVENT_KEY_UPDATE], 1);
        pair_expect_connected(&pair);
    }
}

static void data_between_the_pieces_of_a_ticket_is_refused(void **state)
{
    (void)state;
    begin();
    put_ticket(20);
    for (size_t cut = 1, len = message.len; cut < len; cut++) {
        begin();
        put_ticket(20);
        assert_int_equal(pair_send(&pair, TOY_HANDSHAKE, message.data, cut), TLS_OK);
        pair_send(&pair, TOY_DATA, "between", 7);
        pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_UNEXPECTED_MESSAGE);
    }
}

/* A ticket announced as 16 MiB: longer than its vectors can be, so it does not decode. */
static void a_ticket_beyond_all_measure_is_refused(void **state)
{
    (void)state;
    begin();
    pair_send(&pair, TOY_HANDSHAKE, "\4\377\377\377", 4);
    pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_DECODE_ERROR);
}

/* RFC 8446, 4.6.1: extensions of a ticket are ignored. */
static void extensions_of_a_ticket_are_ignored(void **state)
{
    (void)state;
    static const uint8_t body[] = {0, 0, 14, 16, 1,  2, 3,    4,    0, 0, 1, 'a',  0,    17, 0, 42,
                                   0, 4, 0,  0,  64, 0, 0xfa, 0xfa, 0, 1, 7, 0xab, 0xcd, 0,  0};
    begin();
    toy_message(&message, TOY_NEW_SESSION_TICKET, body, sizeof body);
    assert_int_equal(pair_send_message(&pair, &message), TLS_OK);
    pair_expect_connected(&pair);
}

/* Nothing of a ticket is kept, and its form is checked nevertheless. Each is a good ticket with one length
 * changed, or with bytes too many or too few. */
static void a_ticket_that_does_not_decode_is_refused(void **state)
{
    (void)state;
    static const struct {
        uint8_t len, body[24];
    } malformed[] = {
        {0, {0}},
        {8, {0}},
        {9, {0}},                                                     /* ends behind an empty nonce */
        {13, {0}},                                                    /* an empty ticket */
        {13, {0, 0, 0, 0, 0, 0, 0, 0, 1, 7, 0, 1, 'a'}},              /* no extensions */
        {14, {0, 0, 0, 0, 0, 0, 0, 0, 255, 7, 0, 1, 'a', 0}},         /* a nonce past the end */
        {14, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 200, 'a', 0, 0}},         /* a ticket past the end */
        {14, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 'a', 0, 1}},           /* extensions past the end */
        {15, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 'a', 0, 0, 0}},        /* a byte behind them */
        {17, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 'a', 0, 3, 0, 42, 0}}, /* an extension's header past the end */
        {18, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 'a', 0, 4, 9, 9, 0, 1}},         /* and its body */
        {20, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 'a', 0, 6, 0, 42, 0, 2, 64, 0}}, /* early_data of two bytes */
    };
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
        begin();
        toy_message(&message, TOY_NEW_SESSION_TICKET, malformed[i].body, malformed[i].len);
        pair_send_message(&pair, &message);
        pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_DECODE_ERROR);
    }
}

static void a_server_is_sent_no_tickets(void **state)
{
    (void)state;
    pair_reach(&pair, PAIR_SERVER_CONNECTED, TOY_CHACHA20);
    message.len = 0;
    put_ticket(20);
    pair_send_message(&pair, &message);
    pair_expect_failure(&pair, TLS_FAIL_PROTOCOL, TLS_ALERT_UNEXPECTED_MESSAGE);
}

/* Tickets deadlock peers that only write: none leaves a server, not with its flight nor after. */
static void a_server_sends_no_tickets(void **state)
{
    (void)state;
    struct toy_buffer content;
    uint8_t type;
    pair_reach(&pair, PAIR_SERVER_WAIT_FINISHED, TOY_CHACHA20);
    assert_false(pair_read(&pair, &type, &content));
    assert_int_equal(pair_client_finished(&pair), TLS_OK);
    assert_false(pair_read(&pair, &type, &content));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tickets_are_ignored),
        cmocka_unit_test(tickets_in_one_record_are_ignored),
        cmocka_unit_test(a_ticket_split_anywhere_is_ignored),
        cmocka_unit_test(tickets_in_records_of_one_byte_are_ignored),
        cmocka_unit_test(a_key_update_behind_tickets_in_their_record_is_followed),
        cmocka_unit_test(tickets_and_a_key_update_split_anywhere_are_followed),
        cmocka_unit_test(data_between_the_pieces_of_a_ticket_is_refused),
        cmocka_unit_test(a_ticket_beyond_all_measure_is_refused),
        cmocka_unit_test(extensions_of_a_ticket_are_ignored),
        cmocka_unit_test(a_ticket_that_does_not_decode_is_refused),
        cmocka_unit_test(a_server_is_sent_no_tickets),
        cmocka_unit_test(a_server_sends_no_tickets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
