/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_AEGIS_COMMON_H
#define SOCKSEAL_AEGIS_COMMON_H

/* What every backend needs: constants. Static, so that each has its own, compiled with its own flags. */

#include <stdint.h>

/* Copies of a loop's body: in each the state may be in other registers than before, where a loop has to move
 * it back. clang does so by itself. */
#ifdef __clang__
#define UNROLL(times)
#else
#define UNROLL_(words) _Pragma(#words)
#define UNROLL(times)  UNROLL_(GCC unroll times)
#endif

enum { BLOCK_MAX = 128 };

/* C0 and C1 */
static const uint8_t fibonacci[32] = {
    0x00, 0x01, 0x01, 0x02, 0x03, 0x05, 0x08, 0x0d, 0x15, 0x22, 0x37, 0x59, 0x90, 0xe9, 0x79, 0x62,
    0xdb, 0x3d, 0x18, 0x55, 0x6d, 0xc2, 0x2f, 0xf1, 0x20, 0x11, 0x31, 0x42, 0x73, 0xb5, 0x28, 0xdd,
};

/* ctx[] of Init() for 1, 2 and 4 lanes: lane and number of lanes less one, in the first two bytes of each. */
static const uint8_t lane_contexts[3][64] = {
    {0},
    {[0] = 0, [1] = 1, [16] = 1, [17] = 1},
    {[0] = 0, [1] = 3, [16] = 1, [17] = 3, [32] = 2, [33] = 3, [48] = 3, [49] = 3},
};

/* BLOCK_MAX ones, then as many zeros: from n bytes before the middle, a mask of n bytes. */
#define ONES_16 -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1
static const int8_t ones_and_zeros[2 * BLOCK_MAX] = {ONES_16, ONES_16, ONES_16, ONES_16,
                                                     ONES_16, ONES_16, ONES_16, ONES_16};
#undef ONES_16

#endif
