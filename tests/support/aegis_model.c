/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "aegis_model.h"

#include <string.h>

enum { BLOCK_MAX = 32 * AEGIS_MODEL_LANES_MAX };

void (*aegis_model_observer)(const struct aegis_model *model);

/* FIPS 197, 4.2: multiplication in GF(2^8). */
static uint8_t multiply(uint8_t a, uint8_t b)
{
    unsigned product = 0, factor = a;
    for (int bit = 0; bit < 8; bit++, factor = factor << 1 ^ (factor & 0x80 ? 0x11b : 0))
        if (b >> bit & 1)
            product ^= factor;
    return (uint8_t)product;
}

/* multiply(a, 2); what a round is made of, and the time that it takes. */
static uint8_t twice(uint8_t a)
{
    return (uint8_t)(a << 1 ^ (a & 0x80 ? 0x1b : 0));
}

/* FIPS 197, 5.1.1: the inverse, which is x^254, and an affine map of its bits. */
static uint8_t compute_sub_byte(uint8_t x)
{
    uint8_t inverse = 1, out = 0x63;
    for (int i = 0; i < 254; i++)
        inverse = multiply(inverse, x);
    for (int i = 0; i < 5; i++)
        out ^= (uint8_t)(inverse << i | inverse >> (8 - i));
    return out;
}

static uint8_t sub_byte(uint8_t x)
{
    static uint8_t box[256];
    static bool ready;
    for (int i = 0; i < 256 && !ready; i++)
        box[i] = compute_sub_byte((uint8_t)i);
    ready = true;
    return box[x];
}

/* FIPS 197, 5.1.1 to 5.1.4; the state's columns lie one behind the other. */
void aegis_model_round(const uint8_t in[16], const uint8_t key[16], uint8_t out[16])
{
    uint8_t shifted[16], mixed[16];
    for (int row = 0; row < 4; row++)
        for (int column = 0; column < 4; column++)
            shifted[4 * column + row] = sub_byte(in[4 * ((column + row) % 4) + row]);
    for (int column = 0; column < 4; column++) {
        const uint8_t *s = shifted + 4 * column;
        for (int row = 0; row < 4; row++)
            mixed[4 * column + row] = (uint8_t)(twice(s[row]) ^ twice(s[(row + 1) % 4]) ^ s[(row + 1) % 4] ^
                                                s[(row + 2) % 4] ^ s[(row + 3) % 4]);
    }
    for (int i = 0; i < 16; i++)
        out[i] = mixed[i] ^ key[i];
}

static void xor_into(uint8_t out[16], const uint8_t a[16])
{
    for (int i = 0; i < 16; i++)
        out[i] ^= a[i];
}

void aegis_model_update(struct aegis_model *model, const uint8_t *m0, const uint8_t *m1)
{
    const struct aegis_model old = *model;
    for (int lane = 0; lane < model->lanes; lane++) {
        for (int i = 0; i < 8; i++) {
            uint8_t key[16];
            memcpy(key, old.v[i][lane], 16);
            if (i == 0)
                xor_into(key, m0 + 16 * lane);
            if (i == 4)
                xor_into(key, m1 + 16 * lane);
            aegis_model_round(old.v[(i + 7) % 8][lane], key, model->v[i][lane]);
        }
    }
    if (aegis_model_observer)
        aegis_model_observer(model);
}

void aegis_model_init(struct aegis_model *model, int lanes, const uint8_t key[16], const uint8_t nonce[16])
{
    static const uint8_t c0[16] = {0x00, 0x01, 0x01, 0x02, 0x03, 0x05, 0x08, 0x0d,
                                   0x15, 0x22, 0x37, 0x59, 0x90, 0xe9, 0x79, 0x62};
    static const uint8_t c1[16] = {0xdb, 0x3d, 0x18, 0x55, 0x6d, 0xc2, 0x2f, 0xf1,
                                   0x20, 0x11, 0x31, 0x42, 0x73, 0xb5, 0x28, 0xdd};
    static const uint8_t zeros[16];
    const uint8_t *terms[8][2] = {{key, nonce}, {c1, zeros}, {c0, zeros}, {c1, zeros},
                                  {key, nonce}, {key, c0},   {key, c1},   {key, c0}};
    uint8_t key_v[BLOCK_MAX / 2], nonce_v[BLOCK_MAX / 2];
    model->lanes = lanes;
    for (int lane = 0; lane < lanes; lane++) {
        memcpy(key_v + 16 * lane, key, 16);
        memcpy(nonce_v + 16 * lane, nonce, 16);
        for (int i = 0; i < 8; i++) {
            memcpy(model->v[i][lane], terms[i][0], 16);
            xor_into(model->v[i][lane], terms[i][1]);
        }
    }
    for (int round = 0; round < 10; round++) {
        for (int lane = 0; lane < lanes; lane++) {
            const uint8_t context[16] = {(uint8_t)lane, (uint8_t)(lanes - 1)};
            xor_into(model->v[3][lane], context);
            xor_into(model->v[7][lane], context);
        }
        aegis_model_update(model, nonce_v, key_v);
    }
}

/* z0 and z1 of Enc() and Dec(), one behind the other. */
static void keystream(const struct aegis_model *model, uint8_t *z)
{
    for (int lane = 0; lane < model->lanes; lane++) {
        for (int i = 0; i < 16; i++) {
#define V(n) model->v[n][lane][i]
            z[16 * lane + i] = (uint8_t)(V(6) ^ V(1) ^ (V(2) & V(3)));
            z[16 * (model->lanes + lane) + i] = (uint8_t)(V(2) ^ V(5) ^ (V(6) & V(7)));
#undef V
        }
    }
}

static void absorb(struct aegis_model *model, const uint8_t *ad, size_t len)
{
    const size_t size = 32 * (size_t)model->lanes;
    for (size_t at = 0; at < len; at += size) {
        uint8_t block[BLOCK_MAX] = {0};
        memcpy(block, ad + at, len - at < size ? len - at : size);
        aegis_model_update(model, block, block + size / 2);
    }
}

static void finalize(struct aegis_model *model, size_t ad_len, size_t len, uint8_t *tag, size_t tag_len)
{
    uint8_t t[BLOCK_MAX / 2];
    for (int lane = 0; lane < model->lanes; lane++) {
        for (int i = 0; i < 8; i++) {
            t[16 * lane + i] = (uint8_t)((uint64_t)ad_len * 8 >> 8 * i);
            t[16 * lane + 8 + i] = (uint8_t)((uint64_t)len * 8 >> 8 * i);
        }
        xor_into(t + 16 * lane, model->v[2][lane]);
    }
    for (int round = 0; round < 7; round++)
        aegis_model_update(model, t, t);
    memset(tag, 0, tag_len);
    for (int lane = 0; lane < model->lanes; lane++) {
        for (int i = 0; i < 7; i++)
            xor_into(tag_len == 16 || i < 4 ? tag : tag + 16, model->v[i][lane]);
        if (tag_len == 32)
            xor_into(tag + 16, model->v[7][lane]);
    }
}

/* Enc() or Dec() of all blocks; of the last one only what is there counts. */
static void crypt(struct aegis_model *model, const uint8_t *in, size_t len, uint8_t *out, bool decrypting)
{
    const size_t size = 32 * (size_t)model->lanes;
    for (size_t at = 0; at < len; at += size) {
        const size_t have = len - at < size ? len - at : size;
        uint8_t before[BLOCK_MAX] = {0}, after[BLOCK_MAX] = {0}, z[BLOCK_MAX];
        const uint8_t *plain = decrypting ? after : before;
        memcpy(before, in + at, have);
        keystream(model, z);
        for (size_t i = 0; i < have; i++)
            after[i] = before[i] ^ z[i];
        aegis_model_update(model, plain, plain + size / 2);
        memcpy(out + at, after, have);
    }
}

void aegis_model_encrypt(int lanes, const uint8_t key[16], const uint8_t nonce[16], const uint8_t *ad,
                         size_t ad_len, const uint8_t *msg, size_t len, uint8_t *ct, uint8_t *tag,
                         size_t tag_len)
{
    struct aegis_model model;
    aegis_model_init(&model, lanes, key, nonce);
    absorb(&model, ad, ad_len);
    crypt(&model, msg, len, ct, false);
    finalize(&model, ad_len, len, tag, tag_len);
}

bool aegis_model_decrypt(int lanes, const uint8_t key[16], const uint8_t nonce[16], const uint8_t *ad,
                         size_t ad_len, const uint8_t *ct, size_t len, uint8_t *msg, const uint8_t *tag,
                         size_t tag_len)
{
    struct aegis_model model;
    uint8_t expected[32];
    aegis_model_init(&model, lanes, key, nonce);
    absorb(&model, ad, ad_len);
    crypt(&model, ct, len, msg, true);
    finalize(&model, ad_len, len, expected, tag_len);
    return memcmp(expected, tag, tag_len) == 0;
}
