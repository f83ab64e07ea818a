/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "tls/tls_handshake.h"

#include <string.h>

#include "tls/tls_client.h"
#include "tls/tls_record.h"
#include "tls/tls_server.h"

/* The longest body of a message, with all its vectors as long as they may be (RFC 8446, 4.1.3, 4.3.1, 4.4.4).
 */
enum {
    SERVER_HELLO_MAX = 2 + TLS_HELLO_RANDOM + 1 + TLS_HELLO_SESSION_ID_MAX + 2 + 1 + 2 + 65535,
    ENCRYPTED_EXTENSIONS_MAX = 2 + 65535,
    FINISHED_MAX = TLS_FINISHED_LEN - TLS_MESSAGE_HEADER,
};

/* What each state waits for. Everything else is unexpected_message (RFC 8446, 4): in this profile no state
 * has a second legal message, as there are no certificates, no client authentication and no early data. A
 * message is stored whole and then handled, except that a ClientHello, which anybody may send, is read as it
 * comes. */
static const struct {
    uint8_t role;      /* enum tls_role */
    uint8_t message;   /* enum tls_message_type */
    bool ends_flight;  /* new keys or a new transcript follow: the record must end with it (RFC 8446, 5.1) */
    uint32_t body_max; /* longer: decode_error (RFC 8446, 6.2) */
    enum tls_reason (*handle)(const struct tls_call *call, const uint8_t *message, size_t len);
} table[TLS_STATE_COUNT] = {
    [TLS_STATE_WAIT_SERVER_HELLO] = {TLS_CLIENT, TLS_SERVER_HELLO, true, SERVER_HELLO_MAX,
                                     tls_client_server_hello},
    [TLS_STATE_WAIT_SERVER_HELLO_2] = {TLS_CLIENT, TLS_SERVER_HELLO, true, SERVER_HELLO_MAX,
                                       tls_client_server_hello},
    [TLS_STATE_WAIT_ENCRYPTED_EXTENSIONS] = {TLS_CLIENT, TLS_ENCRYPTED_EXTENSIONS, false,
                                             ENCRYPTED_EXTENSIONS_MAX, tls_client_encrypted_extensions},
    [TLS_STATE_WAIT_SERVER_FINISHED] = {TLS_CLIENT, TLS_FINISHED, true, FINISHED_MAX, tls_client_finished},
    [TLS_STATE_WAIT_CLIENT_HELLO] = {TLS_SERVER, TLS_CLIENT_HELLO, true, TLS_HELLO_BODY_MAX,
                                     tls_server_client_hello},
    [TLS_STATE_WAIT_CLIENT_HELLO_2] = {TLS_SERVER, TLS_CLIENT_HELLO, true, TLS_HELLO_BODY_MAX,
                                       tls_server_client_hello},
    [TLS_STATE_WAIT_CLIENT_FINISHED] = {TLS_SERVER, TLS_FINISHED, true, FINISHED_MAX, tls_server_finished},
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

/* Takes up to `len` bytes off `content`. */
static struct tls_reader take_up_to(struct tls_reader *content, size_t len)
{
    struct tls_reader part = tls_cursor_reader(content->at, len < content->left ? len : content->left);
    content->at += part.left;
    content->left -= part.left;
    return part;
}

static size_t body_len(const uint8_t header[static TLS_MESSAGE_HEADER])
{
    return (size_t)header[1] << 16 | (size_t)header[2] << 8 | header[3];
}

/* The header of a message is complete. */
static enum tls_reason begin_message(const struct tls_call *call)
{
    struct tls_handshake_data *handshake = call->handshake;
    const size_t len = body_len(handshake->header);
    if (len > table[call->session->state].body_max)
        return TLS_REASON_MALFORMED;
    if (handshake->header[0] == TLS_CLIENT_HELLO)
        return tls_server_begin_hello(call, handshake->header, len);
    if (len > sizeof handshake->stored - TLS_MESSAGE_HEADER)
        return TLS_REASON_MESSAGE_LONG;
    memcpy(handshake->stored, handshake->header, TLS_MESSAGE_HEADER);
    return TLS_REASON_NONE;
}

/* Takes the header of a message, or the part of it that is there. */
static enum tls_reason take_header(const struct tls_call *call, struct tls_reader *content)
{
    struct tls_handshake_data *handshake = call->handshake;
    struct tls_reader part = take_up_to(content, TLS_MESSAGE_HEADER - handshake->message_len);
    memcpy(handshake->header + handshake->message_len, part.at, part.left);
    handshake->message_len += (uint32_t)part.left;
    /* The order is checked by the first byte, before anything is stored (RFC 8446, 4). */
    if (!tls_handshake_expects((enum tls_state)call->session->state, handshake->header[0]))
        return TLS_REASON_ORDER;
    return handshake->message_len < TLS_MESSAGE_HEADER ? TLS_REASON_NONE : begin_message(call);
}

static enum tls_reason take_body(const struct tls_call *call, struct tls_reader part)
{
    struct tls_handshake_data *handshake = call->handshake;
    const size_t at = handshake->message_len;
    handshake->message_len += (uint32_t)part.left;
    if (handshake->header[0] == TLS_CLIENT_HELLO)
        return tls_server_take_hello(call, part);
    memcpy(handshake->stored + at, part.at, part.left);
    tls_call_use(handshake, handshake->message_len);
    return TLS_REASON_NONE;
}

/* Takes one message, or the part of it that is there. */
static enum tls_reason take_message(const struct tls_call *call, struct tls_reader *content)
{
    struct tls_handshake_data *handshake = call->handshake;
    const uint8_t state = call->session->state;
    enum tls_reason reason = TLS_REASON_NONE;
    if (handshake->message_len < TLS_MESSAGE_HEADER)
        reason = take_header(call, content);
    if (reason != TLS_REASON_NONE || handshake->message_len < TLS_MESSAGE_HEADER)
        return reason;
    const size_t len = TLS_MESSAGE_HEADER + body_len(handshake->header);
    reason = take_body(call, take_up_to(content, len - handshake->message_len));
    if (reason != TLS_REASON_NONE || handshake->message_len < len)
        return reason;
    if (table[state].ends_flight && content->left > 0)
        return TLS_REASON_KEY_CHANGE; /* RFC 8446, 5.1 */
    handshake->message_len = 0;
    return table[state].handle(call, handshake->stored, len);
}

/* Records that do not complete a message, in one handshake: 128 KiB in records of 512 bytes are 256. A peer
 * without a key must not keep a server busy with a record for each byte. */
enum { FRAGMENTS_MAX = 1024 };

static enum tls_reason take_handshake(const struct tls_call *call, const uint8_t *data, size_t len)
{
    struct tls_reader content = tls_cursor_reader(data, len);
    enum tls_reason reason = TLS_REASON_NONE;
    while (content.left > 0 && reason == TLS_REASON_NONE)
        reason = take_message(call, &content);
    const bool complete = call->handshake->message_len == 0;
    if (reason == TLS_REASON_NONE && !complete && call->handshake->fragments++ == FRAGMENTS_MAX)
        return TLS_REASON_FRAGMENTS;
    return reason;
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
    /* These two say that no identity of ours is known, or that our binder or Finished does not verify (RFC
     * 8446, 4.2.11, 6.2). Any other may as well mean that there is no suite or group in common. */
    if (alert[1] == TLS_ALERT_UNKNOWN_PSK_IDENTITY || alert[1] == TLS_ALERT_DECRYPT_ERROR)
        return TLS_REASON_KEY_REFUSED;
    return session->role == TLS_CLIENT && session->rx_keys == TLS_KEYS_NONE ? TLS_REASON_HELLO_REFUSED
                                                                            : TLS_REASON_HANDSHAKE_REFUSED;
}

/* Drops a record of early data (RFC 8446, 4.2.10), as long as there are not too many. */
static enum tls_reason skip_early_data(const struct tls_call *call, size_t len)
{
    if (call->handshake->message_len > 0)
        return TLS_REASON_INTERLEAVED; /* RFC 8446, 5.1 */
    if (call->handshake->server.early_left < len)
        return TLS_REASON_RECORD_MAC;
    call->handshake->server.early_left -= (uint32_t)len;
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

/* A message that has begun is one that the state waits for, and fits: begin_message() has checked that, but
 * in memory that other processes may have written to since. */
static bool message_valid(const struct tls_handshake_data *handshake, enum tls_state state)
{
    const size_t have = handshake->message_len, len = TLS_MESSAGE_HEADER + body_len(handshake->header);
    if (have == 0)
        return true;
    if (!tls_handshake_expects(state, handshake->header[0]))
        return false;
    return have < TLS_MESSAGE_HEADER || handshake->header[0] == TLS_CLIENT_HELLO ||
           (have <= len && len <= sizeof handshake->stored);
}

/* What the state table and the handlers rely on. */
static bool is_valid(const struct tls_call *call)
{
    const uint8_t state = call->session->state;
    return state < TLS_STATE_COUNT && table[state].handle != NULL &&
           table[state].role == call->session->role &&
           message_valid(call->handshake, (enum tls_state)state) &&
           tls_call_valid(call->handshake, (enum tls_state)state);
}

static bool has_more(const struct tls_call *call)
{
    return call->session->role == TLS_CLIENT && tls_client_unsent(call->handshake);
}

bool tls_handshake_more(struct tls_session *session, struct tls_handshake *handshake, struct tls_buffer *out)
{
    const struct tls_call call = {session, tls_call_data(handshake), NULL, out};
    if (tls_failure_get(session) != TLS_OK || session->complete || !has_more(&call))
        return false;
    return tls_failure_set(session, tls_client_more(&call)) == TLS_OK;
}

enum tls_result tls_handshake_record(struct tls_session *session, struct tls_handshake *handshake,
                                     const struct tls_config *config, uint8_t *record, size_t len,
                                     struct tls_buffer *out)
{
    const struct tls_call call = {session, tls_call_data(handshake), config, out};
    size_t size = 0;
    enum tls_result result = tls_record_size(session, record, len, &size);
    if (result == TLS_OK) {
        bool misuse = session->complete || size == 0 || size != len || out->cap - out->len < TLS_FLIGHT_MAX ||
                      !is_valid(&call) || has_more(&call);
        result = tls_failure_set(session, misuse ? TLS_REASON_MISUSE : take_record(&call, record, len));
    }
    if (result != TLS_OK) {
        tls_session_alert(session, (enum tls_alert)session->alert_out, out);
        tls_session_fail(session, result);
        tls_handshake_wipe(handshake);
        tls_key_pair_wipe(config->pair);
    }
    return result;
}
