/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "tls/tls_call.h"

#include <string.h>

#include "crypto/aead.h"
#include "crypto/secret.h"

_Static_assert(sizeof(struct tls_handshake_data) <= sizeof(struct tls_handshake),
               "tls.h gives room for the layout");
_Static_assert(_Alignof(struct tls_handshake_data) <= _Alignof(struct tls_handshake), "and alignment");
_Static_assert(sizeof(struct tls_hello_reader) <= TLS_STORED_MAX, "the reader shares its room");

struct tls_handshake_data *tls_call_data(struct tls_handshake *handshake)
{
    return (struct tls_handshake_data *)(void *)handshake->opaque;
}

const uint16_t *tls_call_suites(const struct tls_config *config, size_t *count)
{
    if (config->suite_count == 0)
        return aead_default_suites(count);
    *count = config->suite_count;
    return config->suites;
}

void tls_call_reset(struct tls_handshake *handshake)
{
    memset(handshake, 0, offsetof(struct tls_handshake_data, stored));
    sha256_init(&tls_call_data(handshake)->transcript);
}

static bool client_valid(const struct tls_handshake_data *handshake)
{
    const struct tls_client_state *client = &handshake->client;
    return client->offer.psk_count <= TLS_OFFERED_PSKS_MAX &&
           client->offer.suite_count <= TLS_HELLO_SUITES_MAX && client->offer.group_count <= TLS_GROUPS_MAX &&
           client->unsent <= client->unsent_end && client->unsent_end <= sizeof handshake->stored;
}

/* Behind what `used` says there may be anything. */
static bool stored_valid(const struct tls_handshake_data *handshake)
{
    return handshake->used <= sizeof handshake->stored &&
           (handshake->message_len <= TLS_MESSAGE_HEADER || handshake->message_len <= handshake->used);
}

static bool hello_valid(const struct tls_handshake_data *handshake)
{
    return tls_hello_reader_valid(&handshake->hello) &&
           tls_hello_reader_used(&handshake->hello) <= handshake->used;
}

bool tls_call_valid(const struct tls_handshake_data *handshake, enum tls_state state)
{
    switch (state) {
    case TLS_STATE_WAIT_CLIENT_HELLO:
    case TLS_STATE_WAIT_CLIENT_HELLO_2:
        return handshake->message_len < TLS_MESSAGE_HEADER || hello_valid(handshake);
    case TLS_STATE_WAIT_CLIENT_FINISHED:
        return stored_valid(handshake);
    default:
        return stored_valid(handshake) && client_valid(handshake);
    }
}

void tls_call_use(struct tls_handshake_data *handshake, size_t len)
{
    if (handshake->used < len)
        handshake->used = (uint32_t)len;
}

/* The memory may never have been a handshake's, or be shared: whatever `used` says, it is no more than there
 * is.
 */
size_t tls_handshake_used(const struct tls_handshake *handshake)
{
    const struct tls_handshake_data *data = (const void *)handshake->opaque;
    const size_t used = __atomic_load_n(&data->used, __ATOMIC_RELAXED);
    return offsetof(struct tls_handshake_data, stored) +
           (used < sizeof data->stored ? used : sizeof data->stored);
}

size_t tls_handshake_copy(struct tls_handshake *to, const struct tls_handshake *from)
{
    const size_t first = offsetof(struct tls_handshake_data, stored);
    memcpy(to, from, first);
    const size_t used = tls_handshake_used(to);
    memcpy((uint8_t *)to + first, (const uint8_t *)from + first, used - first);
    return used;
}

void tls_call_wipe(struct tls_handshake *handshake)
{
    secret_wipe(handshake, tls_handshake_used(handshake));
}

void tls_key_pair_wipe(struct tls_key_pair *pair)
{
    if (pair != NULL)
        secret_wipe(pair, sizeof *pair);
}

enum tls_reason tls_call_random(const struct tls_call *call, uint8_t *out, size_t len)
{
    if (call->config->random == NULL)
        return secret_random(out, len) ? TLS_REASON_NONE : TLS_REASON_NO_RANDOM;
    call->config->random(out, len);
    return TLS_REASON_NONE;
}

void tls_call_keylog(const struct tls_call *call, const char *label, const uint8_t secret[static 32])
{
    if (call->config->keylog != NULL)
        call->config->keylog(label, call->handshake->client_random, secret);
}
