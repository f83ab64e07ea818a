/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "crypto/chacha20.h"

#include <endian.h>
#include <sodium.h>

enum { BLOCK = 64 };

/* RFC 8439, 2.4: blocks 1 and on of the key stream. What parts cut of a block is put together first. */
static void crypt(const struct aead_message *message)
{
    const size_t len = aead_parts_len(message);
    struct aead_cursor at = {message->parts, 0};
    uint8_t block[BLOCK];
    for (size_t done = 0, step; done < len; done += step) {
        const uint32_t counter = (uint32_t)(1 + done / BLOCK);
        step = aead_cursor_here(&at, len - done);
        if (done + step < len && step >= BLOCK)
            step -= step % BLOCK; /* the rest of this part goes with the next one */
        if (done + step == len || step >= BLOCK) {
            crypto_stream_chacha20_ietf_xor_ic(at.part->out + at.offset, at.part->in + at.offset, step,
                                               message->nonce, counter, message->key);
            at.offset += step;
            continue;
        }
        struct aead_cursor out = at;
        step = len - done < BLOCK ? len - done : BLOCK;
        aead_parts_gather(&at, block, step);
        crypto_stream_chacha20_ietf_xor_ic(block, block, step, message->nonce, counter, message->key);
        aead_parts_scatter(&out, block, step);
    }
    sodium_memzero(block, sizeof block);
}

/* RFC 8439, 2.8: pads what was authenticated to whole blocks of 16 bytes. */
static void pad(crypto_onetimeauth_poly1305_state *state, size_t len)
{
    static const uint8_t zeros[16];
    crypto_onetimeauth_poly1305_update(state, zeros, -len % sizeof zeros);
}

/* RFC 8439, 2.6 and 2.8. Of each part, `out` is the ciphertext of one that was sealed, and `in` of one to
 * open. */
static void authenticate(const struct aead_message *message, bool sealed,
                         uint8_t tag[static CHACHA20_TAG_LEN])
{
    crypto_onetimeauth_poly1305_state state;
    uint8_t key[BLOCK];
    const size_t len = aead_parts_len(message);
    const uint64_t lengths[2] = {htole64(message->ad_len), htole64(len)};
    crypto_stream_chacha20_ietf(key, sizeof key, message->nonce, message->key);
    crypto_onetimeauth_poly1305_init(&state, key);
    crypto_onetimeauth_poly1305_update(&state, message->ad, message->ad_len);
    pad(&state, message->ad_len);
    for (size_t i = 0; i < message->count; i++) {
        const struct aead_part *part = &message->parts[i];
        crypto_onetimeauth_poly1305_update(&state, sealed ? part->out : part->in, part->len);
    }
    pad(&state, len);
    crypto_onetimeauth_poly1305_update(&state, (const uint8_t *)lengths, sizeof lengths);
    crypto_onetimeauth_poly1305_final(&state, tag);
    sodium_memzero(&state, sizeof state);
    sodium_memzero(key, sizeof key);
}

void chacha20_seal(const struct aead_message *message, uint8_t tag[static CHACHA20_TAG_LEN])
{
    crypt(message);
    authenticate(message, true, tag);
}

bool chacha20_open(const struct aead_message *message, const uint8_t tag[static CHACHA20_TAG_LEN])
{
    uint8_t computed[CHACHA20_TAG_LEN];
    authenticate(message, false, computed);
    const bool fits = crypto_verify_16(computed, tag) == 0;
    sodium_memzero(computed, sizeof computed);
    if (fits)
        crypt(message);
    else
        aead_parts_clear(message);
    return fits;
}
