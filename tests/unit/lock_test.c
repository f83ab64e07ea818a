/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Locks in memory that another process can write to: no word makes a thread wait for ever, and none makes it
 * believe that it holds the lock itself. */

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <unistd.h>

#include "conn/lock.h"

static enum lock_result take_forged(uint64_t word)
{
    struct lock lock = {.word = word};
    const enum lock_result result = lock_take_shared(&lock);
    bool blocked;
    if (result != LOCK_BLOCKED)
        assert_true(lock_is_held(&lock, &blocked) && !blocked);
    lock_release(&lock);
    assert_int_equal(lock.word, 0);
    assert_false(lock_is_held(&lock, &blocked));
    return result;
}

static void test_words_that_name_nobody(void **state)
{
    const uint64_t words[] = {
        LOCK_WAITERS,      LOCK_BLOCKED_BIT, LOCK_BLOCKED_BIT | LOCK_WAITERS, 0x00400000u,
        UINT64_C(7) << 32, UINT64_MAX,       self_id() | 0x20000000u,         self_id() | 0x00800000u};
    (void)state;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        assert_int_equal(take_forged(words[i]), LOCK_LOST);
}

static void test_a_word_that_names_the_caller(void **state)
{
    struct lock lock = {.word = self_id()};
    bool blocked;
    (void)state;
    assert_false(lock_is_held(&lock, &blocked));
    assert_int_equal(take_forged(self_id()), LOCK_LOST);
    assert_int_equal(take_forged(self_id() | LOCK_BLOCKED_BIT), LOCK_RECOVERED);
}

static void test_a_caller_that_has_it(void **state)
{
    struct lock lock = {0}, others[LOCK_HELD] = {0};
    bool blocked;
    (void)state;
    for (int i = 0; i < LOCK_HELD - 1; i++)
        assert_int_equal(lock_take_shared(&others[i]), LOCK_TAKEN);
    assert_int_equal(lock_take_shared(&lock), LOCK_TAKEN);
    assert_false(lock_try(&lock)); /* as in a signal handler */
    assert_int_equal(lock_take_shared(&lock), LOCK_REENTERED);
    assert_true(lock_is_held(&lock, &blocked));
    lock_block(&lock);
    assert_true(lock_is_held(&lock, &blocked) && blocked);
    assert_true(lock_unblock(&lock));
    lock_release(&lock);
    for (int i = 0; i < LOCK_HELD - 1; i++)
        lock_release(&others[i]);
    assert_int_equal(take_forged(self_id()), LOCK_LOST);
}

struct forging {
    struct lock lock;
    _Atomic bool ends;
    bool changes;
};

static void *forge(void *argument)
{
    struct forging *forging = argument;
    const uint64_t other = self_id() - self_tid() + (uint32_t)getppid();
    for (uint64_t i = 0; forging->changes && !forging->ends; i++)
        forging->lock.word = other | (i & 1 ? LOCK_WAITERS : 0);
    return NULL;
}

static void *take_it(void *argument)
{
    struct forging *forging = argument;
    const enum lock_result result = lock_take_shared(&forging->lock);
    forging->ends = true;
    lock_release(&forging->lock);
    return result == LOCK_LOST ? forging : NULL;
}

/* A process that lives and is not the owner, one of a namespace that is not known here, a word that changes
 * all the time: all at once, since the first two take LOCK_PATIENCE_MS. */
static void test_owners_that_do_not_give_it_back(void **state)
{
    static struct forging forgings[3];
    pthread_t forger, takers[3];
    void *result;
    (void)state;
    forgings[0].lock.word = self_id() - self_tid() + (uint32_t)getppid();
    forgings[1].lock.word = (self_id() ^ UINT64_C(1) << 40) - self_tid() + 1;
    forgings[2].changes = true;
    forgings[2].lock.word = forgings[0].lock.word;
    assert_int_equal(pthread_create(&forger, NULL, forge, &forgings[2]), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&takers[i], NULL, take_it, &forgings[i]), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(takers[i], &result), 0);
        if (i < 2)
            assert_ptr_equal(result, &forgings[i]);
    }
    assert_int_equal(pthread_join(forger, &result), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words_that_name_nobody),
        cmocka_unit_test(test_a_word_that_names_the_caller),
        cmocka_unit_test(test_a_caller_that_has_it),
        cmocka_unit_test(test_owners_that_do_not_give_it_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
