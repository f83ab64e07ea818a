/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* How often the same thing is logged. Every case in a process of its own, whose log is recorded. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "diag/limit.h"

enum { GOOD = 0, BAD = 1 };

static int count_allowed(const char *reason, int times)
{
    int allowed = 0;
    for (int i = 0; i < times; i++)
        allowed += limit_allows(reason);
    return allowed;
}

static int flood(void *argument)
{
    (void)argument;
    limit_begin();
    int first = count_allowed("no key", 100), second = count_allowed("no time", 3);
    limit_end();
    return first == LIMIT_LINES && second == 3 ? GOOD : BAD;
}

static void test_some_lines_and_then_a_count(void **state)
{
    (void)state;
    struct child_result result;
    child_run(&result, flood, NULL);
    assert_int_equal(result.status, GOOD);
    assert_non_null(strstr(result.output, "warning: 90 more line(s) like this were not written: no key\n"));
    assert_null(strstr(result.output, "no time"));
}

static int many_reasons(void *argument)
{
    (void)argument;
    int allowed = 0;
    limit_begin();
    for (int i = 0; i < 1000; i++) {
        char reason[32];
        snprintf(reason, sizeof reason, "reason %d", i);
        allowed += limit_allows(reason);
    }
    limit_end();
    return allowed == LIMIT_REASONS - 1 + LIMIT_LINES ? GOOD : BAD;
}

/* Words that a peer chooses must not get around the limit. */
static void test_more_reasons_than_are_told_apart(void **state)
{
    (void)state;
    struct child_result result;
    child_run(&result, many_reasons, NULL);
    assert_int_equal(result.status, GOOD);
    assert_non_null(strstr(result.output, "927 more line(s) like this were not written: other reasons"));
}

static int in_children(void *argument)
{
    (void)argument;
    int allowed = 0;
    limit_begin();
    for (int i = 0; i < 30; i++) {
        int status;
        pid_t child = fork();
        if (child == 0) {
            int once = limit_allows("no key");
            limit_end();
            _exit(once);
        }
        if (waitpid(child, &status, 0) != child)
            return BAD;
        allowed += WEXITSTATUS(status);
    }
    limit_end();
    return allowed == LIMIT_LINES ? GOOD : BAD;
}

static void test_children_count_together(void **state)
{
    (void)state;
    struct child_result result;
    child_run(&result, in_children, NULL);
    assert_int_equal(result.status, GOOD);
    assert_string_equal(
        strchr(result.output, ':'),
        ": warning: 20 more line(s) like this were not written: another process knows the reason\n");
}

static int later(void *argument)
{
    (void)argument;
    limit_begin();
    count_allowed("no key", LIMIT_LINES + 5);
    sleep(LIMIT_TIME_S + 1); /* this is about time */
    return limit_allows("another") && limit_allows("no key") ? GOOD : BAD;
}

static void test_the_next_event_after_the_time_brings_the_count(void **state)
{
    (void)state;
    struct child_result result;
    child_run(&result, later, NULL);
    assert_int_equal(result.status, GOOD);
    assert_non_null(strstr(result.output, "5 more line(s) like this were not written: no key\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_some_lines_and_then_a_count),
        cmocka_unit_test(test_more_reasons_than_are_told_apart),
        cmocka_unit_test(test_children_count_together),
        cmocka_unit_test(test_the_next_event_after_the_time_brings_the_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
