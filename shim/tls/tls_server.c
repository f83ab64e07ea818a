/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "tls/tls_server.h"

#include <string.h>

#include "crypto/aead.h"
#include "crypto/secret.h"
#include "tls/tls_hello_reader.h"
#include "tls/tls_offer.h"
#include "tls/tls_psk.h"
#include "tls/tls_record.h"
#include "tls/tls_transcript.h"

/* Bytes of early data records that are skipped at most (RFC 8446, 4.2.10): two full ones. We issue no
 * tickets, so a client that sends early data does so under an external PSK that it wrongly believes to allow
 * it. */
enum { EARLY_DATA_MAX = 2 * TLS_RECORD_MAX };

void tls_server_begin(struct tls_session *session, struct tls_handshake *handshake)
{
    tls_record_begin(session, TLS_SERVER);
    tls_call_reset(handshake);
    session->state = TLS_STATE_WAIT_CLIENT_HELLO;
}

/* Reading a ClientHello */

enum tls_reason tls_server_begin_hello(const struct tls_call *call, const uint8_t *header, size_t body_len)
{
    struct tls_handshake_data *handshake = call->handshake;
    handshake->server.psk_known = false;
    tls_transcript_add(call, header, TLS_MESSAGE_HEADER);
    enum tls_reason reason = tls_hello_reader_begin(&handshake->hello, body_len);
    tls_call_use(handshake, tls_hello_reader_used(&handshake->hello));
    return reason;
}

static void name_identity(struct tls_session *session, const struct tls_hello_reader *hello)
{
    size_t len = hello->identity_len < TLS_IDENTITY_MAX ? hello->identity_len : TLS_IDENTITY_MAX;
    memcpy(session->identity, hello->field, len);
    session->identity_len = (uint8_t)len;
}

/* Takes the first identity that is known and passes over the others (RFC 8446, 4.2.11). The session is named
 * after the first one if none is known: for the log. */
static void consider_identity(const struct tls_call *call)
{
    struct tls_hello_reader *hello = &call->handshake->hello;
    struct tls_server_state *server = &call->handshake->server;
    const struct tls_psk *beside;
    if (server->psk_known)
        return;
    server->psk_known = hello->identity_len <= TLS_IDENTITY_MAX &&
                        tls_psk_find(call->config, hello->field, hello->identity_len, &beside) != NULL;
    if (server->psk_known)
        hello->offer.psk_index = hello->offer.identity_count;
    if (server->psk_known || hello->offer.identity_count == 0)
        name_identity(call->session, hello);
}

/*
 * The hello was read up to its binders. RFC 8446, E.6: who guesses identities must not learn which ones
 * exist. So an identity that is not known gets the same answer as a wrong binder, and the same work is done
 * for it: a configured key that its name leads to stands in for the key that it lacks, and the binder is
 * computed under that. The key is looked up again, since the configuration may have changed since its
 * identity was read.
 */
static void prepare_binder(const struct tls_call *call)
{
    struct tls_server_state *server = &call->handshake->server;
    const struct tls_session *session = call->session;
    const struct tls_psk *beside;
    const struct tls_psk *psk = tls_psk_find(call->config, session->identity, session->identity_len, &beside);
    server->psk_known = server->psk_known && psk != NULL;
    if (psk == NULL)
        psk = beside;
    if (psk != NULL)
        tls_psk_prepare(call->config, psk, &server->psk);
    tls_transcript_hash(call, server->covered);
}

enum tls_reason tls_server_take_hello(const struct tls_call *call, struct tls_reader part)
{
    struct tls_hello_reader *hello = &call->handshake->hello;
    enum tls_hello_event event = TLS_HELLO_IDENTITY;
    while (event == TLS_HELLO_IDENTITY || event == TLS_HELLO_BINDERS) {
        const uint8_t *from = part.at;
        enum tls_reason reason = tls_hello_reader_next(hello, &part, &event);
        tls_call_use(call->handshake, tls_hello_reader_used(hello));
        if (reason != TLS_REASON_NONE)
            return reason;
        tls_transcript_add(call, from, (size_t)(part.at - from));
        if (event == TLS_HELLO_IDENTITY)
            consider_identity(call);
        else if (event == TLS_HELLO_BINDERS)
            prepare_binder(call);
    }
    return TLS_REASON_NONE;
}

/* Validating it */

static bool offers_suite(const struct tls_offer *offer, uint16_t suite)
{
    for (size_t i = 0; i < offer->suite_count; i++)
        if (offer->suites[i] == suite)
            return true;
    return false;
}

/* The server's preference among the suites offered. Every suite here has SHA-256, so each fits each PSK (RFC
 * 8446, 4.2.11). */
static enum tls_reason choose_suite(const struct tls_call *call, uint16_t *suite)
{
    size_t count;
    const uint16_t *suites = tls_call_suites(call->config, &count);
    for (size_t i = 0; i < count; i++) {
        if (aead_usable(suites[i]) && offers_suite(&call->handshake->hello.offer, suites[i])) {
            *suite = suites[i];
            return TLS_REASON_NONE;
        }
    }
    return TLS_REASON_NO_SUITE;
}

/* The first of our groups of which there is a share; else the first that the client supports, for which a
 * HelloRetryRequest asks (RFC 8446, 4.1.4). */
static enum tls_reason choose_group(const struct tls_call *call, uint16_t *group)
{
    const struct tls_offer *offer = &call->handshake->hello.offer;
    uint16_t groups[TLS_GROUPS_MAX];
    const size_t count = tls_kex_groups(call->config, groups);
    const unsigned wanted[] = {offer->known_shares, offer->known_groups};
    for (size_t i = 0; i < 2 * count; i++) {
        if (!(wanted[i / count] & tls_kex_bit(groups[i % count])))
            continue;
        *group = groups[i % count];
        return TLS_REASON_NONE;
    }
    return TLS_REASON_NO_GROUP;
}

/* The second ClientHello against the first and our request (RFC 8446, 4.1.2, 4.1.4, 4.2.8). */
static enum tls_reason check_second(const struct tls_call *call, uint16_t suite, uint16_t group)
{
    const struct tls_offer *offer = &call->handshake->hello.offer;
    const struct tls_server_state *server = &call->handshake->server;
    bool repeats = memcmp(offer->repeated, server->first_hello, sizeof offer->repeated) == 0;
    if (!repeats || (offer->has & TLS_OFFER_HAS_EARLY_DATA) || suite != call->handshake->retry_suite ||
        group != call->handshake->retry_group || !(offer->known_shares & tls_kex_bit(group)) ||
        offer->share_count != 1)
        return TLS_REASON_SECOND_HELLO;
    return TLS_REASON_NONE;
}

/* RFC 8446, 4.2.11.2: the binder of the chosen identity alone, in constant time. Of an identity that is not
 * known it never counts. */
static enum tls_reason verify_binder(const struct tls_call *call)
{
    const struct tls_server_state *server = &call->handshake->server;
    const struct tls_offer *offer = &call->handshake->hello.offer;
    uint8_t expected[TLS_HELLO_BINDER];
    sha256_key_hmac(&server->psk.binder, server->covered, sizeof server->covered, expected);
    bool equal =
        secret_equal(expected, offer->binder, sizeof expected) && offer->binder_len == sizeof expected;
    secret_wipe(expected, sizeof expected);
    if (!server->psk_known)
        return TLS_REASON_PSK_UNKNOWN;
    return equal ? TLS_REASON_NONE : TLS_REASON_BINDER;
}

static enum tls_reason validate_hello(const struct tls_call *call, uint16_t *suite, uint16_t *group)
{
    enum tls_reason reason = tls_offer_check(&call->handshake->hello.offer);
    if (reason == TLS_REASON_NONE)
        reason = choose_suite(call, suite);
    if (reason == TLS_REASON_NONE)
        reason = choose_group(call, group);
    if (reason == TLS_REASON_NONE && call->session->state == TLS_STATE_WAIT_CLIENT_HELLO_2)
        reason = check_second(call, *suite, *group);
    if (reason == TLS_REASON_NONE)
        reason = verify_binder(call);
    return reason;
}

/* Answering it */

static struct tls_reader session_id_of(const struct tls_call *call)
{
    const struct tls_offer *offer = &call->handshake->hello.offer;
    return tls_cursor_reader(offer->session_id, offer->session_id_len);
}

/* For middleboxes, and only to a client that asks for it by a session id: one change_cipher_spec after the
 * first message of ours (RFC 8446, D.4). */
static enum tls_reason send_compatibility(const struct tls_call *call)
{
    const uint8_t one = 1;
    if (session_id_of(call).left == 0 || call->session->state == TLS_STATE_WAIT_CLIENT_HELLO_2)
        return TLS_REASON_NONE;
    return tls_record_append(call->session, TLS_RECORD_CHANGE_CIPHER_SPEC, &one, 1, call->out);
}

/* RFC 8446, 4.1.4: the client supports the group but has sent no share of it. */
static enum tls_reason send_retry(const struct tls_call *call, uint16_t suite, uint16_t group)
{
    struct tls_handshake_data *handshake = call->handshake;
    uint8_t message[128];
    struct tls_writer writer = tls_cursor_writer(message, sizeof message);
    tls_hello_put_retry(&writer, session_id_of(call), suite, group);
    tls_transcript_restart(call);
    tls_transcript_add(call, message, writer.len);
    enum tls_reason reason =
        tls_record_append(call->session, TLS_RECORD_HANDSHAKE, message, writer.len, call->out);
    if (reason == TLS_REASON_NONE)
        reason = send_compatibility(call);
    memcpy(handshake->server.first_hello, handshake->hello.offer.repeated,
           sizeof handshake->server.first_hello);
    handshake->retry_suite = suite;
    handshake->retry_group = group;
    call->session->state = TLS_STATE_WAIT_CLIENT_HELLO_2;
    return reason;
}

/* Our share and what it leads to. */
static enum tls_reason exchange_keys(const struct tls_call *call, struct tls_hello_answer *answer,
                                     struct tls_kex_secret *shared)
{
    struct tls_kex_random random;
    enum tls_reason reason = tls_call_random(call, (uint8_t *)&random, sizeof random);
    if (reason == TLS_REASON_NONE)
        reason = tls_kex_answer(answer->group, &random,
                                tls_offer_share(&call->handshake->hello.offer, answer->group), answer->share,
                                shared);
    secret_wipe(&random, sizeof random);
    return reason;
}

/* ServerHello, then both directions' handshake traffic secrets. */
static enum tls_reason send_server_hello(const struct tls_call *call, uint8_t client[static 32],
                                         uint8_t server[static 32])
{
    struct tls_session *session = call->session;
    struct tls_hello_answer answer = {.session_id = session_id_of(call),
                                      .suite = session->suite,
                                      .group = session->group,
                                      .psk = (uint16_t)call->handshake->hello.offer.psk_index};
    uint8_t message[128 + TLS_KEX_SERVER_MAX];
    struct tls_writer writer = tls_cursor_writer(message, sizeof message);
    struct tls_kex_secret shared;
    enum tls_reason reason = tls_call_random(call, answer.random, sizeof answer.random);
    if (reason == TLS_REASON_NONE)
        reason = exchange_keys(call, &answer, &shared);
    if (reason == TLS_REASON_NONE) {
        tls_hello_put_server(&writer, &answer);
        tls_transcript_add(call, message, writer.len);
        tls_transcript_derive(call, &call->handshake->server.psk, &shared, client, server);
        reason = tls_record_append(session, TLS_RECORD_HANDSHAKE, message, writer.len, call->out);
    }
    secret_wipe(&shared, sizeof shared);
    if (reason == TLS_REASON_NONE)
        reason = send_compatibility(call);
    return reason;
}

/* EncryptedExtensions, of which there are none, and Finished, in one record. */
static enum tls_reason send_finished(const struct tls_call *call, const uint8_t server[static 32])
{
    static const uint8_t encrypted_extensions[] = {TLS_ENCRYPTED_EXTENSIONS, 0, 0, 2, 0, 0};
    uint8_t messages[sizeof encrypted_extensions + TLS_FINISHED_LEN];
    memcpy(messages, encrypted_extensions, sizeof encrypted_extensions);
    tls_transcript_add(call, messages, sizeof encrypted_extensions);
    tls_transcript_put_finished(call, server, messages + sizeof encrypted_extensions);
    return tls_record_append(call->session, TLS_RECORD_HANDSHAKE, messages, sizeof messages, call->out);
}

/* The whole flight. Behind it we send under the application keys already (RFC 8446, 4.4.4), so that a server
 * that speaks first need not wait; we read under the client's handshake keys until its Finished. */
static enum tls_reason send_flight(const struct tls_call *call)
{
    struct tls_session *session = call->session;
    struct tls_server_state *state = &call->handshake->server;
    uint8_t client[32];
    uint8_t server[32];
    enum tls_reason reason = send_server_hello(call, client, server);
    if (reason == TLS_REASON_NONE) {
        tls_record_set_rx(session, TLS_KEYS_HANDSHAKE, client);
        tls_record_set_tx(session, TLS_KEYS_HANDSHAKE, server);
        reason = send_finished(call, server);
    }
    if (reason == TLS_REASON_NONE) {
        tls_transcript_derive_application(call, state->next_rx, server);
        tls_record_set_tx(session, TLS_KEYS_APPLICATION, server);
        session->state = TLS_STATE_WAIT_CLIENT_FINISHED;
        session->can_send = true;
    }
    secret_wipe(client, sizeof client);
    secret_wipe(server, sizeof server);
    secret_wipe(&call->handshake->master_secret, sizeof call->handshake->master_secret);
    return reason;
}

/* Early data that follows is not accepted and must be skipped (RFC 8446, 4.2.10): after a HelloRetryRequest
 * by its type, otherwise as what does not authenticate. None follows a second ClientHello. */
static void expect_early_data(const struct tls_call *call)
{
    const bool first = call->session->state == TLS_STATE_WAIT_CLIENT_HELLO;
    call->session->skip_early = first && (call->handshake->hello.offer.has & TLS_OFFER_HAS_EARLY_DATA);
    call->handshake->server.early_left = EARLY_DATA_MAX;
}

static enum tls_reason answer(const struct tls_call *call, uint16_t suite, uint16_t group)
{
    const struct tls_offer *offer = &call->handshake->hello.offer;
    memcpy(call->handshake->client_random, offer->random, sizeof call->handshake->client_random);
    expect_early_data(call);
    call->session->ccs_window = true; /* RFC 8446, 5: from the first ClientHello on */
    if (!(offer->known_shares & tls_kex_bit(group)))
        return send_retry(call, suite, group);
    call->session->suite = suite;
    call->session->group = group;
    return send_flight(call);
}

enum tls_reason tls_server_client_hello(const struct tls_call *call, const uint8_t *message, size_t len)
{
    struct tls_server_state *server = &call->handshake->server;
    uint16_t suite = TLS_SUITE_NONE;
    uint16_t group = TLS_GROUP_NONE;
    (void)message;
    (void)len;
    enum tls_reason reason = validate_hello(call, &suite, &group);
    if (reason == TLS_REASON_NONE)
        reason = answer(call, suite, group);
    secret_wipe(&server->psk, sizeof server->psk);
    return reason;
}

enum tls_reason tls_server_finished(const struct tls_call *call, const uint8_t *message, size_t len)
{
    struct tls_session *session = call->session;
    enum tls_reason reason = tls_transcript_verify_finished(call, message, len);
    if (reason != TLS_REASON_NONE)
        return reason;
    tls_record_set_rx(session, TLS_KEYS_APPLICATION, call->handshake->server.next_rx);
    session->state = TLS_STATE_COMPLETE;
    session->ccs_window = false;
    session->complete = true;
    return TLS_REASON_NONE;
}
