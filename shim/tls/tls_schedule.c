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
void tls_schedule_expand_label(const uint8_t secret[static TLS_SCHEDULE_HASH], const char *label,
                               const uint8_t *context, size_t context_len, uint8_t *out, size_t out_len)
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
    if (writer.full || !hkdf_expand(secret, info, writer.len, out, out_len))
        __builtin_trap();
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
static void next_secret(const uint8_t *secret, const uint8_t *ikm, size_t ikm_len, uint8_t *out)
{
    uint8_t salt[TLS_SCHEDULE_HASH];
    tls_schedule_derive(secret, "derived", empty_hash, salt);
    hkdf_extract(salt, sizeof salt, ikm, ikm_len, out);
    secret_wipe(salt, sizeof salt);
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
    const struct aead *aead = aead_of(suite);
    memmove(traffic->secret, secret, sizeof traffic->secret);
    tls_schedule_expand_label(traffic->secret, "key", NULL, 0, traffic->key, aead->key_len);
    tls_schedule_expand_label(traffic->secret, "iv", NULL, 0, traffic->iv, aead->iv_len);
    traffic->sequence = 0; /* RFC 8446, 5.3: 0 with each key */
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
