/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_TLS_RECORD_H
#define SOCKSEAL_TLS_RECORD_H

/*
 * The record protocol (RFC 8446, 5): framing and protection. It knows which keys are installed, not why.
 * tls_record_size(), of the public header, is here too.
 */

#include "tls/tls.h"
#include "tls/tls_failure.h"

/* tls_session.rx_keys and tx_keys. */
enum tls_keys {
    TLS_KEYS_NONE,        /* records go in the clear */
    TLS_KEYS_HANDSHAKE,   /* handshake traffic keys */
    TLS_KEYS_APPLICATION, /* application traffic keys */
    TLS_KEYS_WIPED,       /* the connection is over: no record goes at all */
};

/* Begins a session: everything zero, records in the clear. */
void tls_record_begin(struct tls_session *session, enum tls_role role);

/* Installs a direction's keys, derived from a traffic secret for session->suite. */
void tls_record_set_rx(struct tls_session *session, enum tls_keys keys, const uint8_t secret[static 32]);
void tls_record_set_tx(struct tls_session *session, enum tls_keys keys, const uint8_t secret[static 32]);

/* Wipes a direction's keys for good. */
void tls_record_wipe_rx(struct tls_session *session);
void tls_record_wipe_tx(struct tls_session *session);

/* Protects `len` bytes and `padding` zeros (RFC 8446, 5.4), together at most TLS_PLAINTEXT_MAX, as one record
 * at `out`, of *out_len bytes. `content` may be out + TLS_RECORD_HEADER. The caller has made sure that there
 * are keys. */
enum tls_reason tls_record_protect(struct tls_session *session, enum tls_record_type type,
                                   const uint8_t *content, size_t len, size_t padding, uint8_t *out,
                                   size_t *out_len);

/* Removes the protection of one whole record of outer type application_data: its content of *out_len bytes at
 * `out`, and its inner type. The caller has made sure that there are keys. A failure leaves the rx sequence
 * number as it was. */
enum tls_reason tls_record_deprotect(struct tls_session *session, const uint8_t *record, size_t len,
                                     uint8_t *out, size_t *out_len, uint8_t *type);

/* Decrypts a record of our own, without padding, that tls_record_protect() made under the tx sequence number:
 * `content_len` bytes to `out`. False, with zeros there, if it was not made so. */
bool tls_record_recover(const struct tls_session *session, const uint8_t *record, size_t content_len,
                        uint8_t *out);

/* Appends a record, protected if there are keys and in the clear before (change_cipher_spec always in the
 * clear). */
enum tls_reason tls_record_append(struct tls_session *session, enum tls_record_type type,
                                  const uint8_t *content, size_t len, struct tls_buffer *out);

#endif
