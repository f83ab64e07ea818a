/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* By the SHA2 instructions of Armv8 (Arm ARM, C7, SHA256H and its kin). Compiled with the flags for them. */

#include "crypto/sha256/sha256_blocks.h"
#include "crypto/wipe_registers.h"

#ifdef __aarch64__

#include <arm_neon.h>

struct halves {
    uint32x4_t abcd, efgh;
};

static inline void four_rounds(struct halves *halves, uint32x4_t words, const uint32_t *constants)
{
    const uint32x4_t added = vaddq_u32(words, vld1q_u32(constants)), abcd = halves->abcd;
    halves->abcd = vsha256hq_u32(abcd, halves->efgh, added);
    halves->efgh = vsha256h2q_u32(halves->efgh, abcd, added);
}

static inline void one_block(struct halves *halves, const uint8_t *data)
{
    const struct halves before = *halves;
    uint32x4_t words[4];
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) {
        if (i < 4)
            words[i] = vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(data + 16 * i)));
        else /* the message schedule: four words from the sixteen before them */
            words[i % 4] = vsha256su1q_u32(vsha256su0q_u32(words[i % 4], words[(i + 1) % 4]),
                                           words[(i + 2) % 4], words[(i + 3) % 4]);
        four_rounds(halves, words[i % 4], sha256_constants + 4 * i);
    }
    halves->abcd = vaddq_u32(halves->abcd, before.abcd);
    halves->efgh = vaddq_u32(halves->efgh, before.efgh);
}

void sha256_armv8(uint32_t h[static SHA256_WORDS], const uint8_t *data, size_t count)
{
    struct halves halves = {vld1q_u32(h), vld1q_u32(h + 4)};
    for (; count > 0; count--, data += SHA256_BLOCK)
        one_block(&halves, data);
    vst1q_u32(h, halves.abcd);
    vst1q_u32(h + 4, halves.efgh);
    wipe_registers();
}

#endif
