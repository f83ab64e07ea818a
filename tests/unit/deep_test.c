/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Functions that need much stack run on one of the library's own: a thread with little goes on, signals wait,
 * nothing is left on it, and several at once, more than there are stacks, do not meet. */

#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "crypto/deep.h"
#include "crypto/mlkem768.h"

enum { DEEP = 40 * 1024, MANY = 2 * DEEP_STACKS, ROUNDS = 50 };

struct work {
    uint8_t fill;
    bool kept;
    uintptr_t at;
};

/* Fills its stack, lets others run, and looks whether it is still what it was. */
static void use_much(void *context)
{
    struct work *work = context;
    volatile uint8_t much[DEEP];
    work->kept = true;
    work->at = (uintptr_t)much;
    for (size_t i = 0; i < DEEP; i++)
        much[i] = work->fill;
    usleep(100);
    for (size_t i = 0; i < DEEP; i++)
        work->kept = work->kept && much[i] == work->fill;
}

static void *call_often(void *context)
{
    struct work *work = context;
    bool kept = true;
    for (int i = 0; i < ROUNDS; i++) {
        deep_call(use_much, work);
        kept = kept && work->kept;
    }
    work->kept = kept;
    return NULL;
}

static pthread_t start(void *(*run)(void *), void *context, size_t stack)
{
    pthread_attr_t attributes;
    pthread_t thread;
    const size_t least = (size_t)sysconf(_SC_THREAD_STACK_MIN); /* 128 KiB on aarch64 */
    pthread_attr_init(&attributes);
    assert_int_equal(pthread_attr_setstacksize(&attributes, stack < least ? least : stack), 0);
    assert_int_equal(pthread_create(&thread, &attributes, run, context), 0);
    pthread_attr_destroy(&attributes);
    return thread;
}

static void test_several_at_once_do_not_meet(void **state)
{
    struct work work[MANY];
    pthread_t threads[MANY];
    (void)state;
    for (size_t i = 0; i < MANY; i++) {
        work[i] = (struct work){.fill = (uint8_t)(i + 1)};
        threads[i] = start(call_often, &work[i], 1 << 20); /* some get the caller's stack */
    }
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_true(work[i].kept);
    }
}

static void *exchange_keys(void *context)
{
    static const uint8_t seed[MLKEM768_SEED] = {1}, random[MLKEM768_RANDOM] = {2};
    static uint8_t secret_key[MLKEM768_SECRET], ciphertext[MLKEM768_CIPHERTEXT];
    static uint8_t one[MLKEM768_SHARED], two[MLKEM768_SHARED];
    bool *same = context;
    *same = mlkem768_make(secret_key, seed) &&
            mlkem768_encapsulate(ciphertext, one, mlkem768_public(secret_key), random) &&
            mlkem768_decapsulate(two, ciphertext, secret_key) && memcmp(one, two, sizeof one) == 0;
    return NULL;
}

static void test_ml_kem_in_a_thread_with_little_stack(void **state)
{
    bool same = false;
    (void)state;
    if (!mlkem768_available())
        skip();
    assert_int_equal(pthread_join(start(exchange_keys, &same, 20 * 1024), NULL), 0);
    assert_true(same);
}

static volatile sig_atomic_t handled;

static void handle(int number)
{
    (void)number;
    handled = 1;
}

static void raise_and_look(void *context)
{
    bool *early = context;
    raise(SIGUSR1);
    *early = handled;
}

static void test_signals_wait(void **state)
{
    bool early = true;
    sigset_t before, after;
    (void)state;
    handled = 0;
    signal(SIGUSR1, handle);
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    deep_call(raise_and_look, &early);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    assert_false(early);
    assert_true(handled);
    assert_memory_equal(&before, &after, sizeof(uint64_t)); /* as many as the kernel has */
}

/* A place on the stack of a thread that is in the midst of such a function. */
struct place {
    _Atomic uintptr_t at;
    _Atomic bool go_on;
};

static void wait_there(void *context)
{
    struct place *place = context;
    volatile uint8_t much[DEEP];
    for (size_t i = 0; i < DEEP; i++)
        much[i] = 0x5a;
    place->at = (uintptr_t)&much[DEEP / 2];
    while (!place->go_on)
        usleep(100);
}

static void *call_and_wait(void *context)
{
    deep_call(wait_there, context);
    return NULL;
}

static bool is_near(uintptr_t a, uintptr_t b)
{
    return a - b + DEEP_SIZE < (uintptr_t)2 * DEEP_SIZE;
}

/* In a child of a process whose threads have all of the stacks. */
static int look_in_child(const struct place places[static DEEP_STACKS])
{
    struct work work = {.fill = 1};
    bool near = false;
    deep_after_fork();
    for (size_t i = 0; i < DEEP_STACKS; i++)
        if (*(const uint8_t *)places[i].at != 0) // NOLINT: an address of that stack
            return 1;
    deep_call(use_much, &work);
    for (size_t i = 0; i < DEEP_STACKS; i++)
        near = near || is_near(work.at, places[i].at);
    return near ? 0 : 2;
}

static void test_a_forked_child_has_its_own(void **state)
{
    static struct place places[DEEP_STACKS];
    pthread_t threads[DEEP_STACKS];
    int status = -1;
    (void)state;
    for (size_t i = 0; i < DEEP_STACKS; i++) {
        threads[i] = start(call_and_wait, &places[i], 1 << 20);
        while (!places[i].at)
            usleep(100);
    }
    const pid_t child = fork();
    if (child == 0)
        _exit(look_in_child(places));
    assert_int_equal(waitpid(child, &status, 0), child);
    for (size_t i = 0; i < DEEP_STACKS; i++) {
        places[i].go_on = true;
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(status, 0);
}

static void test_nothing_is_left(void **state)
{
    struct work work = {.fill = 0x5a};
    (void)state;
    deep_call(use_much, &work);
    const volatile uint8_t *left = (const volatile uint8_t *)work.at;
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    if (work.at < here && here - work.at < 8 << 20)
        skip(); /* a processor whose stack is not switched */
    for (size_t i = 0; i < DEEP; i++)
        assert_int_equal(left[i], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_several_at_once_do_not_meet),
        cmocka_unit_test(test_ml_kem_in_a_thread_with_little_stack),
        cmocka_unit_test(test_signals_wait),
        cmocka_unit_test(test_a_forked_child_has_its_own),
        cmocka_unit_test(test_nothing_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
