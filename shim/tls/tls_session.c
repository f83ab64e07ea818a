/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
/* The established session: application data, and what may come between it (RFC 8446, 4.6, 6). */

#include <string.h>

#include "crypto/aead.h"
#include "crypto/secret.h"
#include "tls/tls.h"
#include "tls/tls_failure.h"
#include "tls/tls_message.h"
#include "tls/tls_record.h"
#include "tls/tls_schedule.h"
#include "tls/tls_ticket.h"

_Static_assert(sizeof(struct tls_session) < 500, "an idle connection has a budget of 1 KiB");

/* RFC 9846, 4.7.3: the KeyUpdates that one side may send. */
static const uint64_t updates_max = (UINT64_C(1) << 48) - 1;

enum { KEY_UPDATE_NOT_REQUESTED = 0, KEY_UPDATE_REQUESTED = 1 };

/* One period more than a peer needs that renews its keys as we do: it is asked for nothing that it does
 * anyway, and no answer meets a connection that has been closed. */
enum { PEER_PERIODS = 2 };

/* Receiving */

/* The header of a message after the handshake is complete. */
static enum tls_reason begin_message(struct tls_message *message)
{
    const uint8_t *header = message->header;
    const uint32_t len = (uint32_t)header[1] << 16 | (uint32_t)header[2] << 8 | header[3];
    message->left = len;
    if (header[0] == TLS_NEW_SESSION_TICKET)
        return tls_ticket_begin(&message->ticket, len);
    return len == 1 ? TLS_REASON_NONE : TLS_REASON_MALFORMED; /* KeyUpdate (RFC 8446, 4.6.3) */
}

/* By its first byte: a KeyUpdate, or a server's NewSessionTicket (RFC 8446, 4.6). */
static bool may_come(uint8_t role, uint8_t type)
{
    return type == TLS_KEY_UPDATE || (type == TLS_NEW_SESSION_TICKET && role == TLS_CLIENT);
}

/* RFC 8446, 4.6.3. The peer's count of updates is the peer's to keep; its request is ignored when we may send
 * no more ourselves (RFC 9846, 4.7.3). That count belongs to the other direction, hence the atomic load. */
static enum tls_reason take_key_update(struct tls_session *session, uint8_t value, size_t behind,
                                       enum tls_event *event)
{
    if (value != KEY_UPDATE_NOT_REQUESTED && value != KEY_UPDATE_REQUESTED)
        return TLS_REASON_KEY_UPDATE_VALUE;
    if (behind > 0)
        return TLS_REASON_KEY_CHANGE; /* RFC 8446, 5.1 */
    tls_schedule_update(&session->rx, session->suite);
    bool can_answer = __atomic_load_n(&session->tx.updates, __ATOMIC_RELAXED) < updates_max;
    *event = value == KEY_UPDATE_REQUESTED && can_answer ? TLS_EVENT_KEY_UPDATE_ASKED : TLS_EVENT_KEY_UPDATE;
    return TLS_REASON_NONE;
}

/* Takes the next byte of a message's header. */
static enum tls_reason take_header(struct tls_message *message, uint8_t role, uint8_t byte)
{
    message->header[message->have++] = byte;
    if (!may_come(role, message->header[0]))
        return TLS_REASON_ORDER;
    return message->have < TLS_MESSAGE_HEADER ? TLS_REASON_NONE : begin_message(message);
}

/* Takes the next bytes of a message's body. */
static enum tls_reason take_body(struct tls_message *message, const uint8_t *data, size_t len)
{
    message->left -= (uint32_t)len;
    if (message->header[0] == TLS_NEW_SESSION_TICKET)
        return tls_ticket_take(&message->ticket, data, len);
    message->value = data[0];
    return TLS_REASON_NONE;
}

/* Takes handshake messages as a stream of bytes, whole or in parts. It counts in a copy: nobody else writes
 * to that. */
static enum tls_reason take_messages(struct tls_session *session, const uint8_t *data, size_t len,
                                     enum tls_event *event)
{
    enum tls_reason reason = TLS_REASON_NONE;
    struct tls_message message = session->message;
    while (len > 0 && reason == TLS_REASON_NONE) {
        const bool in_header = message.have < TLS_MESSAGE_HEADER;
        const size_t wanted = in_header ? 1 : message.left;
        const size_t take = len < wanted ? len : wanted;
        reason = in_header ? take_header(&message, session->role, data[0]) : take_body(&message, data, take);
        data += take;
        len -= take;
        if (reason != TLS_REASON_NONE || message.have < TLS_MESSAGE_HEADER || message.left > 0)
            continue;
        if (message.header[0] == TLS_KEY_UPDATE)
            reason = take_key_update(session, message.value, len, event);
        memset(&message, 0, sizeof message);
    }
    session->message = message;
    return reason;
}

/* RFC 8446, 6; the level is ignored, and one that is not known is fatal. */
static enum tls_reason take_alert(struct tls_session *session, const uint8_t *alert, size_t len,
                                  enum tls_event *event)
{
    if (len != 2)
        return TLS_REASON_ALERT_SIZE;
    session->alert_in = alert[1];
    if (alert[1] == TLS_ALERT_USER_CANCELED)
        return TLS_REASON_NONE; /* RFC 9846, 6.1: not an error */
    if (alert[1] != TLS_ALERT_CLOSE_NOTIFY)
        return TLS_REASON_PEER_ALERT;
    session->closed_in = true;
    *event = TLS_EVENT_CLOSE;
    return TLS_REASON_NONE;
}

static enum tls_reason take_content(struct tls_session *session, uint8_t type, const uint8_t *content,
                                    size_t len, enum tls_event *event)
{
    if (type == TLS_RECORD_HANDSHAKE)
        return take_messages(session, content, len, event);
    if (session->message.have > 0)
        return TLS_REASON_INTERLEAVED; /* RFC 8446, 5.1 */
    if (type == TLS_RECORD_APPLICATION_DATA) {
        *event = TLS_EVENT_DATA;
        return TLS_REASON_NONE;
    }
    if (type == TLS_RECORD_ALERT)
        return take_alert(session, content, len, event);
    return type == TLS_RECORD_CHANGE_CIPHER_SPEC ? TLS_REASON_CCS : TLS_REASON_RECORD_TYPE;
}

enum tls_result tls_session_open(struct tls_session *session, uint8_t *record, size_t len, uint8_t *out,
                                 size_t *out_len, enum tls_event *event)
{
    size_t size = 0;
    size_t content_len = 0;
    uint8_t type = 0;
    *out_len = 0;
    *event = TLS_EVENT_NONE;
    enum tls_result result = tls_record_size(session, record, len, &size);
    if (result != TLS_OK) {
        tls_record_wipe_rx(session);
        return result;
    }
    if (session->closed_in) { /* RFC 8446, 6.1: what comes after close_notify is ignored */
        *event = TLS_EVENT_CLOSE;
        return TLS_OK;
    }
    enum tls_reason reason = TLS_REASON_MISUSE;
    if (session->complete && size == len)
        reason = tls_record_deprotect(session, record, len, out, &content_len, &type);
    if (reason == TLS_REASON_NONE) {
        reason = take_content(session, type, out, content_len, event);
        if (reason != TLS_REASON_NONE)
            memset(out, 0, content_len);
    }
    if (reason != TLS_REASON_NONE) {
        *event = TLS_EVENT_NONE;
        result = tls_failure_set(session, reason);
        tls_record_wipe_rx(session); /* RFC 8446, 6.2; tx is wiped when the alert has been sent */
        return result;
    }
    if (*event == TLS_EVENT_DATA)
        *out_len = content_len;
    return TLS_OK;
}

/* Sending */

enum tls_result tls_session_seal(struct tls_session *session, const uint8_t *content, size_t len,
                                 uint8_t *out, size_t *out_len)
{
    return tls_session_seal_padded(session, content, len, 0, out, out_len);
}

enum tls_result tls_session_seal_padded(struct tls_session *session, const uint8_t *content, size_t len,
                                        size_t padding, uint8_t *out, size_t *out_len)
{
    *out_len = 0;
    enum tls_result result = tls_failure_get(session);
    if (result != TLS_OK)
        return result;
    enum tls_reason reason;
    if (!session->can_send || session->tx_keys != TLS_KEYS_APPLICATION || session->closed_out ||
        len > TLS_PLAINTEXT_MAX || padding > TLS_PLAINTEXT_MAX - len)
        reason = TLS_REASON_MISUSE;
    else if (session->tx.sequence >= aead_or_none(session->suite)->records_max)
        reason = TLS_REASON_SEQUENCE; /* RFC 8446, 5.5 */
    else
        reason =
            tls_record_protect(session, TLS_RECORD_APPLICATION_DATA, content, len, padding, out, out_len);
    return tls_failure_set(session, reason);
}

enum tls_result tls_session_recover(struct tls_session *session, const uint8_t *record, size_t len,
                                    uint8_t *out)
{
    enum tls_result result = tls_failure_get(session);
    if (result != TLS_OK)
        return result;
    const bool recovered = session->tx_keys == TLS_KEYS_APPLICATION && len <= TLS_PLAINTEXT_MAX &&
                           tls_record_recover(session, record, len, out);
    return tls_failure_set(session, recovered ? TLS_REASON_NONE : TLS_REASON_MISUSE);
}

bool tls_session_needs_rekey(const struct tls_session *session, bool used)
{
    const struct aead *aead = aead_of(session->suite);
    return aead != NULL && session->tx_keys == TLS_KEYS_APPLICATION && session->tx.updates < updates_max &&
           (used || session->tx.sequence >= aead->records_max / 2);
}

enum tls_result tls_session_key_update(struct tls_session *session, bool request, struct tls_buffer *out)
{
    const uint8_t message[] = {TLS_KEY_UPDATE, 0, 0, 1,
                               request ? KEY_UPDATE_REQUESTED : KEY_UPDATE_NOT_REQUESTED};
    enum tls_result result = tls_failure_get(session);
    if (result != TLS_OK)
        return result;
    if (session->closed_out)
        return TLS_OK; /* RFC 8446, 6.1: nothing of ours follows close_notify, whatever the peer asks */
    enum tls_reason reason = TLS_REASON_MISUSE;
    if (session->tx.updates >= updates_max)
        reason = TLS_REASON_UPDATES; /* RFC 9846, 4.7.3 */
    else if (session->complete && session->tx_keys == TLS_KEYS_APPLICATION)
        reason = tls_record_append(session, TLS_RECORD_HANDSHAKE, message, sizeof message, out);
    if (reason == TLS_REASON_NONE)
        tls_schedule_update(&session->tx, session->suite);
    return tls_failure_set(session, reason);
}

/* Counts the periods that the peer has gone on sending under the same keys. What it counts belongs to the
 * other direction. */
static bool peer_keeps_its_keys(struct tls_session *session)
{
    const uint64_t updates = __atomic_load_n(&session->rx.updates, __ATOMIC_RELAXED);
    const bool sends = __atomic_load_n(&session->rx.sequence, __ATOMIC_RELAXED) > 0;
    if (updates != session->peer_updates || !sends)
        session->peer_periods = 0;
    else if (session->peer_periods < PEER_PERIODS)
        session->peer_periods++;
    session->peer_updates = updates;
    return session->peer_periods >= PEER_PERIODS;
}

enum tls_result tls_session_renew(struct tls_session *session, struct tls_buffer *out)
{
    return tls_session_key_update(session, peer_keeps_its_keys(session), out);
}

void tls_session_alert(struct tls_session *session, enum tls_alert alert, struct tls_buffer *out)
{
    const bool fatal =
        alert != TLS_ALERT_CLOSE_NOTIFY && alert != TLS_ALERT_USER_CANCELED && alert != TLS_ALERT_NONE;
    const uint8_t message[2] = {fatal ? 2 : 1, (uint8_t)alert}; /* AlertLevel (RFC 8446, 6) */
    if (alert != TLS_ALERT_NONE && !session->closed_out)
        (void)tls_record_append(session, TLS_RECORD_ALERT, message, sizeof message, out);
    if (fatal || alert == TLS_ALERT_CLOSE_NOTIFY)
        session->closed_out = true; /* nothing of ours follows it (RFC 8446, 6.1) */
    if (fatal || tls_failure_get(session) != TLS_OK)
        tls_record_wipe_tx(session); /* RFC 8446, 6.2 */
}

/* The end */

void tls_session_fail(struct tls_session *session, enum tls_result result)
{
    tls_failure_declare(session, result);
    if (tls_failure_get(session) == TLS_OK)
        return;
    tls_record_wipe_rx(session);
    tls_record_wipe_tx(session);
}

void tls_session_wipe(struct tls_session *session)
{
    secret_wipe(session, sizeof *session);
}
