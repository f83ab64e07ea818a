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
    size_t count;
    const uint16_t *suites = tls_call_suites(config, &count);
    for (size_t i = 0; i < count && offer->suite_count < TLS_HELLO_SUITES_MAX; i++) {
        bool again = false;
        for (size_t j = 0; j < offer->suite_count; j++)
            again = again || offer->suites[j] == suites[i];
        if (!again && aead_usable(suites[i]))
            offer->suites[offer->suite_count++] = suites[i];
    }
}

/* The keys themselves are used up here: what the handshake needs of them is prepared, and the
 * configuration may be another one at the next call. */
static void choose_psks(const struct tls_config *config, struct tls_hello_offer *offer)
{
    struct tls_schedule_psk prepared;
    for (size_t i = 0; i < config->psk_count && offer->psk_count < TLS_OFFERED_PSKS_MAX; i++) {
        const struct tls_psk *psk = &config->psks[i];
        struct tls_hello_psk *offered = &offer->psks[offer->psk_count];
        if (!tls_psk_usable(config, psk))
            continue;
        memcpy(offered->identity, psk->identity, psk->identity_len);
        offered->identity_len = (uint8_t)psk->identity_len;
        tls_psk_prepare(config, psk, &prepared);
        memcpy(offered->early, prepared.early, sizeof offered->early);
        if (offer->psk_count++ == 0)
            offer->first = prepared;
    }
    secret_wipe(&prepared, sizeof prepared);
}

/* What follows from a key that was offered. */
static void restore_psk(const struct tls_hello_offer *offer, size_t index, struct tls_schedule_psk *psk)
{
    if (index == 0) {
        *psk = offer->first;
        return;
    }
    memcpy(psk->early, offer->psks[index].early, sizeof psk->early);
    tls_schedule_restore_psk(psk);
}

/* Fills in the binders (RFC 8446, 4.2.11.2): over the transcript and the hello up to them, each under its own
 * PSK. The whole hello is in the transcript then. */
static void put_binders(const struct tls_call *call, uint8_t *message, size_t truncated_len, size_t len)
{
    const struct tls_hello_offer *offer = &call->handshake->client.offer;
    struct tls_schedule_psk psk;
    uint8_t hash[32];
    uint8_t *binder = message + truncated_len + 2;
    tls_transcript_add(call, message, truncated_len);
    tls_transcript_hash(call, hash);
    for (size_t i = 0; i < offer->psk_count; i++) {
        restore_psk(offer, i, &psk);
        sha256_key_hmac(&psk.binder, hash, sizeof hash, binder + 1);
        binder += 1 + TLS_HELLO_BINDER;
    }
    secret_wipe(&psk, sizeof psk);
    tls_transcript_add(call, message + truncated_len, len - truncated_len);
}

/* Sends the next part of the ClientHello in stored[] as a record of its own. */
enum tls_reason tls_client_more(const struct tls_call *call)
{
    struct tls_handshake_data *handshake = call->handshake;
    struct tls_client_state *client = &handshake->client;
    uint8_t *record = call->out->data + call->out->len;
    size_t len = client->unsent_end - client->unsent;
    if (len > TLS_FLIGHT_MAX - TLS_SEAL_OVERHEAD)
        len = TLS_FLIGHT_MAX - TLS_SEAL_OVERHEAD;
    enum tls_reason reason = tls_record_append(call->session, TLS_RECORD_HANDSHAKE,
                                               handshake->stored + client->unsent, len, call->out);
    client->unsent += (uint32_t)len;
    /* RFC 8446, 5.1: an initial ClientHello may say 0x0301, for old middleboxes. */
    if (reason == TLS_REASON_NONE && call->session->state == TLS_STATE_WAIT_SERVER_HELLO)
        record[2] = 1;
    return reason;
}

bool tls_client_unsent(const struct tls_handshake_data *handshake)
{
    return handshake->client.unsent < handshake->client.unsent_end;
}

/* Writes a ClientHello to stored[] and sends its first part. A cookie may be in stored[] itself, at its end.
 */
static enum tls_reason send_client_hello(const struct tls_call *call, struct tls_reader cookie)
{
    struct tls_handshake_data *handshake = call->handshake;
    struct tls_writer writer = tls_cursor_writer(handshake->stored, sizeof handshake->stored);
    size_t truncated_len =
        tls_hello_put_client(&writer, &handshake->client.offer, call->config->pair, cookie);
    if (writer.full)
        return cookie.left > 0 ? TLS_REASON_COOKIE_LONG : TLS_REASON_MISUSE;
    tls_call_use(handshake, writer.len);
    put_binders(call, handshake->stored, truncated_len, writer.len);
    handshake->client.unsent = 0;
    handshake->client.unsent_end = (uint32_t)writer.len;
    return tls_client_more(call);
}

static enum tls_reason make_key(const struct tls_call *call, struct tls_hello_offer *offer)
{
    struct tls_kex_seed seed;
    enum tls_reason reason = tls_call_random(call, (uint8_t *)&seed, sizeof seed);
    if (reason == TLS_REASON_NONE)
        reason = tls_kex_make(&offer->key, call->config->pair, &seed, offer->groups, offer->group_count);
    secret_wipe(&seed, sizeof seed);
    return reason;
}

static enum tls_reason begin(const struct tls_call *call)
{
    struct tls_handshake_data *handshake = call->handshake;
    struct tls_hello_offer *offer = &handshake->client.offer;
    choose_suites(call->config, offer);
    offer->group_count = tls_kex_groups(call->config, offer->groups);
    choose_psks(call->config, offer);
    if (offer->suite_count == 0)
        return TLS_REASON_NO_USABLE_SUITE;
    if (offer->group_count == 0)
        return TLS_REASON_NO_USABLE_GROUP;
    if (offer->psk_count == 0)
        return TLS_REASON_NO_KEY;
    if (call->out->cap - call->out->len < TLS_FLIGHT_MAX)
        return TLS_REASON_MISUSE;
    enum tls_reason reason = tls_call_random(call, offer->random, sizeof offer->random);
    if (reason == TLS_REASON_NONE)
        reason = make_key(call, offer);
    if (reason != TLS_REASON_NONE)
        return reason;
    memcpy(handshake->client_random, offer->random, sizeof handshake->client_random);
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
        tls_key_pair_wipe(config->pair);
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
    if (!offered_suite(&handshake->client.offer, hello->suite))
        return TLS_REASON_SUITE_CHOSEN;
    if (handshake->retry_suite != TLS_SUITE_NONE && handshake->retry_suite != hello->suite)
        return TLS_REASON_SUITE_CHOSEN; /* RFC 8446, 4.1.4 */
    return tls_extensions_check(&hello->extensions, retry ? TLS_IN_HELLO_RETRY_REQUEST : TLS_IN_SERVER_HELLO);
}

/* Makes room for the ClientHello in front of a cookie that is part of the message in stored[]. */
static struct tls_reader move_to_end(struct tls_handshake_data *handshake, struct tls_reader cookie)
{
    uint8_t *at = handshake->stored + sizeof handshake->stored - cookie.left;
    memmove(at, cookie.at, cookie.left);
    tls_call_use(handshake, sizeof handshake->stored);
    return tls_cursor_reader(at, cookie.left);
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
    return send_client_hello(call, move_to_end(call->handshake, cookie));
}

/* The server's choice among our identities (RFC 8446, 4.2.11). */
static enum tls_reason take_psk(const struct tls_call *call, const struct tls_server_hello *hello,
                                size_t *index)
{
    const struct tls_hello_offer *offer = &call->handshake->client.offer;
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
    *index = selected;
    session->identity_len = offer->psks[selected].identity_len;
    memcpy(session->identity, offer->psks[selected].identity, session->identity_len);
    return TLS_REASON_NONE;
}

static bool offered_group(const struct tls_hello_offer *offer, uint16_t group)
{
    for (size_t i = 0; i < offer->group_count; i++)
        if (offer->groups[i] == group)
            return true;
    return false;
}

/* The server's key share: psk_dhe_ke demands one (RFC 8446, 4.2.8, 4.2.9, 4.2.11). */
static enum tls_reason take_share(const struct tls_call *call, const struct tls_server_hello *hello,
                                  struct tls_kex_secret *secret)
{
    const struct tls_hello_offer *offer = &call->handshake->client.offer;
    struct tls_reader body;
    struct tls_reader share;
    uint16_t group;
    if (!tls_extensions_find(&hello->extensions, TLS_EXTENSION_KEY_SHARE, &body))
        return TLS_REASON_KEY_SHARE;
    if (!tls_cursor_get_u16(&body, &group) || !tls_cursor_get_vector16(&body, 1, &share) || body.left != 0)
        return TLS_REASON_MALFORMED;
    if (!offered_group(offer, group) || share.left != tls_kex_server_len(group))
        return TLS_REASON_KEY_SHARE;
    call->session->group = group;
    return tls_kex_finish(group, &offer->key, call->config->pair, share.at, secret);
}

/* Adds the ServerHello to the transcript and changes to the handshake traffic keys, both ways: our alerts
 * are protected with them too. */
static void change_keys(const struct tls_call *call, size_t psk_index, const struct tls_kex_secret *shared)
{
    struct tls_client_state *state = &call->handshake->client;
    struct tls_schedule_psk psk;
    uint8_t client[32];
    uint8_t server[32];
    restore_psk(&state->offer, psk_index, &psk);
    tls_transcript_derive(call, &psk, shared, client, server);
    tls_record_set_rx(call->session, TLS_KEYS_HANDSHAKE, server);
    tls_record_set_tx(call->session, TLS_KEYS_HANDSHAKE, client);
    secret_wipe(&psk, sizeof psk);
    secret_wipe(client, sizeof client);
    secret_wipe(server, sizeof server);
    secret_wipe(&state->offer.key, sizeof state->offer.key);
    tls_key_pair_wipe(call->config->pair);
    call->session->state = TLS_STATE_WAIT_ENCRYPTED_EXTENSIONS;
}

enum tls_reason tls_client_server_hello(const struct tls_call *call, const uint8_t *message, size_t len)
{
    struct tls_server_hello hello;
    struct tls_kex_secret shared = {.len = 0};
    size_t psk_index = 0;
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
        reason = take_psk(call, &hello, &psk_index);
    if (reason == TLS_REASON_NONE)
        reason = take_share(call, &hello, &shared);
    if (reason == TLS_REASON_NONE) {
        call->session->suite = hello.suite;
        tls_transcript_add(call, message, len);
        change_keys(call, psk_index, &shared);
    }
    secret_wipe(&shared, sizeof shared);
    return reason;
}

/* EncryptedExtensions and Finished */

/* NamedGroupList (RFC 8446, 4.2.7). */
static bool is_group_list(struct tls_reader body)
{
    struct tls_reader groups;
    return tls_cursor_get_vector16(&body, 2, &groups) && body.left == 0 && groups.left % 2 == 0;
}

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
    /* The one that may come is advice for other connections (RFC 8446, 4.2.7). */
    if (tls_extensions_find(&extensions, TLS_EXTENSION_SUPPORTED_GROUPS, &block) && !is_group_list(block))
        return TLS_REASON_MALFORMED;
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
