/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_AEGIS_X86_H
#define SOCKSEAL_AEGIS_X86_H

/*
 * Vectors of 1, 2 and 4 AES blocks that one register holds: v1, v2, v4, as far as REGISTER_BLOCKS, which the
 * backend defines. (Not as far as the compiler could: the user's flags may allow more than the backend is
 * for.) What each operation does is in aegis_lanes.h.
 */

#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>

#include "crypto/aegis/aegis_common.h"
#include "crypto/wipe_registers.h"

#define VECTOR_CALL static inline __attribute__((always_inline))

#ifdef __AVX512VL__
#define ANY_VECTOR_REGISTER "v"
#else
#define ANY_VECTOR_REGISTER "x"
#endif

typedef __m128i v1;

VECTOR_CALL v1 v1_load(const uint8_t *from)
{
    v1 value = _mm_loadu_si128((const void *)from);
    __asm__("" : "+" ANY_VECTOR_REGISTER(value));
    return value;
}

VECTOR_CALL void v1_store(uint8_t *to, v1 value)
{
    _mm_storeu_si128((void *)to, value);
}

VECTOR_CALL v1 v1_repeat(v1 block)
{
    return block;
}

VECTOR_CALL v1 v1_xor(v1 a, v1 b)
{
    return _mm_xor_si128(a, b);
}

VECTOR_CALL v1 v1_and(v1 a, v1 b)
{
    return _mm_and_si128(a, b);
}

VECTOR_CALL v1 v1_xor_and(v1 a, v1 b, v1 c)
{
#ifdef __AVX512VL__
    return _mm_ternarylogic_epi64(a, b, c, 0x78);
#else
    return _mm_xor_si128(a, _mm_and_si128(b, c));
#endif
}

VECTOR_CALL v1 v1_round(v1 in, v1 key)
{
    return _mm_aesenc_si128(in, key);
}

VECTOR_CALL v1 v1_fold(v1 a)
{
    return a;
}

VECTOR_CALL v1 v1_lengths(uint64_t first, uint64_t second)
{
    return _mm_set_epi64x((long long)second, (long long)first);
}

VECTOR_CALL bool v1_is_zero(v1 a)
{
    return _mm_testz_si128(a, a);
}

#if REGISTER_BLOCKS >= 2

typedef __m256i v2;

VECTOR_CALL v2 v2_load(const uint8_t *from)
{
    v2 value = _mm256_loadu_si256((const void *)from);
    __asm__("" : "+" ANY_VECTOR_REGISTER(value));
    return value;
}

VECTOR_CALL void v2_store(uint8_t *to, v2 value)
{
    _mm256_storeu_si256((void *)to, value);
}

VECTOR_CALL v2 v2_repeat(v1 block)
{
    return _mm256_broadcastsi128_si256(block);
}

VECTOR_CALL v2 v2_xor(v2 a, v2 b)
{
    return _mm256_xor_si256(a, b);
}

VECTOR_CALL v2 v2_and(v2 a, v2 b)
{
    return _mm256_and_si256(a, b);
}

VECTOR_CALL v2 v2_xor_and(v2 a, v2 b, v2 c)
{
#ifdef __AVX512VL__
    return _mm256_ternarylogic_epi64(a, b, c, 0x78);
#else
    return _mm256_xor_si256(a, _mm256_and_si256(b, c));
#endif
}

VECTOR_CALL v2 v2_round(v2 in, v2 key)
{
    return _mm256_aesenc_epi128(in, key);
}

VECTOR_CALL v1 v2_fold(v2 a)
{
    return v1_xor(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
}

#endif

#if REGISTER_BLOCKS >= 4

typedef __m512i v4;

VECTOR_CALL v4 v4_load(const uint8_t *from)
{
    v4 value = _mm512_loadu_si512((const void *)from);
    __asm__("" : "+" ANY_VECTOR_REGISTER(value));
    return value;
}

VECTOR_CALL void v4_store(uint8_t *to, v4 value)
{
    _mm512_storeu_si512((void *)to, value);
}

VECTOR_CALL v4 v4_repeat(v1 block)
{
    return _mm512_broadcast_i32x4(block);
}

VECTOR_CALL v4 v4_xor(v4 a, v4 b)
{
    return _mm512_xor_si512(a, b);
}

VECTOR_CALL v4 v4_and(v4 a, v4 b)
{
    return _mm512_and_si512(a, b);
}

VECTOR_CALL v4 v4_xor_and(v4 a, v4 b, v4 c)
{
    return _mm512_ternarylogic_epi64(a, b, c, 0x78);
}

VECTOR_CALL v4 v4_round(v4 in, v4 key)
{
    return _mm512_aesenc_epi128(in, key);
}

VECTOR_CALL v1 v4_fold(v4 a)
{
    return v2_fold(v2_xor(_mm512_castsi512_si256(a), _mm512_extracti64x4_epi64(a, 1)));
}

#endif

/* Whether a computed tag, of one block or two, is the other one. In constant time. */
VECTOR_CALL bool tag_fits(const v1 tag[static 2], const uint8_t *other, bool long_tag)
{
    bool fits = v1_is_zero(v1_xor(tag[0], v1_load(other)));
    if (long_tag)
        fits &= v1_is_zero(v1_xor(tag[1], v1_load(other + 16)));
    return fits;
}

/* `len` is a multiple of 64. */
VECTOR_CALL void wipe_memory(uint8_t *to, size_t len)
{
    UNROLL(24)
    for (size_t i = 0; i < len; i += 64) {
#ifdef __AVX__
        _mm256_storeu_si256((void *)(to + i), _mm256_setzero_si256());
        _mm256_storeu_si256((void *)(to + i + 32), _mm256_setzero_si256());
#else
        v1_store(to + i, _mm_setzero_si128());
        v1_store(to + i + 16, _mm_setzero_si128());
        v1_store(to + i + 32, _mm_setzero_si128());
        v1_store(to + i + 48, _mm_setzero_si128());
#endif
    }
}

#endif
