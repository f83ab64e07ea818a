/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* By Intel's SHA extensions (SDM, volume 1, 5.20). Compiled with the flags for them. */

#include "crypto/sha256/sha256_blocks.h"
#include "crypto/wipe_registers.h"

#ifdef __x86_64__

#include <immintrin.h>

/* The hash value as SHA256RNDS2 takes it: its words A, B, E, F and C, D, G, H, the first of each highest. */
struct halves {
    __m128i abef, cdgh;
};

static inline struct halves take_apart(const uint32_t *h)
{
    const __m128i cdab = _mm_shuffle_epi32(_mm_loadu_si128((const void *)h), 0xb1);
    const __m128i efgh = _mm_shuffle_epi32(_mm_loadu_si128((const void *)(h + 4)), 0x1b);
    return (struct halves){_mm_alignr_epi8(cdab, efgh, 8), _mm_blend_epi16(efgh, cdab, 0xf0)};
}

static inline void put_together(uint32_t *h, struct halves halves)
{
    const __m128i feba = _mm_shuffle_epi32(halves.abef, 0x1b), dchg = _mm_shuffle_epi32(halves.cdgh, 0xb1);
    _mm_storeu_si128((void *)h, _mm_blend_epi16(feba, dchg, 0xf0));
    _mm_storeu_si128((void *)(h + 4), _mm_alignr_epi8(dchg, feba, 8));
}

/* Four rounds. The first two of the added words are the low half. */
static inline void four_rounds(struct halves *halves, __m128i words, const uint32_t *constants)
{
    const __m128i added = _mm_add_epi32(words, _mm_load_si128((const void *)constants));
    halves->cdgh = _mm_sha256rnds2_epu32(halves->cdgh, halves->abef, added);
    halves->abef = _mm_sha256rnds2_epu32(halves->abef, halves->cdgh, _mm_shuffle_epi32(added, 0x0e));
}

/* The four words of the message schedule behind the sixteen a, b, c, d. */
static inline __m128i next_words(__m128i a, __m128i b, __m128i c, __m128i d)
{
    const __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(a, b), _mm_alignr_epi8(d, c, 4));
    return _mm_sha256msg2_epu32(sum, d);
}

static inline void one_block(struct halves *halves, const uint8_t *data)
{
    const __m128i big_endian = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
    const struct halves before = *halves;
    __m128i words[4];
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) {
        if (i < 4)
            words[i] = _mm_shuffle_epi8(_mm_loadu_si128((const void *)(data + 16 * i)), big_endian);
        else
            words[i % 4] =
                next_words(words[i % 4], words[(i + 1) % 4], words[(i + 2) % 4], words[(i + 3) % 4]);
        four_rounds(halves, words[i % 4], sha256_constants + 4 * i);
    }
    halves->abef = _mm_add_epi32(halves->abef, before.abef);
    halves->cdgh = _mm_add_epi32(halves->cdgh, before.cdgh);
}

void sha256_shani(uint32_t h[static SHA256_WORDS], const uint8_t *data, size_t count)
{
    struct halves halves = take_apart(h);
    for (; count > 0; count--, data += SHA256_BLOCK)
        one_block(&halves, data);
    put_together(h, halves);
    wipe_registers();
}

#endif
