/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "tls/tls_client.h"

#include <string.h>

#include "crypto/aead.h"
#include "crypto/secret.h"
#include "tls/tls_psk.h"
#include "tls/tls_record.h"
#include "tls/tls_transcript.h"

/* ClientHello */

static void choose_suites(const struct tls_config *config, struct tls_hello_offer *offer)
{
    for (size_t i = 0; i < config->suite_count && offer->suite_count < TLS_HELLO_SUITES_MAX; i++) {
        bool again = false;
        for (size_t j = 0; j < offer->suite_count; j++)
            again = again || offer->suites[j] == config->suites[i];
        if (!again && aead_usable(config->suites[i]))
            offer->suites[offer->suite_count++] = config->suites[i];
    }
}

/* The keys themselves are used up here: what the handshake needs of them is prepared, and the
 * configuration may be another one at the next call. */
static void choose_psks(const struct tls_config *config, struct tls_hello_offer *offer)
{
    for (size_t i = 0; i < config->psk_count && offer->psk_count < TLS_OFFERED_PSKS_MAX; i++) {
        const struct tls_psk *psk = &config->psks[i];
        struct tls_hello_psk *offered = &offer->psks[offer->psk_count];
        if (!tls_psk_usable(psk))
            continue;
        memcpy(offered->identity, psk->identity, psk->identity_len);
        offered->identity_len = (uint8_t)psk->identity_len;
        tls_psk_prepare(config, psk, &offered->prepared);
        offer->psk_count++;
    }
}

/* Fills in the binders (RFC 8446, 4.2.11.2): over the transcript and the hello up to them, each under its own
 * PSK. The whole hello is in the transcript then. */
static void put_binders(const struct tls_call *call, uint8_t *message, size_t truncated_len, size_t len)
{
    const struct tls_hello_offer *offer = &call->handshake->offer;
    uint8_t hash[32];
    uint8_t *binder = message + truncated_len + 2;
    tls_transcript_add(call, message, truncated_len);
    tls_transcript_hash(call, hash);
    for (size_t i = 0; i < offer->psk_count; i++) {
        sha256_key_hmac(&offer->psks[i].prepared.binder, hash, sizeof hash, binder + 1);
        binder += 1 + TLS_HELLO_BINDER;
    }
    tls_transcript_add(call, message + truncated_len, len - truncated_len);
}

/* Writes the ClientHello in a record of its own, straight to the output, where its binders are computed. */
static enum tls_reason send_client_hello(const struct tls_call *call, struct tls_reader cookie)
{
    uint8_t *record = call->out->data + call->out->len;
    uint8_t *message = record + TLS_RECORD_HEADER;
    struct tls_writer writer = tls_cursor_writer(message, TLS_FLIGHT_MAX - TLS_RECORD_HEADER);
    size_t truncated_len = tls_hello_put_client(&writer, &call->handshake->offer, cookie);
    if (writer.full)
        return cookie.left > 0 ? TLS_REASON_COOKIE_LONG : TLS_REASON_MISUSE;
    put_binders(call, message, truncated_len, writer.len);
    record[0] = TLS_RECORD_HANDSHAKE;
    record[1] = 3;
    /* RFC 8446, 5.1: an initial ClientHello may say 0x0301, for old middleboxes. */
    record[2] = cookie.left > 0 ? 3 : 1;
    record[3] = (uint8_t)(writer.len >> 8);
    record[4] = (uint8_t)writer.len;
    call->out->len += TLS_RECORD_HEADER + writer.len;
    return TLS_REASON_NONE;
}

static enum tls_reason begin(const struct tls_call *call)
{
    struct tls_handshake_data *handshake = call->handshake;
    struct tls_hello_offer *offer = &handshake->offer;
    choose_suites(call->config, offer);
    choose_psks(call->config, offer);
    if (offer->suite_count == 0)
        return TLS_REASON_NO_USABLE_SUITE;
    if (offer->psk_count == 0)
        return TLS_REASON_NO_KEY;
    if (call->out->cap - call->out->len < TLS_FLIGHT_MAX)
        return TLS_REASON_MISUSE;
    tls_call_random(call, offer->random, sizeof offer->random);
    memcpy(handshake->client_random, offer->random, sizeof handshake->client_random);
    tls_call_random(call, handshake->ephemeral, sizeof handshake->ephemeral);
    x25519_public(offer->share, handshake->ephemeral);
    return send_client_hello(call, tls_cursor_reader(NULL, 0));
}

enum tls_result tls_client_begin(struct tls_session *session, struct tls_handshake *handshake,
                                 const struct tls_config *config, struct tls_buffer *out)
{
    const struct tls_call call = {session, tls_call_data(handshake), config, out};
    tls_record_begin(session, TLS_CLIENT);
    tls_call_reset(handshake);
    session->state = TLS_STATE_WAIT_SERVER_HELLO;
    session->ccs_window = true; /* RFC 8446, 5: from the first ClientHello on */
    enum tls_result result = tls_failure_set(session, begin(&call));
    if (result != TLS_OK) {
        tls_session_fail(session, result);
        tls_call_wipe(handshake);
    }
    return result;
}

/* ServerHello and HelloRetryRequest */

static bool offered_suite(const struct tls_hello_offer *offer, uint16_t suite)
{
    for (size_t i = 0; i < offer->suite_count; i++)
        if (offer->suites[i] == suite)
            return true;
    return false;
}

/* What both have in common (RFC 8446, 4.1.3, 4.1.4). */
static enum tls_reason check_server_hello(const struct tls_call *call, const struct tls_server_hello *hello,
                                          bool retry)
{
    const struct tls_handshake_data *handshake = call->handshake;
    struct tls_reader body;
    uint16_t version;
    /* First of all the version: an older server knows none of the other rules (RFC 8446, 4.2.1). */
    if (!tls_extensions_find(&hello->extensions, TLS_EXTENSION_SUPPORTED_VERSIONS, &body))
        return TLS_REASON_OLD_SERVER;
    if (!tls_cursor_get_u16(&body, &version) || body.left != 0)
        return TLS_REASON_MALFORMED;
    if (version != TLS_VERSION_13)
        return TLS_REASON_VERSION_CHOSEN;
    if (hello->legacy_version <= TLS_VERSION_SSL3)
        return TLS_REASON_SSL3; /* RFC 8446, D.5 */
    if (hello->legacy_version != TLS_VERSION_12)
        return TLS_REASON_LEGACY_VERSION;
    if (hello->session_id.left != 0) /* we sent an empty one */
        return TLS_REASON_SESSION_ID;
    if (hello->compression != 0)
        return TLS_REASON_COMPRESSION;
    if (!offered_suite(&handshake->offer, hello->suite))
        return TLS_REASON_SUITE_CHOSEN;
    if (handshake->retry_suite != TLS_SUITE_NONE && handshake->retry_suite != hello->suite)
        return TLS_REASON_SUITE_CHOSEN; /* RFC 8446, 4.1.4 */
    return tls_extensions_check(&hello->extensions, retry ? TLS_IN_HELLO_RETRY_REQUEST : TLS_IN_SERVER_HELLO);
}

/* RFC 8446, 4.1.4. */
static enum tls_reason take_retry(const struct tls_call *call, const struct tls_server_hello *hello,
                                  const uint8_t *message, size_t len)
{
    struct tls_reader body;
    struct tls_reader cookie;
    if (tls_extensions_find(&hello->extensions, TLS_EXTENSION_KEY_SHARE, &body)) {
        uint16_t group;
        if (!tls_cursor_get_u16(&body, &group) || body.left != 0)
            return TLS_REASON_MALFORMED;
        /* RFC 8446, 4.2.8: a group that was not offered, or one whose share the ClientHello had. There is no
         * third. */
        return TLS_REASON_KEY_SHARE;
    }
    if (!tls_extensions_find(&hello->extensions, TLS_EXTENSION_COOKIE, &body))
        return TLS_REASON_RETRY_USELESS;
    if (!tls_cursor_get_vector16(&body, 1, &cookie) || body.left != 0)
        return TLS_REASON_MALFORMED;
    call->handshake->retry_suite = hello->suite;
    call->session->state = TLS_STATE_WAIT_SERVER_HELLO_2;
    tls_transcript_restart(call);
    tls_transcript_add(call, message, len);
    return send_client_hello(call, cookie);
}

/* The server's choice among our identities (RFC 8446, 4.2.11). */
static enum tls_reason take_psk(const struct tls_call *call, const struct tls_server_hello *hello,
                                const struct tls_hello_psk **psk)
{
    const struct tls_hello_offer *offer = &call->handshake->offer;
    struct tls_session *session = call->session;
    struct tls_reader body;
    uint16_t selected;
    /* The server goes on with a certificate, which we never asked for and could not check: it does not have
     * our key. */
    if (!tls_extensions_find(&hello->extensions, TLS_EXTENSION_PRE_SHARED_KEY, &body))
        return TLS_REASON_PSK_IGNORED;
    if (!tls_cursor_get_u16(&body, &selected) || body.left != 0)
        return TLS_REASON_MALFORMED;
    if (selected >= offer->psk_count)
        return TLS_REASON_PSK_CHOSEN;
    *psk = &offer->psks[selected];
    memcpy(session->identity, (*psk)->identity, (*psk)->identity_len);
    session->identity_len = (*psk)->identity_len;
    return TLS_REASON_NONE;
}

/* The server's key share: psk_dhe_ke demands one (RFC 8446, 4.2.8, 4.2.9, 4.2.11). */
static enum tls_reason take_share(const struct tls_server_hello *hello, struct tls_reader *share)
{
    struct tls_reader body;
    uint16_t group;
    if (!tls_extensions_find(&hello->extensions, TLS_EXTENSION_KEY_SHARE, &body))
        return TLS_REASON_KEY_SHARE;
    if (!tls_cursor_get_u16(&body, &group) || !tls_cursor_get_vector16(&body, 1, share) || body.left != 0)
        return TLS_REASON_MALFORMED;
    return group == TLS_GROUP_X25519 && share->left == X25519_LEN ? TLS_REASON_NONE : TLS_REASON_KEY_SHARE;
}

/* Adds the ServerHello to the transcript and changes to the handshake traffic keys, both ways: our alerts
 * are protected with them too. */
static enum tls_reason change_keys(const struct tls_call *call, const struct tls_hello_psk *psk,
                                   struct tls_reader share)
{
    uint8_t client[32];
    uint8_t server[32];
    enum tls_reason reason =
        tls_transcript_derive(call, &psk->prepared, call->handshake->ephemeral, share.at, client, server);
    if (reason != TLS_REASON_NONE)
        return reason;
    tls_record_set_rx(call->session, TLS_KEYS_HANDSHAKE, server);
    tls_record_set_tx(call->session, TLS_KEYS_HANDSHAKE, client);
    secret_wipe(client, sizeof client);
    secret_wipe(server, sizeof server);
    secret_wipe(call->handshake->ephemeral, sizeof call->handshake->ephemeral);
    call->session->state = TLS_STATE_WAIT_ENCRYPTED_EXTENSIONS;
    return TLS_REASON_NONE;
}

enum tls_reason tls_client_server_hello(const struct tls_call *call, const uint8_t *message, size_t len)
{
    struct tls_server_hello hello;
    struct tls_reader share;
    const struct tls_hello_psk *psk = NULL;
    enum tls_reason reason = tls_hello_parse_server(message, len, &hello);
    if (reason != TLS_REASON_NONE)
        return reason;
    bool retry = memcmp(hello.random.at, tls_hello_retry_random, TLS_HELLO_RANDOM) == 0;
    if (retry && call->session->state == TLS_STATE_WAIT_SERVER_HELLO_2)
        return TLS_REASON_RETRY_TWICE; /* RFC 8446, 4.1.4 */
    reason = check_server_hello(call, &hello, retry);
    if (reason == TLS_REASON_NONE && retry)
        return take_retry(call, &hello, message, len);
    if (reason == TLS_REASON_NONE)
        reason = take_psk(call, &hello, &psk);
    if (reason == TLS_REASON_NONE)
        reason = take_share(&hello, &share);
    if (reason != TLS_REASON_NONE)
        return reason;
    call->session->suite = hello.suite;
    tls_transcript_add(call, message, len);
    return change_keys(call, psk, share);
}

/* EncryptedExtensions and Finished */

enum tls_reason tls_client_encrypted_extensions(const struct tls_call *call, const uint8_t *message,
                                                size_t len)
{
    struct tls_reader reader = tls_cursor_reader(message + TLS_MESSAGE_HEADER, len - TLS_MESSAGE_HEADER);
    struct tls_reader block;
    struct tls_extensions extensions;
    if (!tls_cursor_get_vector16(&reader, 0, &block) || reader.left != 0)
        return TLS_REASON_MALFORMED;
    enum tls_reason reason = tls_extensions_parse(block, &extensions);
    if (reason == TLS_REASON_NONE)
        reason = tls_extensions_check(&extensions, TLS_IN_ENCRYPTED_EXTENSIONS);
    if (reason != TLS_REASON_NONE)
        return reason;
    /* The one extension that may come, supported_groups, is advice for other connections (RFC 8446, 4.2.7).
     */
    tls_transcript_add(call, message, len);
    call->session->state = TLS_STATE_WAIT_SERVER_FINISHED;
    return TLS_REASON_NONE;
}

enum tls_reason tls_client_finished(const struct tls_call *call, const uint8_t *message, size_t len)
{
    struct tls_session *session = call->session;
    uint8_t client[32];
    uint8_t server[32];
    uint8_t finished[TLS_FINISHED_LEN];
    enum tls_reason reason = tls_transcript_verify_finished(call, message, len);
    if (reason != TLS_REASON_NONE)
        return reason;
    tls_transcript_derive_application(call, client, server);
    tls_transcript_put_finished(call, session->tx.secret, finished);
    reason = tls_record_append(session, TLS_RECORD_HANDSHAKE, finished, sizeof finished, call->out);
    if (reason == TLS_REASON_NONE) {
        tls_record_set_rx(session, TLS_KEYS_APPLICATION, server);
        tls_record_set_tx(session, TLS_KEYS_APPLICATION, client);
        session->state = TLS_STATE_COMPLETE;
        session->ccs_window = false;
        session->can_send = true;
        session->complete = true;
    }
    secret_wipe(client, sizeof client);
    secret_wipe(server, sizeof server);
    return reason;
}
