/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "tls/tls_server.h"

#include <string.h>

#include "crypto/aead.h"
#include "crypto/secret.h"
#include "tls/tls_offer.h"
#include "tls/tls_psk.h"
#include "tls/tls_record.h"
#include "tls/tls_transcript.h"

/* Bytes of early data records that are skipped at most (RFC 8446, 4.2.10): two full ones. We issue no
 * tickets, so a client that sends early data does so under an external PSK that it wrongly believes to allow
 * it. */
enum { EARLY_DATA_MAX = 2 * TLS_RECORD_MAX };

/* What was decided about a ClientHello. */
struct choice {
    uint16_t suite;
    uint16_t psk;                     /* index of the identity in the client's list */
    struct tls_reader share;          /* the client's X25519 value, or empty: a HelloRetryRequest is needed */
    struct tls_schedule_psk prepared; /* what follows from the PSK */
};

void tls_server_begin(struct tls_session *session, struct tls_handshake *handshake)
{
    tls_record_begin(session, TLS_SERVER);
    tls_call_reset(handshake);
    session->state = TLS_STATE_WAIT_CLIENT_HELLO;
}

/* The server's preference among the suites offered. Every suite here has SHA-256, so each fits each PSK (RFC
 * 8446, 4.2.11). */
static enum tls_reason choose_suite(const struct tls_call *call, struct tls_reader offered, uint16_t *suite)
{
    for (size_t i = 0; i < call->config->suite_count; i++) {
        uint16_t candidate = call->config->suites[i];
        if (aead_usable(candidate) && tls_offer_has_u16(offered, candidate)) {
            *suite = candidate;
            return TLS_REASON_NONE;
        }
    }
    return TLS_REASON_NO_SUITE;
}

static const struct tls_psk *find_psk(const struct tls_config *config, struct tls_reader identity)
{
    for (size_t i = 0; i < config->psk_count; i++) {
        const struct tls_psk *psk = &config->psks[i];
        if (tls_psk_usable(psk) && psk->identity_len == identity.left &&
            memcmp(psk->identity, identity.at, identity.left) == 0)
            return psk;
    }
    return NULL;
}

/* RFC 8446, 4.2.11.2: in constant time, and over the hello as far as the client could hash it, which is
 * in the transcript then. */
static enum tls_reason verify_binder(const struct tls_call *call, const uint8_t *message,
                                     size_t truncated_len, const struct sha256_key *key,
                                     struct tls_reader binder)
{
    uint8_t hash[32];
    uint8_t expected[TLS_HELLO_BINDER];
    tls_transcript_add(call, message, truncated_len);
    tls_transcript_hash(call, hash);
    sha256_key_hmac(key, hash, sizeof hash, expected);
    bool equal = binder.left == sizeof expected && secret_equal(expected, binder.at, sizeof expected);
    secret_wipe(expected, sizeof expected);
    return equal ? TLS_REASON_NONE : TLS_REASON_BINDER;
}

static void name_identity(struct tls_session *session, struct tls_reader identity)
{
    size_t len = identity.left < TLS_IDENTITY_MAX ? identity.left : TLS_IDENTITY_MAX;
    memcpy(session->identity, identity.at, len);
    session->identity_len = (uint8_t)len;
}

/* Takes the first identity that is known, passes over the others, and verifies its binder alone (RFC
 * 8446, 4.2.11). The obfuscated ticket age of an external identity is ignored. */
static enum tls_reason choose_psk(const struct tls_call *call, const struct tls_client_hello *hello,
                                  const uint8_t *message, struct choice *choice)
{
    struct tls_reader identities = hello->identities;
    struct tls_reader binders = hello->binders;
    struct tls_session *session = call->session;
    for (uint16_t index = 0; identities.left > 0; index++) {
        struct tls_reader identity;
        struct tls_reader binder;
        if (!tls_offer_next_psk(&identities, &binders, &identity, &binder))
            return TLS_REASON_MALFORMED;
        const struct tls_psk *psk = find_psk(call->config, identity);
        if (psk != NULL || index == 0) /* the first one even if it is unknown: a log line names it */
            name_identity(session, identity);
        if (psk == NULL)
            continue;
        choice->psk = index;
        tls_psk_prepare(call->config, psk, &choice->prepared);
        return verify_binder(call, message, hello->truncated_len, &choice->prepared.binder, binder);
    }
    return TLS_REASON_PSK_UNKNOWN;
}

/* What the second ClientHello must repeat (RFC 8446, 4.1.2): the random, the session id and the suites. */
static void hash_repeated(const struct tls_client_hello *hello, uint8_t hash[static 32])
{
    struct sha256 state;
    sha256_init(&state);
    sha256_update(&state, hello->random.at, hello->random.left);
    sha256_update(&state, hello->session_id.at, hello->session_id.left);
    sha256_update(&state, hello->suites.at, hello->suites.left);
    sha256_final(&state, hash);
}

/* The second ClientHello against the first and our request (RFC 8446, 4.1.2, 4.1.4, 4.2.8). */
static enum tls_reason check_second(const struct tls_call *call, const struct tls_client_hello *hello,
                                    const struct choice *choice)
{
    uint8_t hash[32];
    struct tls_reader body;
    hash_repeated(hello, hash);
    bool repeats = memcmp(hash, call->handshake->first_hello, sizeof hash) == 0;
    bool early_data = tls_extensions_find(&hello->extensions, TLS_EXTENSION_EARLY_DATA, &body);
    if (!repeats || early_data || choice->suite != call->handshake->retry_suite || choice->share.left == 0 ||
        !tls_offer_has_one_share(hello))
        return TLS_REASON_SECOND_HELLO;
    return TLS_REASON_NONE;
}

static enum tls_reason validate_hello(const struct tls_call *call, const struct tls_client_hello *hello,
                                      const uint8_t *message, struct choice *choice)
{
    enum tls_reason reason = tls_offer_check(hello);
    if (reason == TLS_REASON_NONE)
        reason = tls_offer_find_share(hello, &choice->share);
    if (reason == TLS_REASON_NONE)
        reason = choose_suite(call, hello->suites, &choice->suite);
    if (reason == TLS_REASON_NONE && call->session->state == TLS_STATE_WAIT_CLIENT_HELLO_2)
        reason = check_second(call, hello, choice);
    if (reason == TLS_REASON_NONE)
        reason = choose_psk(call, hello, message, choice);
    return reason;
}

/* For middleboxes, and only to a client that asks for it by a session id: one change_cipher_spec after the
 * first message of ours (RFC 8446, D.4). */
static enum tls_reason send_compatibility(const struct tls_call *call, const struct tls_client_hello *hello)
{
    const uint8_t one = 1;
    if (hello->session_id.left == 0 || call->session->state == TLS_STATE_WAIT_CLIENT_HELLO_2)
        return TLS_REASON_NONE;
    return tls_record_append(call->session, TLS_RECORD_CHANGE_CIPHER_SPEC, &one, 1, call->out);
}

/* RFC 8446, 4.1.4: the client supports X25519 but has sent no share of it. */
static enum tls_reason send_retry(const struct tls_call *call, const struct tls_client_hello *hello,
                                  uint16_t suite)
{
    uint8_t message[128];
    struct tls_writer writer = tls_cursor_writer(message, sizeof message);
    tls_hello_put_retry(&writer, hello->session_id, suite);
    tls_transcript_restart(call);
    tls_transcript_add(call, message, writer.len);
    enum tls_reason reason =
        tls_record_append(call->session, TLS_RECORD_HANDSHAKE, message, writer.len, call->out);
    if (reason == TLS_REASON_NONE)
        reason = send_compatibility(call, hello);
    hash_repeated(hello, call->handshake->first_hello);
    call->handshake->retry_suite = suite;
    call->session->state = TLS_STATE_WAIT_CLIENT_HELLO_2;
    return reason;
}

/* ServerHello, then both directions' handshake traffic secrets. */
static enum tls_reason send_server_hello(const struct tls_call *call, const struct tls_client_hello *hello,
                                         const struct choice *choice, uint8_t client[static 32],
                                         uint8_t server[static 32])
{
    uint8_t message[128];
    uint8_t random[TLS_HELLO_RANDOM];
    uint8_t ephemeral[X25519_LEN];
    uint8_t share[X25519_LEN];
    struct tls_writer writer = tls_cursor_writer(message, sizeof message);
    tls_call_random(call, random, sizeof random);
    tls_call_random(call, ephemeral, sizeof ephemeral);
    x25519_public(share, ephemeral);
    tls_hello_put_server(&writer, random, hello->session_id, choice->suite, share, choice->psk);
    tls_transcript_add(call, message, writer.len);
    enum tls_reason reason =
        tls_transcript_derive(call, &choice->prepared, ephemeral, choice->share.at, client, server);
    secret_wipe(ephemeral, sizeof ephemeral);
    if (reason == TLS_REASON_NONE)
        reason = tls_record_append(call->session, TLS_RECORD_HANDSHAKE, message, writer.len, call->out);
    if (reason == TLS_REASON_NONE)
        reason = send_compatibility(call, hello);
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
static enum tls_reason send_flight(const struct tls_call *call, const struct tls_client_hello *hello,
                                   const struct choice *choice)
{
    struct tls_session *session = call->session;
    uint8_t client[32];
    uint8_t server[32];
    session->suite = choice->suite;
    enum tls_reason reason = send_server_hello(call, hello, choice, client, server);
    if (reason == TLS_REASON_NONE) {
        tls_record_set_rx(session, TLS_KEYS_HANDSHAKE, client);
        tls_record_set_tx(session, TLS_KEYS_HANDSHAKE, server);
        reason = send_finished(call, server);
    }
    if (reason == TLS_REASON_NONE) {
        tls_transcript_derive_application(call, call->handshake->next_rx, server);
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
static void expect_early_data(const struct tls_call *call, const struct tls_client_hello *hello)
{
    struct tls_reader body;
    bool first = call->session->state == TLS_STATE_WAIT_CLIENT_HELLO;
    call->session->skip_early =
        first && tls_extensions_find(&hello->extensions, TLS_EXTENSION_EARLY_DATA, &body);
    call->handshake->early_left = EARLY_DATA_MAX;
}

enum tls_reason tls_server_client_hello(const struct tls_call *call, const uint8_t *message, size_t len)
{
    struct tls_client_hello hello;
    struct choice choice = {.suite = TLS_SUITE_NONE};
    enum tls_reason reason = tls_hello_parse_client(message, len, &hello);
    if (reason == TLS_REASON_NONE)
        reason = validate_hello(call, &hello, message, &choice);
    if (reason != TLS_REASON_NONE) {
        secret_wipe(&choice, sizeof choice);
        return reason;
    }
    memcpy(call->handshake->client_random, hello.random.at, sizeof call->handshake->client_random);
    tls_transcript_add(call, message + hello.truncated_len, len - hello.truncated_len);
    expect_early_data(call, &hello);
    call->session->ccs_window = true; /* RFC 8446, 5: from the first ClientHello on */
    if (choice.share.left == 0)
        reason = send_retry(call, &hello, choice.suite);
    else
        reason = send_flight(call, &hello, &choice);
    secret_wipe(&choice, sizeof choice);
    return reason;
}

enum tls_reason tls_server_finished(const struct tls_call *call, const uint8_t *message, size_t len)
{
    struct tls_session *session = call->session;
    enum tls_reason reason = tls_transcript_verify_finished(call, message, len);
    if (reason != TLS_REASON_NONE)
        return reason;
    tls_record_set_rx(session, TLS_KEYS_APPLICATION, call->handshake->next_rx);
    session->state = TLS_STATE_COMPLETE;
    session->ccs_window = false;
    session->complete = true;
    return TLS_REASON_NONE;
}
