/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_TLS_SCHEDULE_H
#define SOCKSEAL_TLS_SCHEDULE_H

/*
 * The key schedule of RFC 8446, 7.1, for SHA-256 and a pre-shared key. Each step takes one secret and gives
 * the next; all secrets and hashes are TLS_SCHEDULE_HASH bytes. The caller wipes what it no longer needs.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/sha256.h"
#include "tls/tls.h"

enum { TLS_SCHEDULE_HASH = 32 };

/* The labels under which the binder key of a PSK is derived: for keys that are used as they are (RFC
 * 8446, 7.1) and for imported ones (RFC 9258, 5.2), whose ImportedIdentity is the PSK's identity. */
extern const char tls_schedule_external_binder[];
extern const char tls_schedule_imported_binder[];

/* HKDF-Expand-Label (RFC 8446, 7.1). The label comes without its "tls13 "; context_len is at most 255. */
void tls_schedule_expand_label(const uint8_t secret[static TLS_SCHEDULE_HASH], const char *label,
                               const uint8_t *context, size_t context_len, uint8_t *out, size_t out_len);

/* Early Secret: HKDF-Extract(0, PSK). */
void tls_schedule_early(const uint8_t *psk, size_t psk_len, uint8_t early[static TLS_SCHEDULE_HASH]);

/* Handshake Secret from the Early Secret and the (EC)DHE shared secret. */
void tls_schedule_handshake(const uint8_t early[static TLS_SCHEDULE_HASH], const uint8_t *ecdhe,
                            size_t ecdhe_len, uint8_t handshake[static TLS_SCHEDULE_HASH]);

/* Master Secret from the Handshake Secret. (RFC 9846 calls it Main Secret.) */
void tls_schedule_master(const uint8_t handshake[static TLS_SCHEDULE_HASH],
                         uint8_t master[static TLS_SCHEDULE_HASH]);

/* Derive-Secret, with the transcript hash given: "c hs traffic", "s ap traffic" and so on. */
void tls_schedule_derive(const uint8_t secret[static TLS_SCHEDULE_HASH], const char *label,
                         const uint8_t transcript[static TLS_SCHEDULE_HASH],
                         uint8_t out[static TLS_SCHEDULE_HASH]);

/* A PskBinderEntry (RFC 8446, 4.2.11.2): over the transcript hash up to the truncated ClientHello. */
void tls_schedule_binder(const uint8_t early[static TLS_SCHEDULE_HASH], const char *label,
                         const uint8_t transcript[static TLS_SCHEDULE_HASH],
                         uint8_t out[static TLS_SCHEDULE_HASH]);

/* verify_data of a Finished (RFC 8446, 4.4.4) under the sender's handshake traffic secret. */
void tls_schedule_finished(const uint8_t base[static TLS_SCHEDULE_HASH],
                           const uint8_t transcript[static TLS_SCHEDULE_HASH],
                           uint8_t out[static TLS_SCHEDULE_HASH]);

/*
 * The same for the handshake, which derives several things from each secret: a struct sha256_key is a secret
 * prepared for that.
 */

/* What follows from an external PSK alone. */
struct tls_schedule_psk {
    uint8_t early[TLS_SCHEDULE_HASH]; /* Early Secret: gives the other two by tls_schedule_restore_psk() */
    struct sha256_key binder;         /* sha256_key_hmac() over a transcript hash is the PskBinderEntry */
    struct sha256_key salt;           /* of the HKDF-Extract that gives the Handshake Secret */
};

void tls_schedule_restore_psk(struct tls_schedule_psk *psk);
void tls_schedule_prepare_psk(const uint8_t *key, size_t key_len, struct tls_schedule_psk *psk);

/* Handshake Secret and Master Secret. */
void tls_schedule_secrets(const struct tls_schedule_psk *psk, const uint8_t *ecdhe, size_t ecdhe_len,
                          struct sha256_key *handshake, struct sha256_key *master);

/* tls_schedule_derive(). */
void tls_schedule_derive_prepared(const struct sha256_key *secret, const char *label,
                                  const uint8_t transcript[static TLS_SCHEDULE_HASH],
                                  uint8_t out[static TLS_SCHEDULE_HASH]);

/* Traffic keys (RFC 8446, 7.3): sets secret, key and iv for the suite, and the sequence number to 0. */
void tls_schedule_traffic(struct tls_traffic *traffic, uint16_t suite,
                          const uint8_t secret[static TLS_SCHEDULE_HASH]);

/* The next generation of traffic keys (RFC 8446, 7.2). The old ones are overwritten. */
void tls_schedule_update(struct tls_traffic *traffic, uint16_t suite);

#endif
