/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "tls/tls_kex.h"

#include <string.h>

unsigned tls_kex_bit(uint16_t group)
{
    return group == TLS_GROUP_X25519 ? 1 : group == TLS_GROUP_X25519MLKEM768 ? 2 : 0;
}

static bool is_usable(uint16_t group)
{
    return group == TLS_GROUP_X25519 || (group == TLS_GROUP_X25519MLKEM768 && mlkem768_available());
}

size_t tls_kex_groups(const struct tls_config *config, uint16_t groups[static TLS_GROUPS_MAX])
{
    static const uint16_t all[] = {TLS_GROUP_X25519MLKEM768, TLS_GROUP_X25519};
    const uint16_t *wanted = config->group_count > 0 ? config->groups : all;
    const size_t wanted_count = config->group_count > 0 ? config->group_count : TLS_GROUPS_MAX;
    unsigned taken = 0;
    size_t count = 0;
    for (size_t i = 0; i < wanted_count; i++) {
        const unsigned bit = tls_kex_bit(wanted[i]);
        if (!is_usable(wanted[i]) || (taken & bit))
            continue;
        taken |= bit;
        groups[count++] = wanted[i];
    }
    return count;
}

size_t tls_kex_client_len(uint16_t group)
{
    return group == TLS_GROUP_X25519           ? X25519_LEN
           : group == TLS_GROUP_X25519MLKEM768 ? TLS_KEX_CLIENT_MAX
                                               : 0;
}

size_t tls_kex_server_len(uint16_t group)
{
    return group == TLS_GROUP_X25519           ? X25519_LEN
           : group == TLS_GROUP_X25519MLKEM768 ? TLS_KEX_SERVER_MAX
                                               : 0;
}

_Static_assert(sizeof(struct tls_key_pair) == MLKEM768_SECRET, "tls.h has the size of a pair");

enum tls_reason tls_kex_make(struct tls_kex_key *key, struct tls_key_pair *pair,
                             const struct tls_kex_seed *seed, const uint16_t *groups, size_t count)
{
    memcpy(key->x25519, seed->x25519, sizeof key->x25519);
    x25519_public(key->x25519_share, key->x25519);
    for (size_t i = 0; i < count; i++)
        if (groups[i] == TLS_GROUP_X25519MLKEM768 && !(pair && mlkem768_make(pair->mlkem768, seed->mlkem768)))
            return TLS_REASON_MISUSE;
    return TLS_REASON_NONE;
}

void tls_kex_share(uint16_t group, const struct tls_kex_key *key, const struct tls_key_pair *pair,
                   uint8_t *share)
{
    if (group == TLS_GROUP_X25519MLKEM768) {
        memcpy(share, mlkem768_public(pair->mlkem768), MLKEM768_PUBLIC);
        share += MLKEM768_PUBLIC;
    }
    memcpy(share, key->x25519_share, X25519_LEN);
}

/* Adds what X25519 gives (RFC 8446, 7.4.2). */
static enum tls_reason add_x25519(struct tls_kex_secret *secret, const uint8_t *own, const uint8_t *peer)
{
    if (!x25519_shared(secret->bytes + secret->len, own, peer))
        return TLS_REASON_SMALL_ORDER;
    secret->len += X25519_LEN;
    return TLS_REASON_NONE;
}

enum tls_reason tls_kex_answer(uint16_t group, const struct tls_kex_random *random,
                               const uint8_t *client_share, uint8_t *share, struct tls_kex_secret *secret)
{
    secret->len = 0;
    if (group == TLS_GROUP_X25519MLKEM768) {
        if (!mlkem768_encapsulate(share, secret->bytes, client_share, random->mlkem768))
            return TLS_REASON_KEY_SHARE;
        secret->len = MLKEM768_SHARED;
        share += MLKEM768_CIPHERTEXT;
        client_share += MLKEM768_PUBLIC;
    }
    x25519_public(share, random->x25519);
    return add_x25519(secret, random->x25519, client_share);
}

enum tls_reason tls_kex_finish(uint16_t group, const struct tls_kex_key *key, const struct tls_key_pair *pair,
                               const uint8_t *server_share, struct tls_kex_secret *secret)
{
    secret->len = 0;
    if (group == TLS_GROUP_X25519MLKEM768) {
        if (!mlkem768_decapsulate(secret->bytes, server_share, pair->mlkem768))
            return TLS_REASON_KEY_SHARE;
        secret->len = MLKEM768_SHARED;
        server_share += MLKEM768_CIPHERTEXT;
    }
    return add_x25519(secret, key->x25519, server_share);
}
