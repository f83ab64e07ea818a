/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "tls/tls_record.h"

#include <endian.h>
#include <string.h>

#include "crypto/aead.h"
#include "crypto/secret.h"
#include "tls/tls_schedule.h"

_Static_assert((int)TLS_SUITE_CHACHA20_POLY1305_SHA256 == AEAD_CHACHA20_POLY1305 &&
                   (int)TLS_SUITE_AEGIS_128L_SHA256 == AEAD_AEGIS_128L &&
                   (int)TLS_SUITE_AEGIS_128X2_SHA256 == AEAD_AEGIS_128X2 &&
                   (int)TLS_SUITE_AEGIS_128X4_SHA256 == AEAD_AEGIS_128X4,
               "a suite has one code point");
_Static_assert((int)TLS_TAG_LEN == AEAD_TAG_LEN, "and a tag of the same length everywhere");

void tls_record_begin(struct tls_session *session, enum tls_role role)
{
    memset(session, 0, sizeof *session);
    session->role = (uint8_t)role;
    session->alert_in = TLS_ALERT_NONE;
    session->alert_out = TLS_ALERT_NONE;
}

void tls_record_set_rx(struct tls_session *session, enum tls_keys keys, const uint8_t secret[static 32])
{
    tls_schedule_traffic(&session->rx, session->suite, secret);
    session->rx_keys = (uint8_t)keys;
}

void tls_record_set_tx(struct tls_session *session, enum tls_keys keys, const uint8_t secret[static 32])
{
    tls_schedule_traffic(&session->tx, session->suite, secret);
    session->tx_keys = (uint8_t)keys;
}

void tls_record_wipe_rx(struct tls_session *session)
{
    secret_wipe(&session->rx, sizeof session->rx);
    session->rx_keys = TLS_KEYS_WIPED;
}

void tls_record_wipe_tx(struct tls_session *session)
{
    secret_wipe(&session->tx, sizeof session->tx);
    session->tx_keys = TLS_KEYS_WIPED;
}

/* Whether a record of this outer type may come now. */
static enum tls_reason check_type(const struct tls_session *session, uint8_t type)
{
    if (session->complete) /* RFC 8446, 5: change_cipher_spec after the peer's Finished is fatal too */
        return type == TLS_RECORD_APPLICATION_DATA ? TLS_REASON_NONE : TLS_REASON_RECORD_CLEAR;
    if (type == TLS_RECORD_CHANGE_CIPHER_SPEC && session->ccs_window)
        return TLS_REASON_NONE;
    if (!session->heard && type != TLS_RECORD_HANDSHAKE && type != TLS_RECORD_ALERT)
        return TLS_REASON_NOT_TLS;
    if (type < TLS_RECORD_CHANGE_CIPHER_SPEC || type > TLS_RECORD_APPLICATION_DATA)
        return TLS_REASON_RECORD_TYPE; /* RFC 8446, 5 */
    if (type == TLS_RECORD_CHANGE_CIPHER_SPEC)
        return TLS_REASON_CCS;
    if (session->rx_keys == TLS_KEYS_NONE) {
        /* Early data before the second ClientHello (RFC 8446, 4.2.10). */
        bool early = type == TLS_RECORD_APPLICATION_DATA && session->skip_early;
        return type != TLS_RECORD_APPLICATION_DATA || early ? TLS_REASON_NONE : TLS_REASON_RECORD_TYPE;
    }
    if (type == TLS_RECORD_APPLICATION_DATA)
        return TLS_REASON_NONE;
    /* A client that cannot use our ServerHello has no keys to encrypt its alert with. */
    if (type == TLS_RECORD_ALERT && session->role == TLS_SERVER && session->rx.sequence == 0)
        return TLS_REASON_NONE;
    return TLS_REASON_RECORD_CLEAR;
}

static enum tls_reason check_length(uint8_t type, size_t len)
{
    size_t most = type == TLS_RECORD_APPLICATION_DATA ? TLS_CIPHERTEXT_MAX : TLS_PLAINTEXT_MAX;
    if (len > most)
        return TLS_REASON_RECORD_LONG; /* RFC 8446, 5.1, 5.2 */
    if (type == TLS_RECORD_CHANGE_CIPHER_SPEC && len != 1)
        return TLS_REASON_CCS; /* RFC 8446, 5: any other than the single byte 1 */
    if (len == 0 && type != TLS_RECORD_APPLICATION_DATA)
        return TLS_REASON_RECORD_EMPTY; /* RFC 8446, 5.1 */
    return TLS_REASON_NONE;
}

enum tls_result tls_record_frame(struct tls_session *session, const uint8_t *header, size_t have,
                                 size_t *size)
{
    *size = 0;
    enum tls_result failure = tls_failure_get(session);
    if (failure != TLS_OK || have == 0)
        return failure;
    enum tls_reason reason = check_type(session, header[0]);
    /* RFC 8446, 5.1 has legacy_record_version ignored. Its first byte is looked at nevertheless, to tell TLS
     * from something else: no version of TLS or SSL 3 has ever sent another. */
    if (reason == TLS_REASON_NONE && have >= 2 && header[1] != TLS_LEGACY_MAJOR)
        reason = TLS_REASON_NOT_TLS;
    if (reason == TLS_REASON_NONE && have >= TLS_RECORD_HEADER) {
        size_t len = (size_t)header[3] << 8 | header[4];
        reason = check_length(header[0], len);
        if (reason == TLS_REASON_NONE)
            *size = TLS_RECORD_HEADER + len;
    }
    return tls_failure_set(session, reason);
}

/* RFC 8446, 5.3: the IV xor the sequence number, padded on the left with zeros to the IV's length. */
static void make_nonce(const struct aead *aead, const struct tls_traffic *traffic,
                       uint8_t nonce[static AEAD_IV_MAX])
{
    uint64_t sequence = htobe64(traffic->sequence), tail;
    uint8_t *end = nonce + aead->iv_len - sizeof tail;
    memcpy(nonce, traffic->iv, sizeof traffic->iv);
    memcpy(&tail, end, sizeof tail);
    tail ^= sequence;
    memcpy(end, &tail, sizeof tail);
}

static void put_header(uint8_t *out, enum tls_record_type type, size_t len)
{
    out[0] = (uint8_t)type;
    out[1] = 3;
    out[2] = 3;
    out[3] = (uint8_t)(len >> 8);
    out[4] = (uint8_t)len;
}

enum tls_reason tls_record_protect(struct tls_session *session, enum tls_record_type type,
                                   const uint8_t *content, size_t len, size_t padding, uint8_t *out,
                                   size_t *out_len)
{
    const struct aead *aead = aead_or_none(session->suite);
    uint8_t nonce[AEAD_IV_MAX];
    uint8_t *inner = out + TLS_RECORD_HEADER, *tail = inner + len;
    *out_len = 0;
    if (session->tx.sequence == UINT64_MAX) /* RFC 8446, 5.3: it must not wrap */
        return TLS_REASON_SEQUENCE;
    const size_t inner_len = len + 1 + padding;
    put_header(out, TLS_RECORD_APPLICATION_DATA, inner_len + TLS_TAG_LEN);
    *tail = (uint8_t)type;
    if (padding > 0)
        memset(tail + 1, 0, padding);
    make_nonce(aead, &session->tx, nonce);
    /* TLSInnerPlaintext (RFC 8446, 5.2): content, type, padding; the content from where it is */
    struct aead_part parts[] = {{content, inner, len}, {tail, tail, 1 + padding}};
    const struct aead_message message = {session->tx.key, nonce, out, TLS_RECORD_HEADER, parts, 2};
    if (!aead->seal(&message, inner + inner_len))
        return TLS_REASON_MISUSE;
    session->tx.sequence++;
    session->tx.bytes += len;
    *out_len = TLS_RECORD_HEADER + inner_len + TLS_TAG_LEN;
    return TLS_REASON_NONE;
}

/* Finds the content type (RFC 8446, 5.4) in `len` bytes of inner plaintext and its `last` byte behind them.
 */
static enum tls_reason unpad(const uint8_t *inner, size_t len, uint8_t last, size_t *content_len,
                             uint8_t *type)
{
    *type = last;
    while (*type == 0 && len > 0)
        *type = inner[--len];
    if (*type == 0)
        return TLS_REASON_RECORD_PADDING;
    *content_len = len;
    if (len == 0 && (*type == TLS_RECORD_HANDSHAKE || *type == TLS_RECORD_ALERT))
        return TLS_REASON_RECORD_EMPTY; /* RFC 8446, 5.4 */
    return TLS_REASON_NONE;
}

/* Decrypts TLSInnerPlaintext, of `inner` bytes, in a record that was protected with the keys and the sequence
 * number of `traffic`. Its last byte, which is the content type unless there is padding, does not go to the
 * content's place. */
static bool decrypt(const struct aead *aead, const struct tls_traffic *traffic, const uint8_t *record,
                    size_t inner, uint8_t *out, uint8_t *last)
{
    uint8_t nonce[AEAD_IV_MAX];
    const uint8_t *body = record + TLS_RECORD_HEADER;
    const size_t before_last = inner > 0 ? inner - 1 : 0;
    struct aead_part parts[] = {{body, out, before_last}, {body + before_last, last, inner - before_last}};
    const struct aead_message message = {traffic->key, nonce, record, TLS_RECORD_HEADER, parts, 2};
    make_nonce(aead, traffic, nonce);
    return aead->open(&message, body + inner);
}

enum tls_reason tls_record_deprotect(struct tls_session *session, const uint8_t *record, size_t len,
                                     uint8_t *out, size_t *out_len, uint8_t *type)
{
    uint8_t last = 0;
    const size_t sealed = len - TLS_RECORD_HEADER;
    *out_len = 0;
    if (sealed < TLS_TAG_LEN)
        return TLS_REASON_RECORD_MAC; /* RFC 8446, 5.2: what cannot be decrypted */
    const size_t inner = sealed - TLS_TAG_LEN, before_last = inner > 0 ? inner - 1 : 0;
    if (inner > TLS_PLAINTEXT_MAX + 1)
        return TLS_REASON_RECORD_LONG; /* RFC 8446, 5.4 */
    if (session->rx.sequence == UINT64_MAX)
        return TLS_REASON_SEQUENCE; /* RFC 8446, 5.3 */
    if (!decrypt(aead_or_none(session->suite), &session->rx, record, inner, out, &last))
        return TLS_REASON_RECORD_MAC;
    /* The sending direction looks at it (tls_session_renew). */
    __atomic_store_n(&session->rx.sequence, session->rx.sequence + 1, __ATOMIC_RELAXED);
    enum tls_reason reason = unpad(out, before_last, last, out_len, type);
    if (reason != TLS_REASON_NONE)
        memset(out, 0, before_last);
    return reason;
}

bool tls_record_recover(const struct tls_session *session, const uint8_t *record, size_t content_len,
                        uint8_t *out)
{
    uint8_t type;
    return decrypt(aead_or_none(session->suite), &session->tx, record, content_len + 1, out, &type);
}

enum tls_reason tls_record_append(struct tls_session *session, enum tls_record_type type,
                                  const uint8_t *content, size_t len, struct tls_buffer *out)
{
    uint8_t *at = out->data + out->len;
    size_t added = TLS_RECORD_HEADER + len;
    if (out->cap - out->len < len + TLS_SEAL_OVERHEAD || session->tx_keys == TLS_KEYS_WIPED)
        return TLS_REASON_MISUSE;
    if (session->tx_keys != TLS_KEYS_NONE && type != TLS_RECORD_CHANGE_CIPHER_SPEC) {
        enum tls_reason reason = tls_record_protect(session, type, content, len, 0, at, &added);
        if (reason != TLS_REASON_NONE)
            return reason;
    } else {
        put_header(at, type, len);
        memcpy(at + TLS_RECORD_HEADER, content, len);
    }
    out->len += added;
    return TLS_REASON_NONE;
}
