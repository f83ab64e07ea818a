/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "crypto/sha256/sha256_blocks.h"

#include <stdatomic.h>
#include <stdbool.h>

#include "crypto/sha256.h"

#if defined(__x86_64__)

#include <cpuid.h>

/* The instructions use the registers of SSE, which every kernel saves. */
static sha256_blocks *choose(void)
{
    const unsigned wanted = bit_SSSE3 | bit_SSE4_1, sha = 1u << 29; /* Intel SDM, CPUID, leaf 7: SHA */
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & wanted) != wanted)
        return NULL;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & sha) ? sha256_shani : NULL;
}

#elif defined(__aarch64__)

#include <sys/auxv.h>

static sha256_blocks *choose(void)
{
    const unsigned long asimd = 1 << 1, sha2 = 1 << 6; /* HWCAP_ASIMD, HWCAP_SHA2 of Linux' asm/hwcap.h */
    return (getauxval(AT_HWCAP) & (asimd | sha2)) == (asimd | sha2) ? sha256_armv8 : NULL;
}

#else

static sha256_blocks *choose(void)
{
    return NULL;
}

#endif

bool sha256_pretend_no_instructions;

sha256_blocks *sha256_cpu(void)
{
    enum { UNKNOWN, NONE, SOME };
    /* Two threads that come here at once find the same. The value says only whether there is code, so that no
     * pointer to code lies in memory that can be written to. */
    static _Atomic uint8_t known;
    uint8_t now = atomic_load_explicit(&known, memory_order_relaxed);
    if (now == UNKNOWN) {
        now = choose() ? SOME : NONE;
        atomic_store_explicit(&known, now, memory_order_relaxed);
    }
    if (now == NONE || sha256_pretend_no_instructions)
        return NULL;
#if defined(__x86_64__)
    return sha256_shani;
#elif defined(__aarch64__)
    return sha256_armv8;
#else
    return NULL;
#endif
}
