/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "crypto/sha256_x86.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>
#include <stdatomic.h>

#define SHA    __attribute__((target("sha,sse4.1")))
#define INLINE SHA __attribute__((always_inline)) static inline

enum { BIT_SHA = 1 << 29 }; /* CPUID leaf 7, EBX */

/* FIPS 180-4, 4.2.2 */
static const uint32_t constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static bool probe(void)
{
    unsigned a, b = 0, c = 0, d;
    bool sha = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & BIT_SHA);
    return sha && __get_cpuid(1, &a, &b, &c, &d) && (c & bit_SSE4_1);
}

bool sha256_x86_usable(void)
{
    enum { UNKNOWN, NO, YES };
    static _Atomic int known = UNKNOWN;
    int seen = atomic_load_explicit(&known, memory_order_relaxed);
    if (seen == UNKNOWN) {
        seen = probe() ? YES : NO;
        atomic_store_explicit(&known, seen, memory_order_relaxed);
    }
    return seen == YES;
}

/* The working variables as the instructions want them: a, b, e, f and c, d, g, h. */
struct working {
    __m128i abef, cdgh;
};

/* Rounds t to t + 3, with W(t) to W(t + 3). */
INLINE void rounds(struct working *working, __m128i words, const uint32_t *k)
{
    __m128i sum = _mm_add_epi32(words, _mm_loadu_si128((const __m128i *)(const void *)k));
    working->cdgh = _mm_sha256rnds2_epu32(working->cdgh, working->abef, sum);
    working->abef = _mm_sha256rnds2_epu32(working->abef, working->cdgh, _mm_shuffle_epi32(sum, 0x0e));
}

/* The next four words of the message schedule after the sixteen in w0 to w3. */
INLINE __m128i schedule(__m128i w0, __m128i w1, __m128i w2, __m128i w3)
{
    __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(w0, w1), _mm_alignr_epi8(w3, w2, 4));
    return _mm_sha256msg2_epu32(sum, w3);
}

INLINE __m128i word_group(const uint8_t *data)
{
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    return _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)data), big_endian);
}

INLINE void block(struct working *working, const uint8_t *data)
{
    const struct working before = *working;
    __m128i w0 = word_group(data), w1 = word_group(data + 16), w2 = word_group(data + 32),
            w3 = word_group(data + 48);
    for (int t = 0; t < 48; t += 16) {
        rounds(working, w0, constants + t);
        w0 = schedule(w0, w1, w2, w3);
        rounds(working, w1, constants + t + 4);
        w1 = schedule(w1, w2, w3, w0);
        rounds(working, w2, constants + t + 8);
        w2 = schedule(w2, w3, w0, w1);
        rounds(working, w3, constants + t + 12);
        w3 = schedule(w3, w0, w1, w2);
    }
    rounds(working, w0, constants + 48);
    rounds(working, w1, constants + 52);
    rounds(working, w2, constants + 56);
    rounds(working, w3, constants + 60);
    working->abef = _mm_add_epi32(working->abef, before.abef);
    working->cdgh = _mm_add_epi32(working->cdgh, before.cdgh);
}

SHA void sha256_x86_blocks(uint32_t state[static 8], const uint8_t *data, size_t count)
{
    __m128i *low = (__m128i *)(void *)state, *high = (__m128i *)(void *)(state + 4);
    __m128i badc = _mm_shuffle_epi32(_mm_loadu_si128(low), 0xb1);
    __m128i hgfe = _mm_shuffle_epi32(_mm_loadu_si128(high), 0x1b);
    struct working working = {_mm_alignr_epi8(badc, hgfe, 8), _mm_blend_epi16(hgfe, badc, 0xf0)};
    for (; count > 0; count--, data += 64)
        block(&working, data);
    __m128i feba = _mm_shuffle_epi32(working.abef, 0x1b), dchg = _mm_shuffle_epi32(working.cdgh, 0xb1);
    _mm_storeu_si128(low, _mm_blend_epi16(feba, dchg, 0xf0));
    _mm_storeu_si128(high, _mm_alignr_epi8(dchg, feba, 8));
}

#else

bool sha256_x86_usable(void)
{
    return false;
}

void sha256_x86_blocks(uint32_t state[static 8], const uint8_t *data, size_t count)
{
    (void)state, (void)data, (void)count;
    __builtin_trap();
}

#endif
