/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* What sys/ counts on in libc (libc/GLIBC.md), where no door is needed to see it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/lookup.h"
#include "sys/signals.h"

/* The symbol of such a function is that of its resolver, which gives a pointer and does nothing else. */
static void test_a_function_that_is_chosen_at_run_time_is_not_bound(void **state)
{
    static const char *const names[] = {"memcpy", "strlen", "strchr", "time", "getpid"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const void *found = lookup_next(names[i]);
        assert_true(!found || found == dlsym(RTLD_DEFAULT, names[i]));
    }
    assert_non_null(lookup_next("getpid"));
}

/* By one of them a thread is cancelled, by the other all threads change their user (libc/privilege.c). */
static void test_the_signals_of_libc_are_never_held(void **state)
{
    enum { SIGCANCEL = 32, SIGSETXID = 33 };
    struct held_signals held = {.held = false};
    uint64_t mask = 0;
    (void)state;
    signals_hold(&held);
    assert_int_equal(syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &mask, sizeof mask), 0);
    signals_release(&held);
    assert_true(mask & 1U << (SIGTERM - 1));
    assert_false(mask & (UINT64_C(1) << (SIGCANCEL - 1) | UINT64_C(1) << (SIGSETXID - 1)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_function_that_is_chosen_at_run_time_is_not_bound),
        cmocka_unit_test(test_the_signals_of_libc_are_never_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
