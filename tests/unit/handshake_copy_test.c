/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* The copy of a handshake's state, while another process that shares it writes how much of it is in use. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "tls/tls_call.h"

enum { ROUNDS = 300000, THEIRS = 0x55, OURS = 0xaa };

static struct tls_handshake shared, copy;
static _Atomic bool over;

static void *write_used(void *context)
{
    static const uint32_t numbers[] = {0, 100, TLS_STORED_MAX, UINT32_MAX};
    (void)context;
    for (unsigned i = 0; !atomic_load(&over); i++)
        __atomic_store_n(&tls_call_data(&shared)->used, numbers[i % 4], __ATOMIC_RELAXED);
    return NULL;
}

/* What the copy says to be in use was copied, and nothing that was in that memory before. */
static void says_what_was_copied(void **state)
{
    const size_t fixed = offsetof(struct tls_handshake_data, stored);
    pthread_t thread;
    (void)state;
    memset(&shared, THEIRS, sizeof shared);
    assert_int_equal(pthread_create(&thread, NULL, write_used, NULL), 0);
    for (int i = 0; i < ROUNDS; i++) {
        const uint8_t *bytes = (const uint8_t *)&copy;
        memset(&copy, OURS, fixed + 256);
        ((uint8_t *)&copy)[sizeof copy - 1] = OURS;
        const size_t used = tls_handshake_copy(&copy, &shared);
        assert_int_equal(used, tls_handshake_used(&copy));
        assert_true(used <= sizeof copy);
        assert_true(used == fixed || bytes[used - 1] == THEIRS);
        assert_true(used == sizeof copy || bytes[fixed + 200] == OURS || used > fixed + 200);
    }
    atomic_store(&over, true);
    pthread_join(thread, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(says_what_was_copied)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
