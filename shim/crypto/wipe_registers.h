/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#ifndef SOCKSEAL_WIPE_REGISTERS_H
#define SOCKSEAL_WIPE_REGISTERS_H

/* wipe_registers(): nothing of a secret stays in a vector register that a caller could find. It wipes what
 * the flags of the file that includes it let the compiler use. */

#if defined(__x86_64__)

static inline __attribute__((always_inline)) void wipe_registers(void)
{
#ifdef __AVX__
    __asm__ volatile("vzeroall" ::
                         : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
                           "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
#else
#define WIPE(n) "pxor %%xmm" #n ", %%xmm" #n "\n\t"
    __asm__ volatile(WIPE(0) WIPE(1) WIPE(2) WIPE(3) WIPE(4) WIPE(5) WIPE(6) WIPE(7) WIPE(8) WIPE(9) WIPE(10)
                         WIPE(11) WIPE(12) WIPE(13) WIPE(14) WIPE(15)::
                             : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
                               "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
#undef WIPE
#endif
#ifdef __AVX512VL__
#define WIPE(n) "vpxord %%xmm" #n ", %%xmm" #n ", %%xmm" #n "\n\t"
    __asm__ volatile(WIPE(16) WIPE(17) WIPE(18) WIPE(19) WIPE(20) WIPE(21) WIPE(22) WIPE(23) WIPE(24) WIPE(25)
                         WIPE(26) WIPE(27) WIPE(28) WIPE(29) WIPE(30) WIPE(31)::
                             : "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23",
                               "xmm24", "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31");
#undef WIPE
#endif
}

#elif defined(__aarch64__)

/* v8 to v15 are the caller's own below their upper halves (AAPCS64, 6.1.2). */
static inline __attribute__((always_inline)) void wipe_registers(void)
{
#define WIPE(n) "movi v" #n ".16b, #0\n\t"
    __asm__ volatile(WIPE(0) WIPE(1) WIPE(2) WIPE(3) WIPE(4) WIPE(5) WIPE(6) WIPE(7) WIPE(16) WIPE(17)
                         WIPE(18) WIPE(19) WIPE(20) WIPE(21) WIPE(22) WIPE(23) WIPE(24) WIPE(25) WIPE(26)
                             WIPE(27) WIPE(28) WIPE(29) WIPE(30) WIPE(31)::
                                 : "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v16", "v17", "v18", "v19",
                                   "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29",
                                   "v30", "v31");
#undef WIPE
}

#endif

#endif
