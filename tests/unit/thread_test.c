/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* Threads that libc does not know. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "shm/self.h"
#include "sys/net.h"
#include "sys/thread.h"

enum { WAIT_MS = 100, WAITS = 50, ROUNDS = 2000 };

struct seen {
    uint32_t cached, kernel; /* its id, as locks record it, and as the kernel knows it */
    int before;              /* errno at its start */
};

static int look(void *context)
{
    struct seen *seen = context;
    seen->before = errno;
    errno = EPROTO;
    seen->cached = self_tid();
    seen->kernel = (uint32_t)sys_gettid();
    return 0;
}

static void wait_for_end(struct thread *thread)
{
    for (int i = 0; i < WAITS && thread_is_alive(thread); i++)
        thread_wait(thread, WAIT_MS);
    assert_false(thread_is_alive(thread));
}

/* The memory is used again. A lock that a later thread took by the id of an earlier one would be taken for a
 * dead owner's. */
static void test_each_has_storage_of_its_own(void **state)
{
    static struct thread thread;
    struct seen seen[3];
    (void)state;
    for (int i = 0; i < 3; i++) {
        if (!thread_start(&thread, look, &seen[i]))
            skip();
        wait_for_end(&thread);
        assert_int_equal(seen[i].cached, seen[i].kernel);
        assert_int_equal(seen[i].before, 0);
        assert_int_not_equal(seen[i].kernel, self_tid());
    }
    assert_int_not_equal(seen[0].kernel, seen[1].kernel);
}

/* Nor is it counted among the process's threads: unshare(2) would refuse a namespace of users. */
static void test_one_that_is_gone_is_not_counted(void **state)
{
    static struct thread thread;
    struct seen seen;
    char path[64];
    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        if (!thread_start(&thread, look, &seen))
            skip();
        while (!thread_is_gone(&thread))
            sys_call3(SYS_sched_yield, 0, 0, 0);
        snprintf(path, sizeof path, "/proc/self/task/%u", seen.kernel);
        assert_int_equal(access(path, F_OK), -1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_has_storage_of_its_own),
        cmocka_unit_test(test_one_that_is_gone_is_not_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
