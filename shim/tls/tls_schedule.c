/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "tls/tls_schedule.h"

#include <string.h>

#include "crypto/aead.h"
#include "crypto/hkdf.h"
#include "crypto/secret.h"
#include "crypto/sha256.h"
#include "tls/tls_cursor.h"

const char tls_schedule_external_binder[] = "ext binder";
const char tls_schedule_imported_binder[] = "imp binder";

/* Transcript-Hash(""), which several derivations take as their context. */
static const uint8_t empty_hash[TLS_SCHEDULE_HASH] = {
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
    0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55};
static const uint8_t zeros[TLS_SCHEDULE_HASH];

/* struct HkdfLabel (RFC 8446, 7.1) and HKDF-Expand over it. */
static void expand(const struct sha256_key *secret, const char *label, const uint8_t *context,
                   size_t context_len, uint8_t *out, size_t out_len)
{
    static const uint8_t prefix[] = {'t', 'l', 's', '1', '3', ' '};
    uint8_t info[2 + 1 + 255 + 1 + 255];
    struct tls_writer writer = tls_cursor_writer(info, sizeof info);
    tls_cursor_put_u16(&writer, (uint16_t)out_len);
    size_t mark = tls_cursor_begin(&writer, 1);
    tls_cursor_put_bytes(&writer, prefix, sizeof prefix);
    tls_cursor_put_bytes(&writer, (const uint8_t *)label, strlen(label));
    tls_cursor_end(&writer, mark, 1);
    mark = tls_cursor_begin(&writer, 1);
    tls_cursor_put_bytes(&writer, context, context_len);
    tls_cursor_end(&writer, mark, 1);
    /* Neither can fail: every label is a constant of this room, and every length a key's or a hash's. Should
     * one of them ever be wrong, stopping is better than going on with a key that everybody knows. */
    if (writer.full || !hkdf_expand_prepared(secret, info, writer.len, out, out_len))
        __builtin_trap();
}

void tls_schedule_expand_label(const uint8_t secret[static TLS_SCHEDULE_HASH], const char *label,
                               const uint8_t *context, size_t context_len, uint8_t *out, size_t out_len)
{
    struct sha256_key prepared;
    sha256_key_init(&prepared, secret, TLS_SCHEDULE_HASH);
    expand(&prepared, label, context, context_len, out, out_len);
    secret_wipe(&prepared, sizeof prepared);
}

void tls_schedule_derive(const uint8_t secret[static TLS_SCHEDULE_HASH], const char *label,
                         const uint8_t transcript[static TLS_SCHEDULE_HASH],
                         uint8_t out[static TLS_SCHEDULE_HASH])
{
    tls_schedule_expand_label(secret, label, transcript, TLS_SCHEDULE_HASH, out, TLS_SCHEDULE_HASH);
}

void tls_schedule_early(const uint8_t *psk, size_t psk_len, uint8_t early[static TLS_SCHEDULE_HASH])
{
    hkdf_extract(zeros, sizeof zeros, psk, psk_len, early);
}

/* From one extracted secret to the next: Derive-Secret(., "derived", "") is the salt. */
static void prepare_salt(const struct sha256_key *secret, struct sha256_key *salt)
{
    uint8_t bytes[TLS_SCHEDULE_HASH];
    expand(secret, "derived", empty_hash, sizeof empty_hash, bytes, sizeof bytes);
    sha256_key_init(salt, bytes, sizeof bytes);
    secret_wipe(bytes, sizeof bytes);
}

static void next_secret(const uint8_t *secret, const uint8_t *ikm, size_t ikm_len, uint8_t *out)
{
    struct sha256_key prepared;
    struct sha256_key salt;
    sha256_key_init(&prepared, secret, TLS_SCHEDULE_HASH);
    prepare_salt(&prepared, &salt);
    sha256_key_hmac(&salt, ikm, ikm_len, out); /* HKDF-Extract */
    secret_wipe(&prepared, sizeof prepared);
    secret_wipe(&salt, sizeof salt);
}

void tls_schedule_handshake(const uint8_t early[static TLS_SCHEDULE_HASH], const uint8_t *ecdhe,
                            size_t ecdhe_len, uint8_t handshake[static TLS_SCHEDULE_HASH])
{
    next_secret(early, ecdhe, ecdhe_len, handshake);
}

void tls_schedule_master(const uint8_t handshake[static TLS_SCHEDULE_HASH],
                         uint8_t master[static TLS_SCHEDULE_HASH])
{
    next_secret(handshake, zeros, sizeof zeros, master);
}

void tls_schedule_finished(const uint8_t base[static TLS_SCHEDULE_HASH],
                           const uint8_t transcript[static TLS_SCHEDULE_HASH],
                           uint8_t out[static TLS_SCHEDULE_HASH])
{
    uint8_t key[TLS_SCHEDULE_HASH];
    tls_schedule_expand_label(base, "finished", NULL, 0, key, sizeof key);
    sha256_hmac(key, sizeof key, transcript, TLS_SCHEDULE_HASH, out);
    secret_wipe(key, sizeof key);
}

/* The key of a Finished or of a binder. */
static void prepare_finished(const struct sha256_key *base, struct sha256_key *finished)
{
    uint8_t key[TLS_SCHEDULE_HASH];
    expand(base, "finished", NULL, 0, key, sizeof key);
    sha256_key_init(finished, key, sizeof key);
    secret_wipe(key, sizeof key);
}

void tls_schedule_restore_psk(struct tls_schedule_psk *psk)
{
    uint8_t secret[TLS_SCHEDULE_HASH];
    struct sha256_key early;
    struct sha256_key binder_key;
    sha256_key_init(&early, psk->early, sizeof psk->early);
    prepare_salt(&early, &psk->salt);
    expand(&early, tls_schedule_external_binder, empty_hash, sizeof empty_hash, secret, sizeof secret);
    sha256_key_init(&binder_key, secret, sizeof secret);
    prepare_finished(&binder_key, &psk->binder);
    secret_wipe(secret, sizeof secret);
    secret_wipe(&early, sizeof early);
    secret_wipe(&binder_key, sizeof binder_key);
}

void tls_schedule_prepare_psk(const uint8_t *key, size_t key_len, struct tls_schedule_psk *psk)
{
    tls_schedule_early(key, key_len, psk->early);
    tls_schedule_restore_psk(psk);
}

/* HKDF-Extract, prepared for what is derived from its result. */
static void extract(const struct sha256_key *salt, const uint8_t *ikm, size_t ikm_len,
                    struct sha256_key *secret)
{
    uint8_t bytes[TLS_SCHEDULE_HASH];
    sha256_key_hmac(salt, ikm, ikm_len, bytes);
    sha256_key_init(secret, bytes, sizeof bytes);
    secret_wipe(bytes, sizeof bytes);
}

void tls_schedule_secrets(const struct tls_schedule_psk *psk, const uint8_t *ecdhe, size_t ecdhe_len,
                          struct sha256_key *handshake, struct sha256_key *master)
{
    struct sha256_key salt;
    extract(&psk->salt, ecdhe, ecdhe_len, handshake);
    prepare_salt(handshake, &salt);
    extract(&salt, zeros, sizeof zeros, master);
    secret_wipe(&salt, sizeof salt);
}

void tls_schedule_derive_prepared(const struct sha256_key *secret, const char *label,
                                  const uint8_t transcript[static TLS_SCHEDULE_HASH],
                                  uint8_t out[static TLS_SCHEDULE_HASH])
{
    expand(secret, label, transcript, TLS_SCHEDULE_HASH, out, TLS_SCHEDULE_HASH);
}

void tls_schedule_binder(const uint8_t early[static TLS_SCHEDULE_HASH], const char *label,
                         const uint8_t transcript[static TLS_SCHEDULE_HASH],
                         uint8_t out[static TLS_SCHEDULE_HASH])
{
    uint8_t binder_key[TLS_SCHEDULE_HASH];
    tls_schedule_derive(early, label, empty_hash, binder_key);
    tls_schedule_finished(binder_key, transcript, out);
    secret_wipe(binder_key, sizeof binder_key);
}

void tls_schedule_traffic(struct tls_traffic *traffic, uint16_t suite,
                          const uint8_t secret[static TLS_SCHEDULE_HASH])
{
    const struct aead *aead = aead_or_none(suite);
    memmove(traffic->secret, secret, sizeof traffic->secret);
    struct sha256_key prepared;
    sha256_key_init(&prepared, traffic->secret, sizeof traffic->secret);
    expand(&prepared, "key", NULL, 0, traffic->key, aead->key_len);
    expand(&prepared, "iv", NULL, 0, traffic->iv, aead->iv_len);
    secret_wipe(&prepared, sizeof prepared);
    /* RFC 8446, 5.3: 0 with each key. The sending direction looks at the receiving one's. */
    __atomic_store_n(&traffic->sequence, 0, __ATOMIC_RELAXED);
    traffic->bytes = 0;
    traffic->since = 0;
}

void tls_schedule_update(struct tls_traffic *traffic, uint16_t suite)
{
    uint8_t next[TLS_SCHEDULE_HASH];
    tls_schedule_expand_label(traffic->secret, "traffic upd", NULL, 0, next, sizeof next);
    tls_schedule_traffic(traffic, suite, next);
    /* The receiving direction looks at the sending one's count. */
    __atomic_store_n(&traffic->updates, traffic->updates + 1, __ATOMIC_RELAXED);
    secret_wipe(next, sizeof next);
}
