/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "crypto/secret.h"

#include <sodium.h>

#include "sys/sys.h"

bool secret_init(void)
{
    return sodium_init() >= 0;
}

/* Straight from the kernel rather than from libsodium's generator: nothing to reseed after fork, no
 * descriptor for /dev/urandom that a program could close. libsodium's takes over on kernels that refuse
 * getrandom(2). */
void secret_random(uint8_t *out, size_t len)
{
    const long interrupted = -4; /* EINTR */
    while (len > 0) {
        long got = sys_call3(SYS_getrandom, sys_ptr(out), (long)len, 0);
        if (got == interrupted)
            continue;
        if (got <= 0) {
            randombytes_buf(out, len);
            return;
        }
        out += got;
        len -= (size_t)got;
    }
}

void secret_wipe(void *memory, size_t len)
{
    sodium_memzero(memory, len);
}

bool secret_equal(const uint8_t *a, const uint8_t *b, size_t len)
{
    return sodium_memcmp(a, b, len) == 0;
}
