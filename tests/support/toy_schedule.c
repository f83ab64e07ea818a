/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "toy_tls.h"

#include <string.h>

#include "aegis_model.h"

static void hmac(const uint8_t *key, size_t key_len, const void *data, size_t len, uint8_t out[32])
{
    crypto_auth_hmacsha256_state state;
    crypto_auth_hmacsha256_init(&state, key, key_len);
    crypto_auth_hmacsha256_update(&state, data, len);
    crypto_auth_hmacsha256_final(&state, out);
}

/* RFC 8446, 7.1; no output here is longer than one block of HKDF-Expand. */
void toy_expand_label(const uint8_t secret[32], const char *label, const void *context, size_t context_len,
                      uint8_t *out, size_t len)
{
    struct toy_buffer info;
    info.len = 0;
    uint8_t block[32];
    toy_put_number(&info, len, 2);
    toy_put_number(&info, strlen("tls13 ") + strlen(label), 1);
    toy_put(&info, "tls13 ", strlen("tls13 "));
    toy_put(&info, label, strlen(label));
    toy_put_number(&info, context_len, 1);
    toy_put(&info, context, context_len);
    toy_put_number(&info, 1, 1);
    hmac(secret, 32, info.data, info.len, block);
    memcpy(out, block, len);
}

static void derive_empty(const uint8_t secret[32], const char *label, uint8_t out[32])
{
    uint8_t hash[32];
    crypto_hash_sha256(hash, NULL, 0);
    toy_expand_label(secret, label, hash, sizeof hash, out, 32);
}

static void early_secret(const uint8_t *psk, size_t psk_len, uint8_t out[32])
{
    static const uint8_t zeros[32];
    hmac(zeros, sizeof zeros, psk, psk_len, out);
}

static size_t binders_len(size_t count)
{
    return 2 + count * 33;
}

static void binder_for(const struct toy *toy, const uint8_t *message, size_t len, size_t count,
                       const uint8_t *psk, size_t psk_len, uint8_t binder[32])
{
    uint8_t secret[32], key[32], hash[32];
    crypto_hash_sha256_state truncated = toy->transcript;
    crypto_hash_sha256_update(&truncated, message, len - binders_len(count));
    crypto_hash_sha256_final(&truncated, hash);
    early_secret(psk, psk_len, secret);
    derive_empty(secret, "ext binder", key);
    toy_expand_label(key, "finished", NULL, 0, secret, 32);
    hmac(secret, 32, hash, sizeof hash, binder);
}

void toy_binder(const struct toy *toy, const uint8_t *message, size_t len, size_t count, uint8_t binder[32])
{
    binder_for(toy, message, len, count, toy->psk, toy->psk_len, binder);
}

void toy_bind_one(const struct toy *toy, struct toy_buffer *message, size_t count, size_t index,
                  const uint8_t *psk, size_t psk_len)
{
    uint8_t *place = message->data + message->len - binders_len(count) + 2 + index * 33 + 1;
    binder_for(toy, message->data, message->len, count, psk, psk_len, place);
}

void toy_bind(const struct toy *toy, struct toy_buffer *message, size_t count)
{
    for (size_t i = 0; i < count; i++)
        toy_bind_one(toy, message, count, i, toy->psk, toy->psk_len);
}

void toy_handshake_secrets(struct toy *toy, const uint8_t peer_share[32])
{
    static const uint8_t zeros[32];
    uint8_t shared[32] = {0}, salt[32], secret[32], hash[32];
    /* A low-order share is the test's wish: go on with zeros. */
    if (crypto_scalarmult_curve25519(shared, toy->private_key, peer_share) != 0)
        memset(shared, 0, sizeof shared);
    early_secret(toy->psk, toy->psk_len, toy->early_secret);
    derive_empty(toy->early_secret, "derived", salt);
    hmac(salt, 32, shared, 32, secret);
    toy_transcript_hash(toy, hash);
    toy_expand_label(secret, "c hs traffic", hash, 32, toy->client_handshake, 32);
    toy_expand_label(secret, "s hs traffic", hash, 32, toy->server_handshake, 32);
    derive_empty(secret, "derived", salt);
    hmac(salt, 32, zeros, 32, toy->master_secret);
}

void toy_application_secrets(struct toy *toy)
{
    uint8_t hash[32];
    toy_transcript_hash(toy, hash);
    toy_expand_label(toy->master_secret, "c ap traffic", hash, 32, toy->client_application, 32);
    toy_expand_label(toy->master_secret, "s ap traffic", hash, 32, toy->server_application, 32);
}

void toy_finished(const struct toy *toy, bool of_server, struct toy_buffer *message)
{
    uint8_t key[32], hash[32], mac[32];
    toy_expand_label(of_server ? toy->server_handshake : toy->client_handshake, "finished", NULL, 0, key, 32);
    toy_transcript_hash(toy, hash);
    hmac(key, 32, hash, 32, mac);
    message->len = 0;
    toy_message(message, TOY_FINISHED, mac, sizeof mac);
}

/* 0 for a suite that is not AEGIS. */
static int aegis_lanes(uint16_t suite)
{
    return suite == TOY_AEGIS ? 1 : suite == TOY_AEGIS_X2 ? 2 : suite == TOY_AEGIS_X4 ? 4 : 0;
}

static size_t key_len(uint16_t suite)
{
    return aegis_lanes(suite) ? 16 : 32;
}

static size_t iv_len(uint16_t suite)
{
    return aegis_lanes(suite) ? 16 : 12;
}

void toy_keys_set(struct toy_keys *keys, uint16_t suite, const uint8_t secret[32])
{
    memmove(keys->secret, secret, 32);
    keys->suite = suite;
    keys->sequence = 0;
    toy_expand_label(keys->secret, "key", NULL, 0, keys->key, key_len(suite));
    toy_expand_label(keys->secret, "iv", NULL, 0, keys->iv, iv_len(suite));
}

void toy_keys_update(struct toy_keys *keys)
{
    uint8_t next[32];
    toy_expand_label(keys->secret, "traffic upd", NULL, 0, next, 32);
    toy_keys_set(keys, keys->suite, next);
}

/* RFC 8446, 5.3. */
static void next_nonce(struct toy_keys *keys, uint8_t nonce[16])
{
    size_t len = iv_len(keys->suite);
    memcpy(nonce, keys->iv, len);
    for (size_t i = 0; i < 8; i++)
        nonce[len - 1 - i] ^= (uint8_t)(keys->sequence >> (8 * i));
    keys->sequence++;
}

void toy_seal_inner(struct toy_keys *keys, const void *inner, size_t len, struct toy_buffer *out)
{
    uint8_t nonce[16];
    struct toy_buffer sealed;
    sealed.len = len + TOY_TAG_LEN;
    size_t header = out->len;
    toy_put_number(out, TOY_DATA, 1);
    toy_put_number(out, 0x0303, 2);
    toy_put_number(out, sealed.len, 2);
    next_nonce(keys, nonce);
    if (aegis_lanes(keys->suite))
        aegis_model_encrypt(aegis_lanes(keys->suite), keys->key, nonce, out->data + header, 5, inner, len,
                            sealed.data, sealed.data + len, TOY_TAG_LEN);
    else
        crypto_aead_chacha20poly1305_ietf_encrypt(sealed.data, NULL, inner, len, out->data + header, 5, NULL,
                                                  nonce, keys->key);
    toy_put(out, sealed.data, sealed.len);
}

void toy_seal(struct toy_keys *keys, uint8_t type, const void *content, size_t len, size_t padding,
              struct toy_buffer *out)
{
    struct toy_buffer inner;
    inner.len = 0;
    toy_put(&inner, content, len);
    toy_put_number(&inner, type, 1);
    for (size_t i = 0; i < padding; i++)
        toy_put_number(&inner, 0, 1);
    toy_seal_inner(keys, inner.data, inner.len, out);
}

bool toy_open(struct toy_keys *keys, const uint8_t *record, size_t len, uint8_t *type,
              struct toy_buffer *content)
{
    uint8_t nonce[16];
    bool good;
    if (len < 5 + TOY_TAG_LEN)
        return false;
    size_t inner = len - 5 - TOY_TAG_LEN;
    next_nonce(keys, nonce);
    if (aegis_lanes(keys->suite))
        good = aegis_model_decrypt(aegis_lanes(keys->suite), keys->key, nonce, record, 5, record + 5, inner,
                                   content->data, record + 5 + inner, TOY_TAG_LEN);
    else
        good = crypto_aead_chacha20poly1305_ietf_decrypt(content->data, NULL, NULL, record + 5, len - 5,
                                                         record, 5, nonce, keys->key) == 0;
    if (!good)
        return false;
    while (inner > 0 && content->data[inner - 1] == 0)
        inner--;
    if (inner == 0)
        return false;
    *type = content->data[inner - 1];
    content->len = inner - 1;
    return true;
}
