/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "tls/tls_handshake.h"

#include <string.h>

#include "tls/tls_client.h"
#include "tls/tls_record.h"
#include "tls/tls_server.h"

/* What each state waits for. Everything else is unexpected_message (RFC 8446, 4): in this profile no state
 * has a second legal message, as there are no certificates, no client authentication and no early data. */
static const struct {
    uint8_t message;  /* enum tls_message_type */
    bool ends_flight; /* new keys or a new transcript follow: the record must end with it (RFC 8446, 5.1) */
    enum tls_reason (*handle)(const struct tls_call *call, const uint8_t *message, size_t len);
} table[TLS_STATE_COUNT] = {
    [TLS_STATE_WAIT_SERVER_HELLO] = {TLS_SERVER_HELLO, true, tls_client_server_hello},
    [TLS_STATE_WAIT_SERVER_HELLO_2] = {TLS_SERVER_HELLO, true, tls_client_server_hello},
    [TLS_STATE_WAIT_ENCRYPTED_EXTENSIONS] = {TLS_ENCRYPTED_EXTENSIONS, false,
                                             tls_client_encrypted_extensions},
    [TLS_STATE_WAIT_SERVER_FINISHED] = {TLS_FINISHED, true, tls_client_finished},
    [TLS_STATE_WAIT_CLIENT_HELLO] = {TLS_CLIENT_HELLO, true, tls_server_client_hello},
    [TLS_STATE_WAIT_CLIENT_HELLO_2] = {TLS_CLIENT_HELLO, true, tls_server_client_hello},
    [TLS_STATE_WAIT_CLIENT_FINISHED] = {TLS_FINISHED, true, tls_server_finished},
};

bool tls_handshake_expects(enum tls_state state, uint8_t message_type)
{
    return state < TLS_STATE_COUNT && table[state].handle != NULL && table[state].message == message_type;
}

void tls_handshake_wipe(struct tls_handshake *handshake)
{
    tls_call_wipe(handshake);
}

/* Messages */

/* Adds to the message under way what it still lacks, up to `want` bytes in all. */
static void fill(struct tls_handshake_data *handshake, struct tls_reader *content, size_t want)
{
    size_t take = want > handshake->message_len ? want - handshake->message_len : 0;
    if (take > content->left)
        take = content->left;
    memcpy(handshake->message + handshake->message_len, content->at, take);
    handshake->message_len += take;
    content->at += take;
    content->left -= take;
}

/* Takes one message, or the part of it that is there. */
static enum tls_reason take_message(const struct tls_call *call, struct tls_reader *content)
{
    struct tls_handshake_data *handshake = call->handshake;
    const uint8_t *message = handshake->message;
    const uint8_t state = call->session->state;
    fill(handshake, content, TLS_MESSAGE_HEADER);
    /* The order is checked by the first byte, before anything is stored (RFC 8446, 4). */
    if (!tls_handshake_expects((enum tls_state)state, message[0]))
        return TLS_REASON_ORDER;
    if (handshake->message_len < TLS_MESSAGE_HEADER)
        return TLS_REASON_NONE;
    size_t len = TLS_MESSAGE_HEADER + ((size_t)message[1] << 16 | (size_t)message[2] << 8 | message[3]);
    if (len > sizeof handshake->message)
        return TLS_REASON_MESSAGE_LONG;
    fill(handshake, content, len);
    if (handshake->message_len < len)
        return TLS_REASON_NONE;
    if (table[state].ends_flight && content->left > 0)
        return TLS_REASON_KEY_CHANGE; /* RFC 8446, 5.1 */
    handshake->message_len = 0;
    return table[state].handle(call, message, len);
}

static enum tls_reason take_handshake(const struct tls_call *call, const uint8_t *data, size_t len)
{
    struct tls_reader content = tls_cursor_reader(data, len);
    enum tls_reason reason = TLS_REASON_NONE;
    while (content.left > 0 && reason == TLS_REASON_NONE)
        reason = take_message(call, &content);
    return reason;
}

/* What a server that does not accept our key may say in the clear instead of a ServerHello. RFC 8446, 4.2.11
 * names unknown_psk_identity and decrypt_error and leaves others open. */
static bool alert_refuses_key(uint8_t alert)
{
    switch (alert) {
    case TLS_ALERT_UNKNOWN_PSK_IDENTITY:
    case TLS_ALERT_DECRYPT_ERROR:
    case TLS_ALERT_ILLEGAL_PARAMETER: /* OpenSSL, of a binder */
    case TLS_ALERT_HANDSHAKE_FAILURE:
    case TLS_ALERT_MISSING_EXTENSION: /* OpenSSL, of an identity: it goes on to certificates, which we do not
                                         ask for */
    case TLS_ALERT_ACCESS_DENIED:
    case TLS_ALERT_INSUFFICIENT_SECURITY:
    case TLS_ALERT_BAD_RECORD_MAC:
        return true;
    default:
        return false;
    }
}

enum { IGNORED_MAX = 8 }; /* two change_cipher_spec, and a user_canceled, are what a sane peer sends */

/* A record that is to be ignored; but a peer that sends nothing else keeps a server busy. */
static enum tls_reason ignore(const struct tls_call *call)
{
    return ++call->handshake->ignored > IGNORED_MAX ? TLS_REASON_ORDER : TLS_REASON_NONE;
}

static enum tls_reason take_alert(const struct tls_call *call, const uint8_t *alert, size_t len)
{
    struct tls_session *session = call->session;
    if (len != 2)
        return TLS_REASON_ALERT_SIZE; /* RFC 8446, 5.1: one alert a record, whole; the level is ignored (6) */
    session->alert_in = alert[1];
    if (alert[1] == TLS_ALERT_USER_CANCELED)
        return ignore(call); /* RFC 9846, 6.1: a close_notify follows */
    if (alert[1] == TLS_ALERT_CLOSE_NOTIFY)
        return TLS_REASON_CLOSED_EARLY;
    if (alert[1] == TLS_ALERT_PROTOCOL_VERSION)
        return TLS_REASON_VERSION_REFUSED;
    bool before_server_hello = session->role == TLS_CLIENT && session->rx_keys == TLS_KEYS_NONE;
    if (before_server_hello && alert_refuses_key(alert[1]))
        return TLS_REASON_KEY_REFUSED;
    /* In place of the peer's Finished: our binder or our Finished did not verify. */
    if (alert[1] == TLS_ALERT_DECRYPT_ERROR)
        return TLS_REASON_KEY_REFUSED;
    return TLS_REASON_HANDSHAKE_REFUSED;
}

/* Drops a record of early data (RFC 8446, 4.2.10), as long as there are not too many. */
static enum tls_reason skip_early_data(const struct tls_call *call, size_t len)
{
    if (call->handshake->message_len > 0)
        return TLS_REASON_INTERLEAVED; /* RFC 8446, 5.1 */
    if (call->handshake->early_left < len)
        return TLS_REASON_RECORD_MAC;
    call->handshake->early_left -= (uint32_t)len;
    return TLS_REASON_NONE;
}

/* Takes what a record held. */
static enum tls_reason take_content(const struct tls_call *call, uint8_t type, const uint8_t *content,
                                    size_t len)
{
    if (call->handshake->message_len > 0 && type != TLS_RECORD_HANDSHAKE)
        return TLS_REASON_INTERLEAVED; /* RFC 8446, 5.1 */
    if (type == TLS_RECORD_HANDSHAKE)
        return take_handshake(call, content, len);
    if (type == TLS_RECORD_ALERT)
        return take_alert(call, content, len);
    /* Application data before Finished, a protected change_cipher_spec, others. */
    return TLS_REASON_RECORD_TYPE;
}

static enum tls_reason take_record(const struct tls_call *call, uint8_t *record, size_t len)
{
    struct tls_session *session = call->session;
    uint8_t type = record[0];
    uint8_t *content = record + TLS_RECORD_HEADER;
    size_t content_len = len - TLS_RECORD_HEADER;
    session->heard = true;
    if (type == TLS_RECORD_CHANGE_CIPHER_SPEC) {
        if (call->handshake->message_len > 0)
            return TLS_REASON_INTERLEAVED;
        return content[0] == 1 ? ignore(call) : TLS_REASON_CCS; /* RFC 8446, 5: dropped */
    }
    if (type == TLS_RECORD_APPLICATION_DATA) {
        if (session->rx_keys == TLS_KEYS_NONE)
            return skip_early_data(call, len); /* between our HelloRetryRequest and the second ClientHello */
        enum tls_reason reason = tls_record_deprotect(session, record, len, content, &content_len, &type);
        if (reason == TLS_REASON_RECORD_MAC && session->skip_early)
            return skip_early_data(call, len);
        if (reason != TLS_REASON_NONE)
            return reason;
        session->skip_early = false; /* the first record that authenticates ends it */
    }
    return take_content(call, type, content, content_len);
}

enum tls_result tls_handshake_record(struct tls_session *session, struct tls_handshake *handshake,
                                     const struct tls_config *config, uint8_t *record, size_t len,
                                     struct tls_buffer *out)
{
    const struct tls_call call = {session, tls_call_data(handshake), config, out};
    size_t size = 0;
    enum tls_result result = tls_record_size(session, record, len, &size);
    if (result == TLS_OK) {
        bool misuse = session->complete || session->state == TLS_STATE_NONE || size == 0 || size != len ||
                      out->cap - out->len < TLS_FLIGHT_MAX;
        result = tls_failure_set(session, misuse ? TLS_REASON_MISUSE : take_record(&call, record, len));
    }
    if (result != TLS_OK) {
        tls_session_alert(session, (enum tls_alert)session->alert_out, out);
        tls_session_fail(session, result);
        tls_handshake_wipe(handshake);
    }
    return result;
}
