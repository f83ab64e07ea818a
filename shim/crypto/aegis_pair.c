/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "crypto/aegis_pair.h"

#include <string.h>

#if defined(__x86_64__) && !defined(SOCKSEAL_NO_AEGIS)

#include <cpuid.h>
#include <immintrin.h>
#include <sodium.h>
#include <stdatomic.h>

#include "crypto/secret.h"

#define VAES   __attribute__((target("aes,avx2,vaes")))
#define INLINE VAES __attribute__((always_inline)) static inline

/* A 128-bit block of either message. */
typedef __m256i blocks;

/* The state: eight blocks a message. The functions of RFC 10032 are named where they stand. */
struct state {
    blocks s[8];
};

INLINE blocks load(const uint8_t *a, const uint8_t *b)
{
    __m128i low = _mm_loadu_si128((const __m128i *)(const void *)a);
    __m128i high = _mm_loadu_si128((const __m128i *)(const void *)b);
    return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
}

INLINE blocks twice(const void *block)
{
    return load(block, block);
}

INLINE void store(uint8_t *a, uint8_t *b, blocks value)
{
    _mm_storeu_si128((__m128i *)(void *)a, _mm256_castsi256_si128(value));
    _mm_storeu_si128((__m128i *)(void *)b, _mm256_extracti128_si256(value, 1));
}

INLINE blocks either(blocks a, blocks b)
{
    return _mm256_xor_si256(a, b);
}

/* Update, from the last block to the first, so that one temporary is enough. */
INLINE void update(struct state *state, blocks m0, blocks m1)
{
    blocks *s = state->s, s7 = s[7];
    s[7] = _mm256_aesenc_epi128(s[6], s[7]);
    s[6] = _mm256_aesenc_epi128(s[5], s[6]);
    s[5] = _mm256_aesenc_epi128(s[4], s[5]);
    s[4] = _mm256_aesenc_epi128(s[3], either(s[4], m1));
    s[3] = _mm256_aesenc_epi128(s[2], s[3]);
    s[2] = _mm256_aesenc_epi128(s[1], s[2]);
    s[1] = _mm256_aesenc_epi128(s[0], s[1]);
    s[0] = _mm256_aesenc_epi128(s7, either(s[0], m0));
}

/* The key stream's next two blocks: z0 and z1 of Enc and Dec. */
INLINE blocks stream0(const struct state *state)
{
    const blocks *s = state->s;
    return either(either(s[6], s[1]), _mm256_and_si256(s[2], s[3]));
}

INLINE blocks stream1(const struct state *state)
{
    const blocks *s = state->s;
    return either(either(s[2], s[5]), _mm256_and_si256(s[6], s[7]));
}

/* Init, and Absorb of the additional data, padded with zeros to one block. */
INLINE struct state begin(const struct aegis_pair *pair)
{
    static const uint8_t fibonacci[2][16] = {
        {0x00, 0x01, 0x01, 0x02, 0x03, 0x05, 0x08, 0x0d, 0x15, 0x22, 0x37, 0x59, 0x90, 0xe9, 0x79, 0x62},
        {0xdb, 0x3d, 0x18, 0x55, 0x6d, 0xc2, 0x2f, 0xf1, 0x20, 0x11, 0x31, 0x42, 0x73, 0xb5, 0x28, 0xdd}};
    uint8_t aad[AEGIS_PAIR_BLOCK] = {0};
    blocks key = twice(pair->key), nonce = load(pair->nonce[0], pair->nonce[1]);
    blocks c0 = twice(fibonacci[0]), c1 = twice(fibonacci[1]), start = either(key, nonce);
    struct state state = {{start, c1, c0, c1, start, either(key, c0), either(key, c1), either(key, c0)}};
    for (int i = 0; i < 10; i++)
        update(&state, nonce, key);
    memcpy(aad, pair->aad, pair->aad_len);
    if (pair->aad_len > 0)
        update(&state, twice(aad), twice(aad + 16));
    return state;
}

/* Finalize for a tag of 256 bits: both tags. */
INLINE void end(struct state *state, const struct aegis_pair *pair, uint8_t *a, uint8_t *b)
{
    const uint64_t bits[2] = {pair->aad_len * 8, (pair->len + 1) * 8};
    const blocks *s = state->s;
    blocks lengths = either(s[2], twice(bits));
    for (int i = 0; i < 7; i++)
        update(state, lengths, lengths);
    store(a, b, either(either(s[0], s[1]), either(s[2], s[3])));
    store(a + 16, b + 16, either(either(s[4], s[5]), either(s[6], s[7])));
}

bool aegis_pair_usable(void)
{
    enum { UNKNOWN, NO, YES };
    static _Atomic int known = UNKNOWN;
    int seen = atomic_load_explicit(&known, memory_order_relaxed);
    if (seen == UNKNOWN) {
        unsigned a, b, c = 0, d;
        bool vaes = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (c & bit_VAES);
        /* libsodium's answer says that the kernel keeps the wide registers, too. */
        seen = vaes && sodium_runtime_has_avx2() && sodium_runtime_has_aesni() ? YES : NO;
        atomic_store_explicit(&known, seen, memory_order_relaxed);
    }
    return seen == YES;
}

VAES void aegis_pair_seal(const struct aegis_pair *pair, const uint8_t *const in[static 2], uint8_t last,
                          uint8_t *const out[static 2])
{
    const uint8_t *a = in[0], *b = in[1];
    uint8_t *to_a = out[0], *to_b = out[1], block[16] = {last}, sealed[2][16];
    struct state state = begin(pair);
    for (size_t i = 0; i < pair->len; i += AEGIS_PAIR_BLOCK) {
        blocks m0 = load(a + i, b + i), m1 = load(a + i + 16, b + i + 16);
        store(to_a + i, to_b + i, either(m0, stream0(&state)));
        store(to_a + i + 16, to_b + i + 16, either(m1, stream1(&state)));
        update(&state, m0, m1);
    }
    blocks m = twice(block);
    store(sealed[0], sealed[1], either(m, stream0(&state)));
    update(&state, m, _mm256_setzero_si256());
    to_a[pair->len] = sealed[0][0];
    to_b[pair->len] = sealed[1][0];
    end(&state, pair, to_a + pair->len + 1, to_b + pair->len + 1);
}

/* The last byte of each message: DecPartial. */
INLINE void open_last(struct state *state, uint8_t a, uint8_t b, uint8_t last[static 2])
{
    uint8_t block[2][16] = {{a}, {b}};
    store(block[0], block[1], either(load(block[0], block[1]), stream0(state)));
    for (int i = 0; i < 2; i++) {
        last[i] = block[i][0];
        memset(block[i] + 1, 0, sizeof block[i] - 1);
    }
    update(state, load(block[0], block[1]), _mm256_setzero_si256());
}

VAES bool aegis_pair_open(const struct aegis_pair *pair, const uint8_t *const in[static 2],
                          uint8_t last[static 2], uint8_t *const out[static 2])
{
    const uint8_t *a = in[0], *b = in[1];
    uint8_t *to_a = out[0], *to_b = out[1], tags[2][AEGIS_PAIR_TAG];
    struct state state = begin(pair);
    for (size_t i = 0; i < pair->len; i += AEGIS_PAIR_BLOCK) {
        blocks m0 = either(load(a + i, b + i), stream0(&state));
        blocks m1 = either(load(a + i + 16, b + i + 16), stream1(&state));
        store(to_a + i, to_b + i, m0);
        store(to_a + i + 16, to_b + i + 16, m1);
        update(&state, m0, m1);
    }
    open_last(&state, a[pair->len], b[pair->len], last);
    end(&state, pair, tags[0], tags[1]);
    bool first = secret_equal(tags[0], a + pair->len + 1, AEGIS_PAIR_TAG);
    bool second = secret_equal(tags[1], b + pair->len + 1, AEGIS_PAIR_TAG);
    if (first && second)
        return true;
    memset(to_a, 0, pair->len);
    memset(to_b, 0, pair->len);
    last[0] = last[1] = 0;
    return false;
}

#else

bool aegis_pair_usable(void)
{
    return false;
}

void aegis_pair_seal(const struct aegis_pair *pair, const uint8_t *const in[static 2], uint8_t last,
                     uint8_t *const out[static 2])
{
    (void)pair, (void)in, (void)last, (void)out;
    __builtin_trap();
}

bool aegis_pair_open(const struct aegis_pair *pair, const uint8_t *const in[static 2], uint8_t last[static 2],
                     uint8_t *const out[static 2])
{
    (void)pair, (void)in, (void)out;
    memset(last, 0, 2);
    return false;
}

#endif
