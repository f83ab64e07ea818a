/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_AEGIS_ARM_H
#define SOCKSEAL_AEGIS_ARM_H

/* Vectors of one AES block, for Armv8. What each operation does is in aegis_lanes.h. */

#include <arm_neon.h>
#include <stdbool.h>
#include <stdint.h>

#include "crypto/aegis/aegis_common.h"
#include "crypto/wipe_registers.h"

#define VECTOR_CALL static inline __attribute__((always_inline))

typedef uint8x16_t v1;

VECTOR_CALL v1 v1_load(const uint8_t *from)
{
    v1 value = vld1q_u8(from);
    __asm__("" : "+w"(value));
    return value;
}

VECTOR_CALL void v1_store(uint8_t *to, v1 value)
{
    vst1q_u8(to, value);
}

VECTOR_CALL v1 v1_repeat(v1 block)
{
    return block;
}

VECTOR_CALL v1 v1_xor(v1 a, v1 b)
{
    return veorq_u8(a, b);
}

VECTOR_CALL v1 v1_and(v1 a, v1 b)
{
    return vandq_u8(a, b);
}

VECTOR_CALL v1 v1_xor_and(v1 a, v1 b, v1 c)
{
    return veorq_u8(a, vandq_u8(b, c));
}

/* AESE adds its key before the rest of the round, not behind it. */
VECTOR_CALL v1 v1_round(v1 in, v1 key)
{
    return veorq_u8(vaesmcq_u8(vaeseq_u8(in, vdupq_n_u8(0))), key);
}

VECTOR_CALL v1 v1_fold(v1 a)
{
    return a;
}

VECTOR_CALL v1 v1_lengths(uint64_t first, uint64_t second)
{
    return vreinterpretq_u8_u64(vcombine_u64(vcreate_u64(first), vcreate_u64(second)));
}

VECTOR_CALL bool v1_is_zero(v1 a)
{
    return vmaxvq_u8(a) == 0;
}

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
    for (size_t i = 0; i < len; i += 16)
        v1_store(to + i, vdupq_n_u8(0));
}

#endif
