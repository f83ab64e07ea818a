/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Which instructions the processor has and the kernel lets programs use. */

#include <stdatomic.h>

#include "crypto/aegis/aegis_backend.h"

typedef const struct aegis_backend *const *backend_list;

#if defined(__x86_64__)

#include <cpuid.h>

static const struct aegis_backend *const all[] = {&aegis_vaes512, &aegis_vaes256, &aegis_avx, &aegis_aesni,
                                                  NULL};

/* Register states that the kernel saves (Intel SDM, volume 1, 13.3). */
enum { STATES_AVX = 0x06, STATES_AVX512 = 0xe6 };

/* XCR0. Only where OSXSAVE says that it may be read. */
static unsigned saved_states(void)
{
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static bool has(unsigned flags, unsigned wanted)
{
    return (flags & wanted) == wanted;
}

static backend_list choose(void)
{
    unsigned a, b, c, features, b7 = 0, c7 = 0;
    if (!__get_cpuid(1, &a, &b, &features, &c) || !has(features, bit_AES | bit_SSE4_1))
        return &all[4];
    const unsigned states = has(features, bit_OSXSAVE | bit_AVX) ? saved_states() : 0;
    if (!has(states, STATES_AVX))
        return &all[3];
    if (!__get_cpuid_count(7, 0, &a, &b7, &c7, &c) || !has(b7, bit_AVX2) || !has(c7, bit_VAES))
        return &all[2];
    return has(states, STATES_AVX512) && has(b7, bit_AVX512F | bit_AVX512VL) ? &all[0] : &all[1];
}

#elif defined(__aarch64__)

#include <sys/auxv.h>

static const struct aegis_backend *const all[] = {&aegis_armv8, NULL};

static backend_list choose(void)
{
    const unsigned long asimd = 1 << 1, aes = 1 << 3; /* HWCAP_ASIMD, HWCAP_AES of Linux' asm/hwcap.h */
    return (getauxval(AT_HWCAP) & (asimd | aes)) == (asimd | aes) ? &all[0] : &all[1];
}

#else

static const struct aegis_backend *const all[] = {NULL};

static backend_list choose(void)
{
    return all;
}

#endif

backend_list aegis_cpu_backends(void)
{
    /* Two threads that come here at once find the same. A number, so that no pointer to pointers to code lies
     * in memory that can be written to. */
    static _Atomic uint8_t known; /* the first of the list, counted from 1 */
    uint8_t first = atomic_load_explicit(&known, memory_order_relaxed);
    if (first == 0) {
        first = (uint8_t)(choose() - all + 1);
        atomic_store_explicit(&known, first, memory_order_relaxed);
    }
    return &all[(first - 1u) % (sizeof all / sizeof all[0])];
}
