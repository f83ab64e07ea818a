/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "crypto/secret.h"

#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>

#include "sys/file.h"
#include "sys/sys.h"

static const long interrupted = -4; /* EINTR */

/* For kernels and filters of system calls that refuse getrandom(2). */
static bool read_device(uint8_t *out, size_t len)
{
    int fd = sys_open("/dev/urandom", O_RDONLY | O_CLOEXEC, 0);
    while (fd >= 0 && len > 0) {
        long got = sys_read(fd, out, len);
        if (got == interrupted)
            continue;
        if (got <= 0)
            break;
        out += got;
        len -= (size_t)got;
    }
    if (fd >= 0)
        sys_close(fd);
    return len == 0;
}

/* Straight from the kernel rather than from libsodium's generator: nothing to reseed after fork, no
 * descriptor for /dev/urandom that a program could close, and a failure that can be told. */
bool secret_random(uint8_t *out, size_t len)
{
    while (len > 0) {
        long got = sys_call3(SYS_getrandom, sys_ptr(out), (long)len, 0);
        if (got == interrupted)
            continue;
        if (got <= 0)
            return read_device(out, len);
        out += got;
        len -= (size_t)got;
    }
    return true;
}

/* libsodium's own generator ends the process without a word where it finds no source. This one takes its
 * place. Nothing that is used of libsodium asks it for secrets. */
static const char *generator_name(void)
{
    return "sockseal";
}

static void generate(void *out, const size_t len)
{
    if (!secret_random(out, len))
        abort();
}

static uint32_t generate_number(void)
{
    uint32_t number;
    generate(&number, sizeof number);
    return number;
}

bool secret_init(void)
{
    static randombytes_implementation generator = {
        .implementation_name = generator_name, .random = generate_number, .buf = generate};
    uint8_t probe;
    return secret_random(&probe, sizeof probe) && randombytes_set_implementation(&generator) == 0 &&
           sodium_init() >= 0;
}

void secret_wipe(void *memory, size_t len)
{
    sodium_memzero(memory, len);
}

bool secret_equal(const uint8_t *a, const uint8_t *b, size_t len)
{
    return sodium_memcmp(a, b, len) == 0;
}
