/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* The environment that is completed for other programs. The library is this test program here. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <libgen.h>
#include <unistd.h>

#include "config/config.h"
#include "config/environment.h"

static char *out[64], text[ENVIRONMENT_TEXT];

/* The value of a variable of the completed environment, or NULL. */
static const char *value(const char *name)
{
    for (char **at = out; *at; at++)
        if (strncmp(*at, name, strlen(name)) == 0 && (*at)[strlen(name)] == '=')
            return *at + strlen(name) + 1;
    return NULL;
}

static const char *complete(const char *preload)
{
    char entry[8192];
    char *environment[] = {entry, NULL};
    snprintf(entry, sizeof entry, "LD_PRELOAD=%s", preload);
    assert_true(environment_complete(environment, NULL, out, text));
    static char found[8192];
    snprintf(found, sizeof found, "%s", value("LD_PRELOAD"));
    return found;
}

static int save(void **state)
{
    (void)state;
    setenv("SOCKSEAL_PORTS", "80", 1);
    setenv("SOCKSEAL_IDENTITY", "me", 1);
    config_load();
    environment_save();
    return environment_library()[0] == '/' ? 0 : -1;
}

static void test_what_is_missing_is_added(void **state)
{
    (void)state;
    char *nothing[] = {NULL};
    assert_true(environment_complete(nothing, NULL, out, text));
    assert_string_equal(value("LD_PRELOAD"), environment_library());
    assert_string_equal(value("SOCKSEAL_PORTS"), "80");
    assert_string_equal(value("SOCKSEAL_IDENTITY"), "me");
    assert_null(value("SOCKSEAL_LOG"));
}

static void test_the_library_counts_by_its_file(void **state)
{
    (void)state;
    char copy[4096], other_name[128], expected[8192];
    const char *library = environment_library();
    snprintf(copy, sizeof copy, "%s", library);
    snprintf(other_name, sizeof other_name, "/tmp/environment-test-%d", (int)getpid());
    assert_string_equal(complete(library), library);
    snprintf(expected, sizeof expected, "libm.so.6:%s", library);
    assert_string_equal(complete(expected), expected);

    /* Another name of the file is as good; another file of its name is not. */
    assert_int_equal(symlink(library, other_name), 0);
    assert_string_equal(complete(other_name), other_name);
    unlink(other_name);
    snprintf(other_name, sizeof other_name, "/nonexistent/%s", basename(copy));
    snprintf(expected, sizeof expected, "%s:%s", library, other_name);
    assert_string_equal(complete(other_name), expected);
}

/* It would be lost with the next change of directory. */
static void test_a_relative_name_does_not_count(void **state)
{
    (void)state;
    char directory[4096], copy[4096], relative[256], expected[8192];
    snprintf(copy, sizeof copy, "%s", environment_library());
    snprintf(relative, sizeof relative, "./%s", basename(copy));
    snprintf(directory, sizeof directory, "%s", environment_library());
    assert_int_equal(chdir(dirname(directory)), 0);
    snprintf(expected, sizeof expected, "%s:%s", environment_library(), relative);
    assert_string_equal(complete(relative), expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_missing_is_added),
        cmocka_unit_test(test_the_library_counts_by_its_file),
        cmocka_unit_test(test_a_relative_name_does_not_count),
    };
    return cmocka_run_group_tests(tests, save, NULL);
}
