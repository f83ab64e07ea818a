/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */
#include "crypto/secret.h"

#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "sys/file.h"
#include "sys/ro_after_init.h"
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

static bool init(void)
{
    static RO_AFTER_INIT randombytes_implementation generator = {
        .implementation_name = generator_name, .random = generate_number, .buf = generate};
    uint8_t probe;
    if (!secret_random(&probe, sizeof probe) || randombytes_set_implementation(&generator) < 0 ||
        sodium_init() < 0)
        return false;
    ro_after_init_protect_sodium();
    return true;
}

/* Once only: libsodium's variables are read-only afterwards. Signals are blocked, or a handler would wait for
 * the thread that it interrupts. */
bool secret_init(void)
{
    enum {
        READY = -1,
        NOBODY = 0
    }; /* else the process that is about to do it, or was when this one was forked */
    static _Atomic int state;
    sigset_t all, before;
    int seen = NOBODY;
    sigfillset(&all);
    const bool blocked = sys_sigprocmask(SIG_SETMASK, &all, &before) >= 0;
    while (seen != READY && !atomic_compare_exchange_weak(&state, &seen, sys_getpid()))
        seen = seen == READY || seen != sys_getpid() ? seen : NOBODY;
    if (seen != READY)
        atomic_store(&state, init() ? READY : NOBODY);
    if (blocked)
        sys_sigprocmask(SIG_SETMASK, &before, NULL);
    return atomic_load(&state) == READY;
}

void secret_wipe(void *memory, size_t len)
{
    sodium_memzero(memory, len);
}

bool secret_equal(const uint8_t *a, const uint8_t *b, size_t len)
{
    return sodium_memcmp(a, b, len) == 0;
}
