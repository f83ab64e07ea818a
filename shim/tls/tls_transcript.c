/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "tls/tls_transcript.h"

#include <string.h>

#include "crypto/secret.h"

void tls_transcript_add(const struct tls_call *call, const uint8_t *message, size_t len)
{
    sha256_update(&call->handshake->transcript, message, len);
}

void tls_transcript_hash(const struct tls_call *call, uint8_t hash[static 32])
{
    struct sha256 copy = call->handshake->transcript;
    sha256_final(&copy, hash);
}

void tls_transcript_restart(const struct tls_call *call)
{
    const uint8_t header[TLS_MESSAGE_HEADER] = {TLS_MESSAGE_HASH, 0, 0, 32};
    uint8_t hash[32];
    sha256_final(&call->handshake->transcript, hash);
    sha256_init(&call->handshake->transcript);
    tls_transcript_add(call, header, sizeof header);
    tls_transcript_add(call, hash, sizeof hash);
}

void tls_transcript_derive(const struct tls_call *call, const struct tls_schedule_psk *psk,
                           const struct tls_kex_secret *shared, uint8_t client[static 32],
                           uint8_t server[static 32])
{
    uint8_t hash[32];
    struct sha256_key secret;
    tls_schedule_secrets(psk, shared->bytes, shared->len, &secret, &call->handshake->master_secret);
    tls_transcript_hash(call, hash);
    tls_schedule_derive_prepared(&secret, "c hs traffic", hash, client);
    tls_schedule_derive_prepared(&secret, "s hs traffic", hash, server);
    secret_wipe(&secret, sizeof secret);
    tls_call_keylog(call, "CLIENT_HANDSHAKE_TRAFFIC_SECRET", client);
    tls_call_keylog(call, "SERVER_HANDSHAKE_TRAFFIC_SECRET", server);
}

void tls_transcript_derive_application(const struct tls_call *call, uint8_t client[static 32],
                                       uint8_t server[static 32])
{
    struct sha256_key *master = &call->handshake->master_secret;
    uint8_t hash[32];
    tls_transcript_hash(call, hash);
    tls_schedule_derive_prepared(master, "c ap traffic", hash, client);
    tls_schedule_derive_prepared(master, "s ap traffic", hash, server);
    tls_call_keylog(call, "CLIENT_TRAFFIC_SECRET_0", client);
    tls_call_keylog(call, "SERVER_TRAFFIC_SECRET_0", server);
    secret_wipe(master, sizeof *master);
}

void tls_transcript_put_finished(const struct tls_call *call, const uint8_t secret[static 32],
                                 uint8_t message[static TLS_FINISHED_LEN])
{
    const uint8_t header[TLS_MESSAGE_HEADER] = {TLS_FINISHED, 0, 0, 32};
    uint8_t hash[32];
    tls_transcript_hash(call, hash);
    memcpy(message, header, sizeof header);
    tls_schedule_finished(secret, hash, message + TLS_MESSAGE_HEADER);
    tls_transcript_add(call, message, TLS_FINISHED_LEN);
}

enum tls_reason tls_transcript_verify_finished(const struct tls_call *call, const uint8_t *message,
                                               size_t len)
{
    uint8_t hash[32];
    uint8_t expected[32];
    if (len != TLS_FINISHED_LEN)
        return TLS_REASON_MALFORMED;
    tls_transcript_hash(call, hash);
    tls_schedule_finished(call->session->rx.secret, hash, expected);
    bool equal = secret_equal(expected, message + TLS_MESSAGE_HEADER, sizeof expected);
    secret_wipe(expected, sizeof expected);
    if (!equal)
        return TLS_REASON_FINISHED; /* RFC 8446, 4.4.4 */
    tls_transcript_add(call, message, len);
    return TLS_REASON_NONE;
}
